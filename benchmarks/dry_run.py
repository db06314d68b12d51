#!/usr/bin/env python3
"""Time and disk that a dry run predicts, and those that the runs then take.

For each setting the cost of stage 4 is predicted as ``./run.sh --dry_run true`` does,
the runs are made, and both costs are printed. Fails if a prediction is further than
``--tolerance`` from the truth.

    benchmarks/dry_run.py
    benchmarks/dry_run.py --common_voice DIR --settings cv_gender cv_speaker

The settings of Common Voice need a directory with its languages ur and pl. The settings
``whole`` need the audio that ``benchmarks/whole_experiment.py`` prepares.
"""

import argparse
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from espnet2_cltm.bin import make_plan
from espnet2_cltm.bin.command_line import command
from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment.estimate import Cost, estimate_cost
from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.experiment.recipe import settings_from
from espnet2_cltm.experiment.writing import write_experiment

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Setting:
    """An experiment whose cost is predicted.

    Attributes:
        corpus: ``demo`` or ``common_voice``.
        options: Options of make_plan, except directories.
        nj: Number of workers.
        dumpdir: Directory of the audio store.
    """

    corpus: str
    options: str
    nj: int = 2
    dumpdir: str = "dump"


DEMO = "--langs cmn,es,tr --seeds 42,43,44"
GENDER = "--task gender --gender_budget 3"
SPEAKER = "--task speaker --speaker_budget 32"
ECAPA = "--speaker_config conf/tuning/train_speaker_ecapa.yaml"
CV = "--langs pl,ur --shared_speakers true --seeds 42,43,44,45"
WHOLE = "--gender_config benchmarks/conf/train_gender_whole_experiment.yaml"
SETTINGS = {
    "demo_gender_nj1": Setting("demo", f"{DEMO} {GENDER}", 1),
    "demo_gender": Setting("demo", f"{DEMO} {GENDER}"),
    "demo_speaker_nj1": Setting("demo", f"{DEMO} {SPEAKER}", 1),
    "demo_speaker": Setting("demo", f"{DEMO} {SPEAKER}"),
    "demo_both": Setting("demo", f"{DEMO} --gender_budget 3 --speaker_budget 32"),
    "demo_ecapa": Setting("demo", f"{DEMO} {SPEAKER} {ECAPA}"),
    "cv_gender": Setting("common_voice", f"{CV} --task gender --gender_budget 30"),
    "cv_speaker": Setting("common_voice", f"{CV} --task speaker --speaker_budget 50"),
    "whole_nj1": Setting(
        "demo",
        f"--langs es,tr --seeds 42 --task gender --gender_budget 32 {WHOLE}",
        1,
        "exp/whole_experiment/dump",
    ),
    "whole": Setting(
        "demo",
        f"--langs cmn,es,tr --seeds 42 --task gender --gender_budget 32 {WHOLE}",
        2,
        "exp/whole_experiment/dump",
    ),
}


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the options."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, default=[*SETTINGS])
    parser.add_argument("--common_voice", type=Path, help="directory of Common Voice")
    parser.add_argument("--workdir", type=Path, default=Path("exp/dry_run"))
    parser.add_argument("--tolerance", type=float, default=0.3)
    return parser


def disk(directory: Path) -> int:
    """Return the bytes of a directory's blocks, as du counts them."""
    paths = [directory, *directory.rglob("*")]
    return sum(512 * path.lstat().st_blocks for path in paths)


def measure(name: str, workdir: Path) -> tuple[Cost, float, int]:
    """Predict a setting's cost and make its runs.

    Returns:
        The prediction, and the true seconds and bytes.
    """
    setting = SETTINGS[name]
    directory = ExperimentDir(workdir / name)
    shutil.rmtree(directory.root, ignore_errors=True)
    words = (word.replace(",", " ") for word in setting.options.split())
    args = make_plan.get_parser().parse_args(
        [
            *("--exp", str(directory.root), "--corpus", setting.corpus),
            *("--dumpdir", setting.dumpdir, "--nj", str(setting.nj), *words),
        ]
    )
    settings = settings_from(vars(args))
    languages = make_plan.choose_languages(settings, args.langs)
    planned = make_plan.make_plan(settings, languages, args.seeds, directory)
    cost = estimate_cost(planned, planned.runs, make_plan.workers_of(args))
    write_experiment(directory, planned)
    command = ["local/run_plan.py", "--exp", str(directory.root), "--nj", str(args.nj)]
    started = time.monotonic()
    subprocess.run([sys.executable, *command], cwd=ROOT, check=True)
    return cost, time.monotonic() - started, disk(directory.runs)


def prepare(names: list[str], common_voice: Path | None) -> None:
    """Prepare the corpora (stages 1 and 2) if they are missing.

    Raises:
        UserError: A setting needs a corpus that is missing.
    """
    corpora = {SETTINGS[name].corpus for name in names}
    run = [str(ROOT / "run.sh"), "--stage", "1", "--stop_stage", "2"]
    if "demo" in corpora:
        subprocess.run(run, cwd=ROOT, check=True, stdout=sys.stderr)
    if "common_voice" in corpora:
        if common_voice is None:
            raise UserError(
                "The settings of Common Voice need --common_voice DIR: give it, or "
                "choose others with --settings."
            )
        more = ["--corpus", "common_voice", "--corpus_dir", str(common_voice)]
        subprocess.run([*run, *more], cwd=ROOT, check=True, stdout=sys.stderr)
    for name in names:
        if not Path(SETTINGS[name].dumpdir).is_dir():
            raise UserError(
                f"{SETTINGS[name].dumpdir} is missing: run "
                "benchmarks/whole_experiment.py, or choose other --settings."
            )


def rows(args: argparse.Namespace) -> Iterator[tuple[str, list[float]]]:
    """Measure every setting and print a line of the table for each.

    Yields:
        A setting's name, and its ratios of prediction and truth.
    """
    print(
        "| setting | runs | nj | predicted s | real s | ratio | predicted MB | real |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for name in args.settings:
        cost, seconds, size = measure(name, args.workdir)
        times = f"{cost.seconds:.0f} | {seconds:.0f} | {cost.seconds / seconds:.2f}"
        sizes = f"{cost.size / 1e6:.2f} | {size / 1e6:.2f}"
        workers = cost.workers.total
        print(f"| {name} | {cost.runs} | {workers} | {times} | {sizes} |", flush=True)
        yield name, [cost.seconds / seconds, cost.size / size]


def compare(args: argparse.Namespace) -> None:
    """Print the table.

    Raises:
        UserError: A prediction is too far from the truth.
    """
    if args.common_voice is None:
        has_default = args.settings == [*SETTINGS]
        args.settings = [
            name
            for name in args.settings
            if not (has_default and SETTINGS[name].corpus == "common_voice")
        ]
    prepare(args.settings, args.common_voice)
    wrong = [
        name
        for name, ratios in rows(args)
        if any(abs(ratio - 1) > args.tolerance for ratio in ratios)
    ]
    if wrong:
        raise UserError(
            f"Further than {args.tolerance:.0%} from the truth: {', '.join(wrong)}."
        )


main = command(get_parser, compare, "INFO")

if __name__ == "__main__":
    main()
