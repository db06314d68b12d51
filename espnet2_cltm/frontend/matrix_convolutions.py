"""HuBERT's convolutions as matrix products, which CPUs do faster.

A strided convolution over frames that lie one after another, channels innermost, is a
product of a matrix whose rows overlap in memory with the kernel: no sample is copied.
Against PyTorch's convolutions that saves half the time that a training step takes for
them, and nothing has to be prepared for an input of a new length. The parameters and
their names stay the encoder's own; results differ from it in the last bits. Elsewhere
than on a CPU in 32 bits the encoder's own forward is used.
"""

import torch
from torch import nn
from transformers import HubertModel
from transformers.models.hubert.modeling_hubert import HubertFeatureEncoder


def use_matrix_products(hubert: HubertModel) -> None:
    """Have an encoder compute its convolutions as matrix products on CPUs.

    An encoder whose convolutions have groups, dilation or padding, or whose group norm
    joins channels, is left as it is; HuBERT has none of these.

    Args:
        hubert: Changed in place; parameters and their names stay.
    """
    encoder = hubert.feature_extractor
    if all(_is_supported(layer) for layer in encoder.conv_layers):
        # The class alone is exchanged: parameters, hooks and modes stay.
        encoder.__class__ = MatrixFeatureEncoder


class MatrixFeatureEncoder(HubertFeatureEncoder):
    """transformers' stack of convolutions with another way to compute it."""

    def forward(self, input_values: torch.Tensor) -> torch.Tensor:
        """Give (batch, channels, frames) features of (batch, samples) waveforms."""
        if (
            input_values.device.type != "cpu"
            or input_values.dtype != torch.float32
            or torch.is_autocast_enabled("cpu")
            or self.gradient_checkpointing
        ):
            return super().forward(input_values)
        frames = input_values.unsqueeze(2)
        for layer in self.conv_layers:
            conv = layer.conv
            frames = strided_convolution(frames, conv.weight, conv.bias, conv.stride[0])
            norm = getattr(layer, "layer_norm", None)
            if isinstance(norm, nn.GroupNorm):
                frames = _normalize_over_time(frames, norm)
            elif norm is not None:
                frames = norm(frames)
            frames = layer.activation(frames)
        return frames.transpose(1, 2)


def strided_convolution(
    frames: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    stride: int,
) -> torch.Tensor:
    """Convolve over time without padding, as ``torch.nn.functional.conv1d`` does.

    Args:
        frames: (batch, time, channels) float32, contiguous.
        weight: (outputs, channels, taps), as ``torch.nn.Conv1d`` keeps it.
        bias: (outputs,) or None.
        stride: In frames.

    Returns:
        (batch, (time - taps) // stride + 1, outputs).
    """
    return _StridedConvolution.apply(frames.contiguous(), weight, bias, stride)


