"""What run.sh is to do: its options checked, and the arguments of its stages.

run.sh passes its arguments to :func:`resolve`, which checks all of them before any
stage runs and returns the arguments of each stage's script. The options are declared in
:mod:`.recipe_options`.
"""

import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from espnet2_cltm.budget import Seconds
from espnet2_cltm.calling import recipe_call
from espnet2_cltm.corpus.language import CorpusOptions, CorpusSpec
from espnet2_cltm.corpus.prepare import choose_languages
from espnet2_cltm.devices import check_gpus
from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment.adaptive import ADAPTIVE
from espnet2_cltm.experiment.encoder import check_layers, read_train_configs
from espnet2_cltm.experiment.plan import check_grid, read_plan
from espnet2_cltm.experiment.recipe_options import recipe_options
from espnet2_cltm.experiment.run_options import number_of_workers
from espnet2_cltm.experiment.settings import Settings, read_settings
from espnet2_cltm.experiment.slurm_settings import check_slurm
from espnet2_cltm.experiment.steps import check_steps
from espnet2_cltm.experiment.strategies import config_of, own_strategy, read_strategies
from espnet2_cltm.files import read_text, shipped
from espnet2_cltm.options import (
    Option,
    as_asked,
    check_stages,
    distinct,
    parse,
    quoted,
    read_values,
)
from espnet2_cltm.pooling.methods import read_pool_method
from espnet2_cltm.pools import PoolOptions
from espnet2_cltm.registry import find_corpus, find_task, task_names
from espnet2_cltm.task import TaskSpec


def choose_tasks(names: Iterable[str]) -> list[TaskSpec]:
    """Return the tasks asked for, each once, sorted.

    Raises:
        UserError: No task is named, or one is not known or cannot be trained.
    """
    known = ", ".join(task_names())
    specs = []
    for name in sorted(set(names)):
        if name not in task_names():
            raise UserError(f"--task {name} is not known: give one or more of {known}.")
        specs.append(find_task(name))
    if not specs:
        raise UserError(f"--task is empty: give one or more of {known}.")
    return specs


def settings_from(values: Mapping[str, Any]) -> Settings:
    """Return the settings of an experiment from the values of its options.

    Args:
        values: Values of stage 3's options, by name.

    Raises:
        UserError: A task is not known, an option is missing, or options contradict each
            other.
    """
    specs = choose_tasks(values["task"])
    corpus = find_corpus(values["corpus"])
    grid = values["regime_budgets"] or ()
    check_grid(grid)
    shared = values["shared_speakers"]
    if shared is None:
        shared = corpus.people_across_languages
    options = {}
    for spec in specs:
        options[spec.name] = {o.name: values[o.name] for o in spec.options}
        _require_unit(spec, "--regime_budgets", max(grid, default=None))
        spec.check_options(options[spec.name], shared)
    train_config = read_train_configs(
        {s.name: shipped(values[f"{s.name}_config"] or s.train_config) for s in specs},
        values["model"] or None,
        values["freeze"] or None,
    )
    pools = _pool_options(values)
    settings = Settings(
        corpus=corpus.name,
        dumpdir=values["dumpdir"],
        budget={} if grid else {s.name: _budget(s, corpus, values) for s in specs},
        options=options,
        shared_speakers=shared,
        zero_shot=values["zero_shot"] and not grid,
        test_batch_bins=values["test_batch_bins"],
        train_config=train_config,
        pairs_fraction=values["pairs_fraction"],
        pairs_seed=values["pairs_seed"],
        regime_budgets=grid,
        steps=values["steps"],
        strategies=read_strategies(values["strategy"]),
        pools=pools,
        pool_methods={m: read_pool_method(m) for m in pools.methods} if pools else {},
        design=values["design"],
        certainty=values["certainty"],
    )
    if grid and settings.design == ADAPTIVE:
        raise UserError(
            "--regime_budgets is for learning curves, which have no pairs: leave "
            "--design adaptive out."
        )
    for name, n in settings.budget.items():
        if values["shots"] and isinstance(n, Seconds):
            raise UserError(
                f"--shots counts utterances, and N of {name} is {n}: give "
                f"--{name}_budget in utterances, too, or leave --shots out."
            )
    for name, config in train_config.items():
        own = own_strategy(config)
        for strategy in settings.strategies or [own]:
            adapted = config_of(settings, name, strategy, strategy == own)
            check_steps(name, values["steps"], adapted)
    return settings


