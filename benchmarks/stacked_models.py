#!/usr/bin/env python3
"""Whether training several runs as one stacked model is faster on a CPU.

The models' parameters are stacked, and one forward and backward pass is vectorised over
them (torch.func). Both ways must give the same gradients. All utterances have one
length, the best case for stacking: in an experiment they would have to be padded.

    benchmarks/stacked_models.py
"""

import argparse
import copy
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.func import functional_call, grad, stack_module_state, vmap
from torch.nn.utils import parametrize
from transformers import HubertConfig, HubertModel

from espnet2_cltm.bin.command_line import run_command
from espnet2_cltm.errors import UserError

SHAPES = {
    "2 layers of 64, CNN of 32": (2, 64, 32),
    "4 layers of 128, CNN of 64": (4, 128, 64),
    "4 layers of 128, CNN of 128": (4, 128, 128),
}


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the options."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--seconds", type=float, default=3.0, help="length of an utterance"
    )
    parser.add_argument(
        "--models", type=int, default=4, help="number of models stacked"
    )
    parser.add_argument("--steps", type=int, default=10)
    return parser


def build(layers: int, size: int, channels: int) -> HubertModel:
    """Build a small encoder that works with vmap."""
    fields: Mapping[str, Any] = {
        "num_hidden_layers": layers,
        "hidden_size": size,
        "intermediate_size": 4 * size,
        "num_attention_heads": 4,
        "conv_dim": [channels] * 7,
        "num_conv_pos_embeddings": 32,
        "num_conv_pos_embedding_groups": 8,
        "apply_spec_augment": False,
        "layerdrop": 0.0,
        **{
            f"{part}_dropout": 0.0
            for part in ("hidden", "activation", "attention", "feat_proj")
        },
        "attn_implementation": "eager",
    }
    model = HubertModel(HubertConfig(**fields))
    # Stacked parameters cannot go through a weight norm.
    parametrize.remove_parametrizations(model.encoder.pos_conv_embed.conv, "weight")
    return model


def loss_of(states: torch.Tensor) -> torch.Tensor:
    """Return a loss to differentiate."""
    return states.mean(dim=1).square().sum()


def seconds_a_step(step: Callable[[], Any], n_steps: int) -> float:
    """Return CPU seconds per step; the first two calls prepare kernels."""
    for _ in range(2):
        step()
    started = time.process_time()
    for _ in range(n_steps):
        step()
    return (time.process_time() - started) / n_steps


def compare(args: argparse.Namespace) -> None:
    """Print both ways' time for each shape.

    Raises:
        UserError: The gradients differ.
    """
    torch.set_num_threads(1)
    print(
        f"{args.models} models, {args.seconds} s of audio, CPU ms a step of one model"
    )
    for name, shape in SHAPES.items():
        models = [build(*shape) for _ in range(args.models)]
        speech = torch.randn(args.models, 1, int(16000 * args.seconds))
        parameters, buffers = stack_module_state(models)
        skeleton = copy.deepcopy(models[0])

        def one_after_another(models=models, speech=speech) -> None:
            for model, row in zip(models, speech, strict=True):
                model.zero_grad()
                loss_of(model(row).last_hidden_state).backward()

        def loss(parameters, buffers, row, skeleton=skeleton) -> torch.Tensor:
            output = functional_call(skeleton, (parameters, buffers), (row,))
            return loss_of(output.last_hidden_state)

        stacked = vmap(grad(loss))
        one_after_another()
        gradients = stacked(parameters, buffers, speech)
        for index, model in enumerate(models):
            for key, parameter in model.named_parameters():
                expected = parameter.grad
                if expected is not None and not torch.allclose(
                    gradients[key][index], expected, atol=1e-5
                ):
                    raise UserError(f"The gradients of {key} differ.")
        alone = seconds_a_step(one_after_another, args.steps) / args.models
        together = (
            seconds_a_step(lambda: stacked(parameters, buffers, speech), args.steps)  # noqa: B023
            / args.models
        )
        print(
            f"{name:28} alone {1000 * alone:6.1f}  stacked {1000 * together:6.1f}  "
            f"ratio {alone / together:.2f}"
        )


def main() -> None:
    """Run the comparison."""
    args = get_parser().parse_args()
    run_command(lambda: compare(args))


if __name__ == "__main__":
    main()
