"""An encoder's convolutions: blind to padding, and on a CPU one utterance at a time.

The group norm after the first convolution takes mean and variance over an utterance
without its padding (:class:`MaskedGroupNorm`), and so does the batch norm that some
checkpoints have before their positional convolution (:class:`MaskedBatchNorm`).

On a CPU utterances go through all layers one after another, which keeps them in the
processor's cache, and without their padding where the group norm knows it. Where no
gradient is needed these are PyTorch's convolutions. In training a strided convolution
over frames that lie one after another, channels innermost, is the product of a matrix
whose rows overlap in memory with the kernel: no sample is copied, and nothing has to be
prepared for an input of a new length, which takes PyTorch longer than small
convolutions themselves. The parameters and their names stay the encoder's own; results
differ from its own in the last bits. On other devices, and in other precisions than 32
bits, the encoder's own forward is used.
"""

from functools import cache
from typing import Any

import torch
from torch import nn

from espnet2_cltm.frontend.batches import padded
from espnet2_cltm.frontend.families import Encoder, has_convolutions

MOST_COPIED = 32
"""Numbers in a row (taps times channels) up to which rows are copied."""
MOST_PARTS = 4
"""Parts of a kernel up to which longer rows are not."""


class MaskedGroupNorm(nn.GroupNorm):
    """Group norm over time that leaves padding out of mean and variance.

    Where ``valid_lengths`` is None it is ``torch.nn.GroupNorm``. Otherwise each
    utterance is cut to its length, normalised by the same kernel, and padded with zeros
    again: on a CPU that is twice as fast as masked sums over the whole batch.
    """

    valid_lengths: list[int] | None = None

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Normalise (batch, channels, time) over time, within valid lengths."""
        if self.valid_lengths is None:
            return super().forward(input)
        size = input.shape[2]
        rows = [
            nn.functional.pad(super(MaskedGroupNorm, self).forward(row), (0, size - n))
            for n, row in (
                (n, row[None, :, :n])
                for n, row in zip(self.valid_lengths, input.unbind(0), strict=True)
            )
        ]
        return torch.cat(rows)


class MaskedBatchNorm(nn.BatchNorm1d):
    """Batch norm over valid frames; padding stays zero, as convolutions pad."""

    frame_mask: torch.Tensor | None = None

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Normalise (batch, channels, frames)."""
        if self.frame_mask is None:
            return super().forward(input)
        frames = input.transpose(1, 2)
        normalised = torch.zeros_like(frames)
        normalised[self.frame_mask] = super().forward(frames[self.frame_mask])
        return normalised.transpose(1, 2)


def use_masked_batch_norm(encoder: Encoder) -> None:
    """Make the batch norm before the positional convolution blind to padding."""
    positions = getattr(encoder.encoder, "pos_conv_embed", None)
    norm = getattr(positions, "batch_norm", None)
    if norm is not None:
        norm.__class__ = MaskedBatchNorm


def use_masked_group_norm(encoder: Encoder) -> MaskedGroupNorm | None:
    """Put :class:`MaskedGroupNorm` where the encoder has a group norm.

    Returns:
        The new module; None where the encoder has layer norms, or no convolutions.
    """
    if not has_convolutions(encoder.config):
        return None
    first = encoder.feature_extractor.conv_layers[0]
    norm = getattr(first, "layer_norm", None)
    if not isinstance(norm, nn.GroupNorm):
        return None
    masked = MaskedGroupNorm(norm.num_groups, norm.num_channels, eps=norm.eps)
    masked.weight = norm.weight
    masked.bias = norm.bias
    first.layer_norm = masked
    return masked


def convolution_of(layer: nn.Module) -> nn.Conv1d:
    """Return the convolution of one of the encoder's convolutional layers."""
    conv = layer.conv
    assert isinstance(conv, nn.Conv1d)
    return conv


def use_matrix_products(encoder: Encoder) -> None:
    """Make an encoder convolve one utterance at a time on CPUs.

    An encoder whose convolutions have groups, dilation or padding, or whose group norm
    joins channels, is left as it is; no published one has these.

    Args:
        encoder: Encoder, changed in place; parameters and their names stay.
    """
    if not has_convolutions(encoder.config):
        return
    stack = encoder.feature_extractor
    if all(_is_supported(layer) for layer in stack.conv_layers):
        # The class alone is exchanged: parameters, hooks and modes stay.
        kind: Any = type(stack)
        stack.__class__ = _with_matrix_products(kind)


