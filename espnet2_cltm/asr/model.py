"""The recogniser: ESPnet's model, trained with CTC.

Token 0 is CTC's blank. The likeliest token of every frame, repeats merged and blanks
dropped, is the transcript.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby
from typing import Any

import torch

from espnet2_cltm.asr.tokens import fewest_frames, text_of
from espnet2_cltm.errors import UserError
from espnet2_cltm.frontend.encoder_steps import check_autocast, encoder_precision
from espnet2_cltm.tasks.espnet import AbsEncoder, ESPnetASRModel


class IdentityEncoder(AbsEncoder):
    """Encoder that leaves the frontend's frames as they are.

    Args:
        input_size: Size of a frame.
    """

    def __init__(self, input_size: int):
        super().__init__()
        self._size = input_size

    def output_size(self) -> int:
        """Return the size of a frame."""
        return self._size

    def forward(
        self,
        xs_pad: torch.Tensor,
        ilens: torch.Tensor,
        prev_states: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor, None]:
        """Return (batch, frames, size) frames, and their lengths, as they are."""
        return xs_pad, ilens, None


@contextmanager
def _no_word_of_the_decoder() -> Iterator[None]:
    """Keep ESPnet from warning that CTC alone has no decoder, as is meant here."""

    def is_other(record: logging.LogRecord) -> bool:
        return not str(record.msg).startswith("Set decoder to none")

    root = logging.getLogger()
    root.addFilter(is_other)
    try:
        yield
    finally:
        root.removeFilter(is_other)


class CtcModel(ESPnetASRModel):
    """ESPnet's model with CTC alone, unless ``ctc_weight`` says otherwise.

    Args:
        token_type: Kind of the tokens; sets how they are joined to a text.
        autocast: Precision of the frontend, see
            :mod:`espnet2_cltm.frontend.encoder_steps`.
        ctc_weight: Weight of the CTC loss; less than 1 needs a decoder.
        extract_feats_in_collect_stats: Whether ESPnet's ``collect_stats`` computes
            features; training needs no more than the lengths of the audio.
        **parts: Parts and options of ESPnet's model.

    Raises:
        UserError: The precision is not known, or CTC has no weight.
    """

    def __init__(
        self,
        token_type: str = "char",
        autocast: str = "none",
        ctc_weight: float = 1.0,
        extract_feats_in_collect_stats: bool = False,
        **parts: Any,
    ):
        check_autocast(autocast)
        if ctc_weight == 0:
            raise UserError(
                f"ctc_weight: {ctc_weight} in model_conf must be above 0: transcripts "
                "are what CTC finds."
            )
        with _no_word_of_the_decoder():
            super().__init__(
                ctc_weight=ctc_weight,
                extract_feats_in_collect_stats=extract_feats_in_collect_stats,
                # Rates are measured by espnet2_cltm.asr.trainer, alike everywhere.
                **{"report_cer": False, "report_wer": False, **parts},
            )
        self.token_type = token_type
        self.autocast = autocast

    def forward(
        self,
        speech: torch.Tensor,
        speech_lengths: torch.Tensor,
        text: torch.Tensor,
        text_lengths: torch.Tensor,
        **kwargs: Any,
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor], torch.Tensor]:
        """Compute the loss of a batch as ESPnet does.

        Args:
            speech: (batch, samples) waveforms at 16 kHz.
            speech_lengths: (batch,) numbers of valid samples.
            text: (batch, tokens) indices, -1 behind the end.
            text_lengths: (batch,) numbers of tokens.
            **kwargs: ``utt_id``, which ESPnet adds.

        Returns:
            Loss, statistics, and the batch size as weight.

        Raises:
            UserError: An utterance is too short for its transcript.
        """
        self._utts = kwargs.get("utt_id")  # for messages
        return super().forward(speech, speech_lengths, text, text_lengths, **kwargs)

    def _extract_feats(
        self, speech: torch.Tensor, speech_lengths: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        with encoder_precision(self.autocast, speech.device):
            feats, lengths = super()._extract_feats(speech, speech_lengths)
        return feats.float(), lengths

    def _calc_ctc_loss(
        self,
        encoder_out: torch.Tensor,
        encoder_out_lens: torch.Tensor,
        ys_pad: torch.Tensor,
        ys_pad_lens: torch.Tensor,
    ) -> tuple[torch.Tensor, None]:
        self._require_frames(encoder_out_lens, ys_pad, ys_pad_lens)
        return super()._calc_ctc_loss(
            encoder_out, encoder_out_lens, ys_pad, ys_pad_lens
        )

    def _require_frames(
        self, n_frames: torch.Tensor, text: torch.Tensor, lengths: torch.Tensor
    ) -> None:
        """Refuse what CTC cannot align: ESPnet would take its loss for 0."""
        rows = zip(text.tolist(), lengths.tolist(), n_frames.tolist(), strict=True)
        for place, (tokens, length, n) in enumerate(rows):
            needed = fewest_frames(tokens[:length])
            if needed > n:
                name = self._utts[place] if self._utts else place + 1
                raise UserError(
                    f"Utterance {name} has {n} frames of audio, and its transcript of "
                    f"{length} tokens needs {needed}: correct the transcript, or take "
                    "the utterance out."
                )

    @torch.inference_mode()
    def transcribe(
        self, speech: torch.Tensor, speech_lengths: torch.Tensor
    ) -> list[str]:
        """Return the transcripts of a batch, in normal form.

        Args:
            speech: (batch, samples) waveforms at 16 kHz.
            speech_lengths: (batch,) numbers of valid samples.
        """
        frames, lengths = self.encode(speech, speech_lengths)
        best = self.ctc.argmax(frames).tolist()
        return [
            self.text_of([token for token, _ in groupby(row[:n])])
            for row, n in zip(best, lengths.tolist(), strict=True)
        ]

    def text_of(self, indices: list[int]) -> str:
        """Return the text of tokens, given by their indices."""
        return text_of([self.token_list[i] for i in indices], self.token_type)
