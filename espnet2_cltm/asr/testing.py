"""Speech recognition in stage 4: ESPnet's data, transcripts, and scores.

The functions and their arguments are described in :mod:`espnet2_cltm.task`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from espnet2_cltm.asr.espnet_task import AsrTask
from espnet2_cltm.asr.inference import read_transcripts, transcribe, write_transcripts
from espnet2_cltm.asr.metrics import count_errors, score_counts
from espnet2_cltm.asr.model import CtcModel
from espnet2_cltm.asr.tokens import decode_pieces, find_tokens, token_list
from espnet2_cltm.corpus.utterance_list import (
    ListedUtterance,
    espnet_data_options,
    write_espnet_data,
)
from espnet2_cltm.files import replacing, write_text
from espnet2_cltm.task import Criterion, Scores, TaskSpec, TestSet, score_in_turn
from espnet2_cltm.tasks.testing import (  # noqa: F401 (the runner calls it)
    cache_audio,
    read_test,
    require_same_utterances,
)

ESPNET_TASK = AsrTask
PREDICTIONS_SUFFIX = ".txt"


def build_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the ESPnet options that build a model before there is data.

    Where the tokens are still to be found in the data, some stand for them.
    """
    tokens = options.get("tokens") or token_list("abc")
    return {"token_list": list(tokens), "token_type": options["asr_tokens"]}


def write_training_data(
    run_dir: Path,
    train: Sequence[ListedUtterance],
    dev: Sequence[TestSet],
    batch_bins: int,
    options: Mapping[str, Any],
) -> dict[str, Any]:
    """Write ESPnet's data files and return the options that name them."""
    valid = [utterance for part in dev for utterance in part.utterances]
    write_espnet_data(run_dir / "train", train, "text")
    # ESPnet's command needs validation data even where none are there.
    write_espnet_data(run_dir / "valid", valid or train, "text")
    languages = [f"{u.utt} {part.name}\n" for part in dev for u in part.utterances]
    write_text(run_dir / "valid" / "utt2lang", "".join(languages))
    known: Mapping[str, Any] = options
    if "tokens" not in options:
        known = find_tokens({u.label for u in (*train, *valid)}, options)
    write_text(run_dir / "tokens.txt", "".join(f"{t}\n" for t in known["tokens"]))
    pieces = {}
    if "pieces" in known:
        with replacing(run_dir / "pieces.model") as temporary:
            temporary.write_bytes(decode_pieces(known["pieces"]))
        pieces = {"bpemodel": str(run_dir / "pieces.model")}
    return {
        **build_options(options),
        "token_list": [str(run_dir / "tokens.txt")],
        **pieces,
        **espnet_data_options(run_dir / "train", "train", ("text", "text")),
        **espnet_data_options(run_dir / "valid", "valid", ("text", "text")),
        **({"valid_utt2lang": str(run_dir / "valid" / "utt2lang")} if valid else {}),
    }


def criteria(
    config: Mapping[str, Any], languages: Sequence[str], tests: Sequence[str]
) -> dict[str, Criterion]:
    """Name what chooses the epoch for each test.

    A pair is tested on each of its languages with the epoch that is best on that
    language's dev set; other tests take the epoch that is best on all dev sets.
    """
    rate, table = config.get("checkpoint", "last"), config.get("valid_utt2lang")
    if rate == "last" or not table:
        return {}
    return {
        test: ("valid", f"{rate}_{test}" if test in languages else rate, "min")
        for test in tests
    }


def predict(
    model: CtcModel, test: TestSet, predictions: Path, batch_bins: int, device: str
) -> None:
    """Transcribe every test utterance and write the transcripts."""
    read_waveform, batches = read_test(test, batch_bins)
    texts = transcribe(model, read_waveform, batches, device)
    write_transcripts(predictions, texts)


def score(
    spec: TaskSpec, options: Mapping[str, Any], test: TestSet, predictions: Path
) -> Scores:
    """Score transcripts against those of the test list.

    Raises:
        UserError: The table is missing or names other utterances than the list.
    """
    predicted = read_transcripts(predictions)
    reference = {u.utt: u.label for u in test.utterances}
    require_same_utterances(predictions, predicted, test)
    utts = sorted(reference)
    counts = count_errors([reference[u] for u in utts], [predicted[u] for u in utts])

    def score_without(left_out: frozenset[str]) -> Scores:
        kept = np.array([utt not in left_out for utt in utts], dtype=bool)
        return score_counts(counts.of(kept), options["asr_tokens"])

    return score_in_turn(score_without, test.groups)