def _pool_options(values: Mapping[str, Any]) -> PoolOptions | None:
    """Return what is asked for targets without data.

    Raises:
        UserError: It is asked for together with learning curves, or options of pools
            are given without any.
    """
    options = PoolOptions(
        pools=values["pools"],
        shots=values["shots"] or (),
        sizes=values["pool_sizes"],
        targets=tuple(sorted({*values["pool_targets"]})),
        seed=values["pools_seed"],
        methods=tuple(distinct(values["pool_method"])),
    )
    without = PoolOptions(
        shots=options.shots, targets=options.targets if options.shots else ()
    )
    if not options.pools and options != without:
        raise UserError(
            "--pool_targets, --pool_method, --pool_sizes and --pools_seed are about "
            "pools, and there are none: give --pools, too, or leave them out."
        )
    if not options.pools and not options.shots:
        return None
    if values["regime_budgets"]:
        raise UserError(
            "--regime_budgets is for learning curves alone: leave --pools and --shots "
            "out, or give --budget in its place."
        )
    return options


def _budget(spec: TaskSpec, corpus: CorpusSpec, values: Mapping[str, Any]) -> int:
    asked = values.get(f"{spec.name}_budget") or values.get("budget")
    _require_unit(spec, f"--{spec.name}_budget", asked)
    if asked is None and corpus.is_demo:
        asked = spec.demo_budget
    if asked is None:
        raise UserError(
            f"--{spec.name}_budget or --budget is missing: give N, {spec.unit} of a "
            "single run."
        )
    return asked


def _require_unit(spec: TaskSpec, option: str, n: int | None) -> None:
    if isinstance(n, Seconds) and not spec.counts_seconds:
        raise UserError(
            f"{option} is {n}, but {spec.name} does not count seconds: give a number "
            f"of {spec.unit}."
        )


@dataclass(frozen=True)
class Recipe:
    """What run.sh is to do.

    Attributes:
        stage: First stage.
        stop_stage: Last stage.
        texts: Texts of all options by name, defaults and derived ones filled in.
        tasks: Names of the tasks.
        exp: Directory of the experiment.
        is_regime: Whether it measures learning curves in place of a matrix.
        arguments: Arguments of each stage's script by the name of the bash array,
            ``stage1`` to ``stage5`` and ``stage6_<task>``.
    """

    stage: int
    stop_stage: int
    texts: Mapping[str, str]
    tasks: tuple[str, ...]
    exp: Path
    is_regime: bool
    arguments: Mapping[str, Sequence[str]]

    def shell(self) -> str:
        """Return the bash assignments of all that run.sh uses."""
        scalars = {
            "stage": self.stage,
            "stop_stage": self.stop_stage,
            "tasks": " ".join(self.tasks),
            "exp": self.exp,
            "matrix_or_regime": "regime" if self.is_regime else "cltm",
            **{name: self.texts[name] for name in _SHOWN},
        }
        lines = [f"{name}={shlex.quote(str(value))}" for name, value in scalars.items()]
        lines += [f"{n}=({shlex.join(words)})" for n, words in self.arguments.items()]
        return "\n".join(lines) + "\n"


_SHOWN = (
    *("corpus", "datadir", "dumpdir", "nj", "dry_run", "executor", "slurm_config"),
    "design",
)