@cache  # so that equal stacks are of one class
def _with_matrix_products(stack: Any) -> type[nn.Module]:
    return type(f"Matrix{stack.__name__}", (MatrixProducts, stack), {})


class MatrixProducts(nn.Module):
    """Other ways to compute the stack of convolutions that this is mixed into."""

    conv_layers: nn.ModuleList
    gradient_checkpointing: bool

    def forward(self, input_values: torch.Tensor) -> torch.Tensor:
        """Return (batch, channels, frames) features of (batch, samples) waveforms.

        Frames of padding are zero.
        """
        if (
            input_values.device.type != "cpu"
            or input_values.dtype != torch.float32
            or torch.is_autocast_enabled("cpu")
            or self.gradient_checkpointing
        ):
            return super().forward(input_values)
        n_samples = self._valid_samples(input_values)
        learns = torch.is_grad_enabled() and (
            input_values.requires_grad
            or any(p.requires_grad for p in self.parameters())
        )
        convolve = self._convolve_learning if learns else self._convolve
        rows = [
            convolve(waveform[:n])
            for waveform, n in zip(input_values.unbind(0), n_samples, strict=True)
        ]
        n_frames = input_values.shape[1]
        for layer in self.conv_layers:
            conv = convolution_of(layer)
            n_frames = (n_frames - conv.kernel_size[0]) // conv.stride[0] + 1
        if len(rows) == 1 and len(rows[0]) == n_frames:
            return rows[0].t().unsqueeze(0)
        return padded(rows, n_frames).transpose(1, 2)

    def _convolve(self, waveform: torch.Tensor) -> torch.Tensor:
        """Return (frames, channels) of one utterance by PyTorch's convolutions."""
        channels = waveform[None, None]
        for layer in self.conv_layers:
            channels = layer(channels)
        return channels[0].t()

    def _convolve_learning(self, waveform: torch.Tensor) -> torch.Tensor:
        """Return (frames, channels) of one utterance by matrix products."""
        frames = waveform.unsqueeze(1)
        for layer in self.conv_layers:
            conv = convolution_of(layer)
            frames = strided_convolution(frames, conv.weight, conv.bias, conv.stride[0])
            norm = getattr(layer, "layer_norm", None)
            if isinstance(norm, nn.GroupNorm):
                frames = _normalize_over_time(frames, norm)
            elif norm is not None:
                frames = norm(frames)
            frames = layer.get_submodule("activation")(frames)
        return frames

    def _valid_samples(self, waveforms: torch.Tensor) -> list[int]:
        """Return the numbers of samples that the valid frames come from."""
        first = self.conv_layers[0]
        norm = getattr(first, "layer_norm", None)
        if not isinstance(norm, MaskedGroupNorm) or norm.valid_lengths is None:
            return [waveforms.shape[1]] * len(waveforms)
        lengths = norm.valid_lengths
        norm.valid_lengths = None  # each utterance goes through it alone
        conv = convolution_of(first)
        return [(n - 1) * conv.stride[0] + conv.kernel_size[0] for n in lengths]


def strided_convolution(
    frames: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, stride: int
) -> torch.Tensor:
    """Convolve over time without padding, as ``torch.nn.functional.conv1d`` does.

    Args:
        frames: (time, channels), contiguous.
        weight: (outputs, channels, taps), as in ``torch.nn.Conv1d``.
        bias: (outputs,) or None.
        stride: Step of the kernel, in frames.

    Returns:
        ((time - taps) // stride + 1, outputs).
    """
    return _StridedConvolution.apply(frames.contiguous(), weight, bias, stride)