class _StridedConvolution(torch.autograd.Function):
    """The kernel is cut into parts of at most ``stride`` taps.

    The rows of a part's matrix do not overlap, so that its gradient is one product too.
    """

    @staticmethod
    def forward(
        ctx: torch.autograd.function.FunctionCtx,
        frames: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        stride: int,
    ) -> torch.Tensor:
        n_outputs, n_channels, n_taps = weight.shape
        # (taps * channels, outputs): a row of the matrix is a piece of memory.
        kernel = weight.permute(2, 1, 0).reshape(n_taps * n_channels, n_outputs)
        n_frames = (frames.shape[1] - n_taps) // stride + 1
        output = frames.new_empty(frames.shape[0], n_frames, n_outputs)
        for utterance, result in zip(frames, output, strict=True):
            for start, rows in _parts(utterance, n_taps, stride, n_frames):
                part = kernel[start : start + rows.shape[1]]
                if start > 0:
                    result.addmm_(rows, part)
                elif bias is None:
                    torch.mm(rows, part, out=result)
                else:
                    torch.addmm(bias, rows, part, out=result)
        ctx.save_for_backward(frames, kernel)
        ctx.shape, ctx.stride = weight.shape, stride
        return output

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(
        ctx: torch.autograd.function.FunctionCtx, gradient: torch.Tensor
    ) -> tuple[torch.Tensor | None, torch.Tensor, torch.Tensor | None, None]:
        frames, kernel = ctx.saved_tensors
        n_outputs, n_channels, n_taps = ctx.shape
        gradient = gradient.contiguous()
        n_frames = gradient.shape[1]
        of_kernel = torch.zeros_like(kernel) if ctx.needs_input_grad[1] else None
        of_frames = torch.empty_like(frames) if ctx.needs_input_grad[0] else None
        for index, result in enumerate(gradient):
            if of_kernel is not None:
                for start, rows in _parts(frames[index], n_taps, ctx.stride, n_frames):
                    of_kernel[start : start + rows.shape[1]].addmm_(rows.t(), result)
            if of_frames is not None:
                # The first part's rows fill the beginning without gaps.
                of_frames[index, n_frames * ctx.stride :] = 0.0
                for start, rows in _parts(
                    of_frames[index], n_taps, ctx.stride, n_frames
                ):
                    part = kernel[start : start + rows.shape[1]].t()
                    if start == 0:
                        torch.mm(result, part, out=rows)
                    else:
                        rows.addmm_(result, part)
        of_weight = None
        if of_kernel is not None:
            of_weight = of_kernel.view(n_taps, n_channels, n_outputs).permute(2, 1, 0)
        of_bias = gradient.sum(dim=(0, 1)) if ctx.needs_input_grad[2] else None
        return of_frames, of_weight, of_bias, None


def _parts(
    utterance: torch.Tensor, n_taps: int, stride: int, n_frames: int
) -> list[tuple[int, torch.Tensor]]:
    """Look at (time, channels) as one matrix for each part of the kernel.

    Returns:
        For each part its first row in the kernel and the (n_frames, taps * channels)
        view whose row t holds frames ``t * stride + first tap`` and so on.
    """
    n_channels = utterance.shape[1]
    parts = []
    for tap in range(0, n_taps, stride):
        size = min(stride, n_taps - tap) * n_channels
        rows = utterance.as_strided(
            (n_frames, size),
            (stride * n_channels, 1),
            utterance.storage_offset() + tap * n_channels,
        )
        parts.append((tap * n_channels, rows))
    return parts


def _normalize_over_time(frames: torch.Tensor, norm: nn.GroupNorm) -> torch.Tensor:
    """Normalise every channel of each utterance over its valid frames.

    That is group norm with a group for every channel, and batch norm of one utterance,
    which PyTorch computes for channels that lie innermost.
    """
    n_utterances, size, n_channels = frames.shape
    lengths = getattr(norm, "valid_lengths", None)
    if n_utterances == 1 and lengths is None:
        only = _normalize_columns(frames.view(size, n_channels), norm)
        return only.view(1, size, n_channels)
    rows = [
        nn.functional.pad(_normalize_columns(row[:n], norm), (0, 0, 0, size - n))
        for n, row in zip(
            lengths or [size] * n_utterances, frames.unbind(0), strict=True
        )
    ]
    return torch.stack(rows)


def _normalize_columns(columns: torch.Tensor, norm: nn.GroupNorm) -> torch.Tensor:
    no_average, is_training, momentum, cudnn = None, True, 0.0, False
    return torch.batch_norm(
        columns,
        norm.weight,
        norm.bias,
        no_average,
        no_average,
        is_training,
        momentum,
        norm.eps,
        cudnn,
    )


def _is_supported(layer: nn.Module) -> bool:
    conv = layer.conv
    norm = getattr(layer, "layer_norm", None)
    return (
        conv.groups == 1
        and conv.dilation == (1,)
        and conv.padding == (0,)
        and conv.stride[0] <= conv.kernel_size[0]
        and (not isinstance(norm, nn.GroupNorm) or norm.num_groups == norm.num_channels)
    )