def resolve(arguments: Sequence[str], environment: Mapping[str, str]) -> Recipe:
    """Check all options of run.sh and derive the arguments of its stages.

    Args:
        arguments: Arguments of run.sh.
        environment: Environment variables: those of db.sh and cmd.sh, and
            ``CLTM_RECIPE_DIR`` of a recipe in ``egs2/``.

    Raises:
        UserError: An option is wrong, or options contradict each other.
    """
    options = recipe_options()
    asked = parse(arguments, options)
    texts = parse([*_of_cmd_sh(environment), *arguments], options)
    if texts["corpus"] == options["corpus"].default:
        texts["corpus"] = _demo_of(choose_tasks(texts["task"].split()))
    values = read_values(texts, options)
    stage, stop_stage = values["stage"], values["stop_stage"]
    check_stages(values)
    if values["dry_run"]:
        if stage > 3:
            raise UserError(
                f"--dry_run true ends in stage 3, and --stage {stage} begins behind "
                "it: leave one of them out."
            )
        stop_stage = min(stop_stage, 3)
    if values["nj"] is None:
        n_workers = number_of_workers(None, values["ngpu"], values["jobs_per_gpu"])
        texts["nj"] = str(n_workers)
    settings = None
    draws = stage <= 2 <= stop_stage and values["decode"] == "drawn"
    ends_early = stop_stage < 3 and not (draws and _knows_n(values))
    if not ends_early and not (stage > 3 and texts["tag"]):
        settings = settings_from(values)
        texts |= {f"{name}_budget": str(n) for name, n in settings.budget.items()}
    specs = choose_tasks(values["task"])
    tag = texts["tag"] or _tag(
        texts["corpus"], specs, settings.budget if settings else {}
    )
    exp = Path(texts["expdir"]) / tag
    if stage > 3:
        settings = _read_existing(exp)
        names = {planned.run.task for planned in read_plan(exp / "plan.tsv")}
        specs = _choose_planned(specs, names, texts, options)
        texts["corpus"] = settings.corpus
        _tell_of_other_plan(exp, asked, options)
    for spec in specs:
        _check_metric(spec, values[f"{spec.name}_metric"])
    texts["task"] = " ".join(spec.name for spec in specs)
    if stage <= 3:
        corpus = find_corpus(texts["corpus"])
        if stage == 1:
            directory = corpus.choose_directory(texts["corpus_dir"], environment)
            texts["corpus_dir"] = str(directory)
        langs = _languages(corpus, values, texts["corpus_dir"], stage)
        texts["langs"] = " ".join(langs)
        is_matrix = settings and not settings.regime_budgets
        if is_matrix and stop_stage >= 3 and len(langs) == 1:
            raise UserError(
                f"{langs[0]} is the only language, and a matrix needs a target and a "
                "donor: name two or more with --langs."
            )
    _check_files(values, stage)
    makes_runs = stage <= 4 <= stop_stage
    if makes_runs and values["layers"] and settings is not None:
        check_layers({one.name: settings.train_config[one.name] for one in specs})
    if texts["executor"] == "local":
        if makes_runs or (values["dry_run"] and stop_stage == 3):
            check_gpus(values["ngpu"])
    elif makes_runs:
        check_slurm(Path(values["slurm_config"]), values["ngpu"])
    command = _command({**asked, "langs": texts["langs"]}, options, environment)
    is_regime = settings is not None and bool(settings.regime_budgets)
    arguments_of: dict[str, Sequence[str]] = {
        f"stage{n}": [*_arguments(options, texts, n), *_places(n, exp, command)]
        for n in range(2, 6)
    }
    if draws and settings is not None:
        arguments_of["stage2"] = [
            *arguments_of["stage2"],
            "--",
            *arguments_of["stage3"],
        ]
    # As asked: stage 1 itself knows what the corpus has, and says what it lacks.
    of_stage_1 = {**texts, "langs": asked["langs"]}
    arguments_of["stage1"] = _arguments(options, of_stage_1, 1)
    for spec in specs:
        arguments_of[f"stage6_{spec.name}"] = _stage_6(spec, texts, exp, is_regime)
    tasks = tuple(spec.name for spec in specs)
    return Recipe(stage, stop_stage, texts, tasks, exp, is_regime, arguments_of)


def _of_cmd_sh(environment: Mapping[str, str]) -> list[str]:
    """Return what cmd.sh sets, as arguments in front of those that are given.

    Raises:
        UserError: It names an executor that is not known.
    """
    backend = environment.get("cmd_backend") or "local"
    if backend not in ("local", "slurm"):
        raise UserError(
            f"cmd_backend={backend} in cmd.sh is not known: set it to local or slurm."
        )
    config = environment.get("slurm_config")
    return [f"--executor={backend}", *([f"--slurm_config={config}"] if config else [])]


def _knows_n(values: Mapping[str, Any]) -> bool:
    """Return whether N of every task is given."""
    tasks = (values.get(f"{name}_budget") for name in set(values["task"]))
    return bool(values["regime_budgets"] or values["budget"] or all(tasks))


def _demo_of(specs: Sequence[TaskSpec]) -> str:
    """Return the demo corpus of tasks.

    Raises:
        UserError: They have different ones.
    """
    demos = sorted({spec.demo for spec in specs})
    if len(demos) > 1:
        raise UserError(
            f"--task: {' and '.join(spec.name for spec in specs)} have different "
            f"demos, {' and '.join(demos)}: give tasks of one of them, or --corpus "
            f"{demos[-1]} for all."
        )
    return demos[0]


def _read_existing(exp: Path) -> Settings:
    """Return the settings of an experiment that stage 3 has made."""
    if not (exp / "plan.tsv").exists():
        made = sorted(path.parent.name for path in exp.parent.glob("*/plan.tsv"))
        raise UserError(
            f"The experiment {exp} does not exist: run stage 3"
            + (f", or set --tag to one of {' '.join(made)}." if made else ".")
        )
    return read_settings(exp / "experiment.yaml")


