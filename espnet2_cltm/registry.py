"""Tasks, corpora and strategies by name.

They are found in three places: this package; for label tasks the files
``conf/tasks/<name>.yaml`` of the working directory and of the repository; and entry
points of installed packages, in the groups ``espnet2_cltm.tasks`` (a
:class:`.TaskSpec`), ``espnet2_cltm.corpora`` (a :class:`.CorpusSpec`) and
``espnet2_cltm.strategies`` (a strategy's class). An entry point has the name of what
it provides.
"""

from collections.abc import Mapping
from functools import lru_cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

from espnet2_cltm.corpus.language import CorpusSpec
from espnet2_cltm.errors import UserError
from espnet2_cltm.task import TaskSpec

if TYPE_CHECKING:
    from espnet2_cltm.strategies.strategy import Strategy

_TASKS = {
    "speaker": "espnet2_cltm.speaker.spec:SPEAKER",
    "asr": "espnet2_cltm.asr.spec:ASR",
}
_CORPORA = {
    "common_voice": "espnet2_cltm.corpus.common_voice:COMMON_VOICE",
    "demo": "espnet2_cltm.corpus.demo:DEMO",
    "demo_words": "espnet2_cltm.corpus.demo:DEMO_WORDS",
    "kaldi": "espnet2_cltm.corpus.kaldi:KALDI",
}
_STRATEGIES = {
    "adversarial": "espnet2_cltm.strategies.adversarial:Adversarial",
    "augment": "espnet2_cltm.strategies.augment:Augment",
    "freeze": "espnet2_cltm.strategies.freeze:Freeze",
    "full": "espnet2_cltm.strategies.full:Full",
    "gradual": "espnet2_cltm.strategies.gradual:Gradual",
    "houlsby": "espnet2_cltm.strategies.houlsby:Houlsby",
    "l2sp": "espnet2_cltm.strategies.l2sp:L2sp",
    "llrd": "espnet2_cltm.strategies.llrd:Llrd",
    "lora": "espnet2_cltm.strategies.lora:Lora",
    "reinit": "espnet2_cltm.strategies.reinit:Reinit",
}
_PACKAGE = Path(__file__).parent


def task_names() -> tuple[str, ...]:
    """Return the names of the tasks that can be trained, sorted."""
    named = {*_TASKS, *_label_files(), *_entry_points("tasks")}
    return tuple(sorted(named))


def find_task(name: str) -> TaskSpec:
    """Return a task.

    Raises:
        UserError: There is no such task, or its declaration is wrong.
    """
    if name in _TASKS:
        return _load(_TASKS[name])
    files = _label_files()
    if name in files:
        return _read_label_task(files[name], files[name].stat().st_mtime_ns)
    return _from_outside("tasks", "--task", name, task_names(), TaskSpec)


def corpus_names() -> tuple[str, ...]:
    """Return the names of the corpora, sorted."""
    return tuple(sorted({*_CORPORA, *_entry_points("corpora")}))


def find_corpus(name: str) -> CorpusSpec:
    """Return a corpus.

    Raises:
        UserError: There is no such corpus, or its declaration is wrong.
    """
    if name in _CORPORA:
        return _load(_CORPORA[name])
    return _from_outside("corpora", "--corpus", name, corpus_names(), CorpusSpec)


def strategy_names() -> tuple[str, ...]:
    """Return the names of the strategies, sorted."""
    return tuple(sorted({*_STRATEGIES, *_entry_points("strategies")}))


def find_strategy(name: str) -> type["Strategy"]:
    """Return a strategy's class; imports torch.

    Raises:
        UserError: There is no such strategy, or its entry point cannot be used.
    """
    if name in _STRATEGIES:
        return _load(_STRATEGIES[name])
    from espnet2_cltm.strategies.strategy import Strategy

    found, place = _load_entry("strategies", "--strategy", name, strategy_names())
    if not (isinstance(found, type) and issubclass(found, Strategy)):
        raise UserError(
            f"--strategy {name}: the entry point {place} is not a subclass of "
            "Strategy: correct the package that declares it."
        )
    return found


def task_directories() -> list[Path]:
    """Return the directories of label tasks' YAML files; the first one wins."""
    return [Path("conf/tasks"), _PACKAGE / "conf" / "tasks", _PACKAGE / "label/tasks"]


def _label_files() -> dict[str, Path]:
    files = {}
    for place in reversed(task_directories()):
        files.update({path.stem: path for path in sorted(place.glob("*.yaml"))})
    return {name: path for name, path in files.items() if name not in _TASKS}


@lru_cache(maxsize=64)
def _read_label_task(path: Path, mtime_ns: int) -> TaskSpec:
    from espnet2_cltm.label.spec import read_label_task

    return read_label_task(path)


@lru_cache(maxsize=8)
def _entry_points(kind: str) -> Mapping[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=f"espnet2_cltm.{kind}")}


def _from_outside(
    kind: str, option: str, name: str, known: tuple[str, ...], wanted: type
) -> Any:
    found, place = _load_entry(kind, option, name, known)
    if not isinstance(found, wanted) or getattr(found, "name", None) != name:
        raise UserError(
            f"{option} {name}: the entry point {place} is not a "
            f"{wanted.__name__} named {name}: correct the package that declares it."
        )
    return found


def _load_entry(
    kind: str, option: str, name: str, known: tuple[str, ...]
) -> tuple[Any, str]:
    """Return what an entry point provides, and its place."""
    entry = _entry_points(kind).get(name)
    if entry is None:
        raise UserError(
            f"{option} {name} is not known: give one of {', '.join(known)}."
        )
    try:
        return entry.load(), entry.value
    except (ImportError, AttributeError) as error:
        raise UserError(
            f"{option} {name}: the entry point {entry.value} cannot be loaded "
            f"({error}): correct the package that declares it."
        ) from error


def _load(place: str) -> Any:
    module, _, attribute = place.partition(":")
    return getattr(import_module(module), attribute)
