"""What tasks take from ESPnet: imported here before anything else imports it.

ESPnet's collate function brings along text processing that is of no use to these tasks:
``g2p_en``, which takes seconds, downloads data and need not be installed, and
``tacotron_cleaner``, which takes two seconds. While the two modules that name them are
imported, and no longer, stand-ins take their places; the first use of a stand-in
imports what it stands for. ESPnet's functions are imported without the type checks that
typeguard would add to them.
"""

# ruff: noqa: F401 (what is imported, and in this order, is this module's purpose)

import datetime
import importlib
import importlib.util
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from types import ModuleType
from typing import Any
from unittest import mock

import numpy as np
import torch
import typeguard


class _StandIn(ModuleType):
    """Imports the module of the same name when an attribute of it is used."""

    def __getattr__(self, attribute: str) -> Any:
        # The import system and inspection ask for dunders; that is not a use.
        if attribute.startswith("__"):
            raise AttributeError(attribute)
        _remove(self)
        module = importlib.import_module(self.__name__)
        if hasattr(module, attribute) or not hasattr(module, "__path__"):
            return getattr(module, attribute)
        return importlib.import_module(f"{self.__name__}.{attribute}")


def _remove(module: ModuleType) -> None:
    if sys.modules.get(module.__name__) is module:
        del sys.modules[module.__name__]


@contextmanager
def importing_later(*names: str) -> Iterator[None]:
    """Make the import of modules free within the block.

    Where a module is not installed, the first use of its stand-in raises
    ``ModuleNotFoundError``. Modules that have been imported already are left alone.

    Args:
        *names: Modules; a package stands before its modules.
    """
    stand_ins = [_StandIn(name) for name in names if name not in sys.modules]
    sys.modules.update({module.__name__: module for module in stand_ins})
    try:
        yield
    finally:
        for module in stand_ins:
            _remove(module)


@contextmanager
def without_type_checks() -> Iterator[None]:
    """Leave typeguard's checks out of modules that are imported within the block.

    It compiles the functions of ESPnet anew to have every call checked, which takes
    three seconds of each process. What a user sets is checked in :mod:`.options`.
    """

    def as_it_is(target: Any = None, **_: Any) -> Any:
        return as_it_is if target is None else target

    with mock.patch.object(typeguard, "typechecked", as_it_is):
        yield


@contextmanager
def weights_only() -> Iterator[None]:
    """Let ``torch.load`` read tensors and plain values alone within the block.

    ESPnet asks it to unpickle whatever ``init_param`` and ``checkpoint.pth`` hold,
    which may be any code. PyTorch's own variable forbids that, in processes that are
    started within the block too.
    """
    name = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
    before = os.environ.get(name)
    os.environ[name] = "1"  # alone: mock.patch.dict would empty all for a moment
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


# ESPnet's trainer calls it by its old name in every run.
warnings.filterwarnings("ignore", r"`torch\.cuda\.amp\.autocast", FutureWarning)
# What ESPnet's checkpoint.pth holds beside tensors and plain values: times, and numbers
# of numpy. Processes of distributed training import this module too.
_SAFE: list[Any] = [datetime.timedelta, np.dtype, np.float64, type(np.dtype(float))]
_SAFE.append(np.float64(0).__reduce__()[0])
torch.serialization.add_safe_globals(_SAFE)

with without_type_checks():
    with importing_later("g2p_en"):
        importlib.import_module("espnet2.text.phoneme_tokenizer")
    with importing_later("tacotron_cleaner", "tacotron_cleaner.cleaners"):
        importlib.import_module("espnet2.text.cleaner")
    # ESPnet 202609 moved what its tasks take from ESPnet1.
    _is_old = importlib.util.find_spec("espnet.nets") is not None
    NETS = "espnet.nets" if _is_old else "espnet2.legacy.nets"
    # It prints that Flash Attention is not installed, since 202609 as an error.
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        importlib.import_module(f"{NETS}.pytorch_backend.transformer.attention")

    # ESPnet's list of decoders names one, never used here, that needs more packages.
    _S4 = "espnet2.asr.state_spaces.model"
    if _S4 not in sys.modules:
        sys.modules[_S4] = ModuleType(_S4)
        sys.modules[_S4].SequenceModel = None  # type: ignore[attr-defined]
        importlib.import_module("espnet2.asr.decoder.s4_decoder")
        del sys.modules[_S4]

    from espnet2.asr.encoder.abs_encoder import AbsEncoder
    from espnet2.asr.espnet_model import ESPnetASRModel
    from espnet2.tasks import abs_task, asr, spk
    from espnet2.tasks.abs_task import AbsTask, optim_classes, scheduler_classes
    from espnet2.train.class_choices import ClassChoices
    from espnet2.train.collate_fn import CommonCollateFn
    from espnet2.train.dataset import ESPnetDataset
    from espnet2.train.iterable_dataset import IterableESPnetDataset
    from espnet2.train.preprocessor import SpkPreprocessor
    from espnet2.train.trainer import GradScaler, Trainer, TrainerOptions