def _tell_of_other_plan(
    exp: Path, asked: Mapping[str, str], options: Mapping[str, Option]
) -> None:
    """Name the options of stage 3 that are not those that the plan was made with."""
    recorded = exp / "command.txt"
    try:
        words = shlex.split(recorded.read_text("utf-8")) if recorded.exists() else []
        begin = next((k for k, word in enumerate(words) if word.startswith("--")), None)
        planned = parse(words[begin:], options) if begin else dict(asked)
    except (UserError, ValueError):  # a merge, of another version, or damaged
        return
    for name, text in asked.items():
        option = options[name]
        is_of_plan = option.shapes_result and max(option.stages, default=0) == 3
        if name == "task" or not is_of_plan or text == option.default:
            continue
        given, known = (
            {*value} if isinstance(value, tuple) else {value}
            for value in map(option.read, (text, planned[name]))
        )
        if not given <= known:
            print(
                f"--{name} {quoted(text)} has no effect before stage 3 is run with it: "
                f"{exp} was planned with "
                + (f"--{name} {quoted(planned[name])}." if planned[name] else "none."),
                file=sys.stderr,
            )


def _choose_planned(
    asked: Sequence[TaskSpec],
    planned: Set[str],
    texts: Mapping[str, str],
    options: Mapping[str, Option],
) -> list[TaskSpec]:
    """Return the tasks of an experiment, or those of them that are asked for."""
    if set(texts["task"].split()) == set(options["task"].default.split()):
        return choose_tasks(planned)
    if missing := [spec.name for spec in asked if spec.name not in planned]:
        raise UserError(
            f"--task {missing[0]} is not planned in the experiment, whose tasks are "
            f"{' '.join(sorted(planned))}: run stage 3 with it, or leave it out."
        )
    return list(asked)


def _languages(
    corpus: CorpusSpec, values: Mapping[str, Any], corpus_dir: str, stage: int
) -> Sequence[str]:
    """Return the languages of stages 2 and 3; none for all that there are."""
    if values["langs"]:
        return values["langs"]
    if corpus.default_languages:
        config = corpus.choose_config(values["demo_config"] or "")
        return corpus.default_languages(CorpusOptions(config=config))
    return choose_languages(corpus, Path(corpus_dir)) if stage == 1 else ()


def _check_files(values: Mapping[str, Any], stage: int) -> None:
    """Refuse a table that a stage would miss, which may be hours later."""
    for name in ("languages_conf", "distances", *(["labels"] if stage == 1 else [])):
        path = values[name]
        if path and "{lang}" not in path:
            read_text(path, f"correct --{name}")


def _check_metric(spec: TaskSpec, name: str | None) -> None:
    if name and spec.metric(name) is None:
        known = [m.name + ("_<class>" if m.per_class else "") for m in spec.metrics]
        raise UserError(
            f"--{spec.name}_metric {name} is not known: give one of {', '.join(known)}."
        )


def _tag(corpus: str, specs: Sequence[TaskSpec], budgets: Mapping[str, int]) -> str:
    if budgets:
        return "_".join([corpus, *(f"{s.name}_n{budgets[s.name]}" for s in specs)])
    return "_".join([corpus, *(s.name for s in specs), "regime"])


def _arguments(
    options: Mapping[str, Option], texts: Mapping[str, str], stage: int
) -> list[str]:
    # In one word, as a value may begin with a dash.
    return [
        f"--{name}={texts[name]}"
        for name, option in options.items()
        if stage in option.stages and (texts[name] or option.default)
    ]


def _places(stage: int, exp: Path, command: str) -> list[str]:
    if stage < 3:
        return []
    return ["--exp", str(exp), *(["--command", command] if stage == 3 else [])]


def _stage_6(
    spec: TaskSpec, texts: Mapping[str, str], exp: Path, is_regime: bool
) -> list[str]:
    kind = "regime" if is_regime else "cltm"
    words = ["--results", str(exp / "results.tsv"), "--task", spec.name]
    words += ["--outdir", str(exp / kind / spec.name)]
    if metric := texts[f"{spec.name}_metric"]:
        words += ["--metric", metric]
    words += ["--languages_conf", texts["languages_conf"]]
    if is_regime:
        return words
    if texts["distances"]:
        words += ["--distances", texts["distances"]]
    curves = f"{texts['corpus']}_{spec.name}_regime/regime/{spec.name}/regime.json"
    regime = Path(texts["expdir"]) / curves
    return [*words, "--regime", str(regime)] if regime.exists() else words


def _command(
    asked: Mapping[str, str],
    options: Mapping[str, Option],
    environment: Mapping[str, str],
) -> str:
    """Return the command that makes this experiment, for its report.

    It has the options that differ from their defaults and may change results.
    """
    words = [recipe_call(environment)]
    recipe = environment.get("CLTM_RECIPE_DIR")
    if recipe and words == ["./run.sh"]:
        root = environment.get("CLTM_ROOT", "")
        place = shlex.quote(recipe.removeprefix(f"{root}/"))
        words.insert(0, f"CLTM_RECIPE_DIR={place}")
    return " ".join([*words, *as_asked(asked, options)])