class _StridedConvolution(torch.autograd.Function):
    """The kernel is cut into parts of at most ``stride`` taps.

    The rows of a part's matrix do not overlap, so that its gradient is one product too.
    Where rows are short, as those of a waveform are, or parts are many, copying rows
    whole is faster.
    """

    @staticmethod
    def forward(
        ctx: Any,
        frames: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        stride: int,
    ) -> torch.Tensor:
        n_outputs, n_channels, n_taps = weight.shape
        # (taps * channels, outputs): a row of the matrix is a piece of memory.
        kernel = weight.permute(2, 1, 0).reshape(n_taps * n_channels, n_outputs)
        n_frames = (len(frames) - n_taps) // stride + 1
        output = frames.new_empty(n_frames, n_outputs)
        for start, rows in _rows(frames, n_taps, stride, n_frames):
            part = kernel[start : start + rows.shape[1]]
            if start > 0:
                output.addmm_(rows, part)
            elif bias is None:
                torch.mm(rows, part, out=output)
            else:
                torch.addmm(bias, rows, part, out=output)
        ctx.save_for_backward(frames, kernel)
        ctx.shape, ctx.stride = weight.shape, stride
        return output

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(
        ctx: Any, gradient: torch.Tensor
    ) -> tuple[torch.Tensor | None, torch.Tensor | None, torch.Tensor | None, None]:
        frames, kernel = ctx.saved_tensors
        n_outputs, n_channels, n_taps = ctx.shape
        gradient = gradient.contiguous()
        n_frames = len(gradient)
        of_frames = of_weight = None
        if ctx.needs_input_grad[0]:
            if ctx.stride > n_taps:
                of_frames = torch.zeros_like(frames)
            else:
                of_frames = torch.empty_like(frames)
                # The first part's rows fill the beginning without gaps.
                of_frames[n_frames * ctx.stride :] = 0.0
            for start, rows in _parts(of_frames, n_taps, ctx.stride, n_frames):
                part = kernel[start : start + rows.shape[1]].t()
                if start > 0:
                    rows.addmm_(gradient, part)
                else:
                    torch.mm(gradient, part, out=rows)
        if ctx.needs_input_grad[1]:
            of_kernel = torch.empty_like(kernel)
            for start, rows in _rows(frames, n_taps, ctx.stride, n_frames):
                part = of_kernel[start : start + rows.shape[1]]
                torch.mm(rows.t(), gradient, out=part)
            of_weight = of_kernel.view(n_taps, n_channels, n_outputs).permute(2, 1, 0)
        of_bias = gradient.sum(dim=0) if ctx.needs_input_grad[2] else None
        return of_frames, of_weight, of_bias, None


def _rows(
    frames: torch.Tensor, n_taps: int, stride: int, n_frames: int
) -> list[tuple[int, torch.Tensor]]:
    """Return what the kernel is multiplied with: :func:`_parts`, or whole rows."""
    size = n_taps * frames.shape[1]
    if size > MOST_COPIED and n_taps <= MOST_PARTS * stride:
        return _parts(frames, n_taps, stride, n_frames)
    whole = frames.as_strided(
        (n_frames, size), (stride * frames.shape[1], 1), frames.storage_offset()
    )
    return [(0, whole.contiguous())]


def _parts(
    frames: torch.Tensor, n_taps: int, stride: int, n_frames: int
) -> list[tuple[int, torch.Tensor]]:
    """Return views of (time, channels) as one matrix for each part of the kernel.

    Returns:
        For each part its first row in the kernel and the (n_frames, taps * channels)
        view whose row t holds frames ``t * stride + first tap`` and so on.
    """
    n_channels = frames.shape[1]
    parts = []
    for tap in range(0, n_taps, stride):
        size = min(stride, n_taps - tap) * n_channels
        rows = frames.as_strided(
            (n_frames, size),
            (stride * n_channels, 1),
            frames.storage_offset() + tap * n_channels,
        )
        parts.append((tap * n_channels, rows))
    return parts


def _normalize_over_time(frames: torch.Tensor, norm: nn.GroupNorm) -> torch.Tensor:
    """Normalise every channel of (time, channels) over time.

    That is group norm of one utterance with a group for every channel, and batch
    norm, which PyTorch computes for channels that lie innermost.
    """
    return nn.functional.batch_norm(
        frames, None, None, norm.weight, norm.bias, training=True, eps=norm.eps
    )


def _is_supported(layer: nn.Module) -> bool:
    conv = convolution_of(layer)
    norm = getattr(layer, "layer_norm", None)
    return (
        conv.groups == 1
        and conv.dilation == (1,)
        and conv.padding == (0,)
        and (not isinstance(norm, nn.GroupNorm) or norm.num_groups == norm.num_channels)
    )
