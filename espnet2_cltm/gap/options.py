"""The options of ``egs2/cltm/gap1/run.sh``, and what they say of each encoder.

Values that make an experiment stand in a YAML file; the command line replaces them.
"""

import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from espnet2_cltm.corpus.options import CODES, DATADIR, DUMPDIR
from espnet2_cltm.errors import UserError
from espnet2_cltm.files import read_mapping
from espnet2_cltm.gap.encoders import REFERENCES, list_additions, list_kinds
from espnet2_cltm.options import (
    NAME,
    SEEDS,
    SHARE,
    TEXT,
    Option,
    check_stages,
    each_once,
    help_lines,
    parse,
    read_values,
    some_of,
    stage_up_to,
)
from espnet2_cltm.pretraining.options import HOURS, SSL_OPTIONS, WEIGHT
from espnet2_cltm.registry import find_corpus

_SSL = {option.name: option for option in SSL_OPTIONS}
_TRAINING = (
    *("model", "ssl_config", "first_clusters", "fit_frames", "min_seconds"),
    *("steps_per_epoch", "first_epochs"),
)
"""Options of the pretraining recipe that all encoders share."""
_WEIGHTS = each_once(WEIGHT, "numbers from 0 on, each once, such as '0 0.1'")
EXPERIMENT_OPTIONS = (
    Option("langs", "language codes, two or more", CODES),
    replace(
        HOURS,
        help="hours of speech of a monolingual encoder and of the multilingual one",
        group="Experiment",
    ),
    Option("seeds", "seeds of speech, first weights and training", SEEDS),
    Option(
        "references",
        "what multi is compared with: mono, of as many hours, and part, of the hours "
        "that multi has of the language",
        some_of(*REFERENCES),
    ),
    Option(
        "grounding_weights",
        "weights of the loss of pictures (egs2/cltm/ssl1's grounding_weight), each for "
        "an encoder of each kind; 0 for none",
        _WEIGHTS,
    ),
    Option(
        "grounding_shares",
        "shares of the captions whose pictures are shown, each for an encoder of each "
        "kind and weight above 0",
        each_once(SHARE, "shares above 0 and at most 1, each once, such as '0.5 1'"),
    ),
    Option(
        "feature_weights",
        "weights of the loss of articulatory features (egs2/cltm/ssl1's "
        "feature_weight), each for an encoder of each kind; 0 for none",
        _WEIGHTS,
    ),
)
GAP_OPTIONS = (
    Option("stage", "first stage", stage_up_to(5), "1", group="Flow"),
    Option("stop_stage", "last stage", stage_up_to(5), "5", group="Flow"),
    Option(
        "gap_config",
        "YAML file of the options under Experiment and Training, which replace what it "
        "says",
        TEXT,
        "conf/gap.yaml",
        group="Flow",
    ),
    *EXPERIMENT_OPTIONS,
    *(replace(_SSL[name], default="", group="Training") for name in _TRAINING),
    *(_SSL[name] for name in ("corpus", "corpus_dir", "demo_config")),
    Option("tag", "name of the experiment", NAME, "gap", group="Results"),
    replace(_SSL["nj"], help="encoders at a time; left out, the number of cores"),
    replace(_SSL["ngpu"], help="1 to use a GPU, which all encoders share"),
    DATADIR,
    DUMPDIR,
    _SSL["expdir"],
)
_OF_CONFIG = (*(option.name for option in EXPERIMENT_OPTIONS), *_TRAINING)
_HELP = """\
Usage: ./run.sh [--stage 1] [--stop_stage 5] [--option value ...]

Measures how much worse a multilingual encoder is at each of its languages than a
monolingual one (ABX phone discrimination), and how sure that is.

Stages: 1 prepare and decode the speech    2 clusters for each encoder
        3 pretrain each encoder            4 ABX of each on each language
        5 the gap
Each may be run again alone; it does only what is missing.
"""


def gap_help() -> str:
    """Return the recipe's help."""
    groups = tuple(dict.fromkeys(option.group for option in GAP_OPTIONS))
    return _HELP + "\n".join(help_lines(GAP_OPTIONS, groups)) + "\n"


def resolve_gap(arguments: Sequence[str], environment: Mapping[str, str]) -> str:
    """Return the recipe's options as bash assignments, checked and completed.

    ``encoders`` is an array of names, ``ssl_options`` has the options of the
    pretraining recipe that make each.

    Args:
        arguments: Arguments of ``egs2/cltm/gap1/run.sh``.
        environment: Environment variables, those of db.sh among them.

    Raises:
        UserError: An option or a line of ``--gap_config`` is wrong.
    """
    options = {option.name: option for option in GAP_OPTIONS}
    texts = parse(arguments, options)
    written = _read_config(Path(texts["gap_config"]))
    texts |= {name: texts[name] or written.get(name, "") for name in _OF_CONFIG}
    values = read_values(texts, options)
    check_stages(values)
    for name in _OF_CONFIG:
        if not values[name]:
            raise UserError(
                f"{texts['gap_config']} has no {name}: add it, or give --{name}."
            )
    if len(values["langs"]) < 2:
        raise UserError(
            f"--langs {texts['langs']} is one language: a gap takes two or more."
        )
    corpus = find_corpus(texts["corpus"])
    texts["corpus_dir"] = str(corpus.choose_directory(texts["corpus_dir"], environment))
    texts["nj"] = texts["nj"] or str(len(os.sched_getaffinity(0)))
    for name in ("datadir", "dumpdir", "expdir", "demo_config", "model", "ssl_config"):
        if name != "model" or Path(texts[name]).exists():  # it may be a hub id
            texts[name] = str(Path(texts[name]).absolute())  # of the other recipe, too
    exp = Path(texts["expdir"]) / texts["tag"]
    places = ("corpus", "corpus_dir", "dumpdir", "ngpu")
    shared = {name: texts[name] for name in (*_TRAINING, *places)}
    lines = [f"{name}={shlex.quote(text)}" for name, text in texts.items()]
    lines.append("encoders=()\ndeclare -A ssl_options=()")
    additions = list_additions(
        values["grounding_weights"],
        values["grounding_shares"],
        values["feature_weights"],
    )
    kinds = list_kinds(
        values["langs"], values["references"], values["hours"], additions
    )
    for seed in values["seeds"]:
        for kind in kinds:
            share = kind.addition.grounding_share
            own = {
                "langs": " ".join(kind.langs),
                "hours": f"{kind.hours:g}",
                "seed": str(seed),
                "grounding_weight": f"{kind.addition.grounding_weight:g}",
                "grounding_share": "" if share == 1 else f"{share:g}",
                "feature_weight": f"{kind.addition.feature_weight:g}",
                "expdir": str(exp),
                "tag": kind.directory(seed),
                "nj": "1",
            }
            words = [f"--{name}={text}" for name, text in {**shared, **own}.items()]
            name = kind.directory(seed)
            lines.append(f"encoders+=({name})")
            lines.append(f"ssl_options[{name}]={shlex.quote(shlex.join(words))}")
    return "\n".join(lines) + "\n"


def _read_config(path: Path) -> dict[str, str]:
    """Return the texts of options that a YAML file holds."""
    content = read_mapping(path, "an experiment of the multilingual gap")
    for name in content:
        if name not in _OF_CONFIG:
            raise UserError(
                f"{path} has {name}, which is not one of {', '.join(_OF_CONFIG)}: "
                "correct it."
            )
    return {
        name: " ".join(map(str, value)) if isinstance(value, list) else str(value)
        for name, value in content.items()
    }
