#!/usr/bin/env python3
"""Disturb a very small experiment at random instants, and see that nothing is lost.

A stage is started on what the stage before left, disturbed, and started again. What
is there then must have the bytes of an undisturbed experiment, with nothing left
behind: no temporary file, no process, no trace of an exception.

    . ./path.sh && python3 benchmarks/disturbances.py --outdir DIR

kill: kill -9 of every process; interrupt: Ctrl-C, SIGTERM and SIGHUP in turn; full: a
disk that fills up; unwritable: a directory that cannot be written. These two mount what
they need, as root, in a space of their own (unshare --mount python3 ...).
"""

import argparse
import filecmp
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT))
from tests.speech import TINY_GENDER, TINY_HUBERT, TINY_SPEAKER  # noqa: E402

OPTIONS = (
    *("--demo_config", "conf/demo.yaml", "--gender_config", "conf/train_gender.yaml"),
    *("--budget", "2", "--speaker_budget", "4", "--seeds", "1 2", "--nj", "2"),
    *("--speaker_config", "conf/train_speaker.yaml", "--tag", "tiny"),
)
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# What tells of times and of this call, not of results.
VARIES = re.compile(
    r"logs/|\.log$|progress\.json$|\.lock$|/claims$|costs\.tsv$|report\.html$"
)
VARIES_WITHIN = re.compile(
    rb'"\w*(made|seconds|started|updated|date)"[^,}]*|"costs": {[^}]*}'
)


def make_recipe(place: Path) -> None:
    """Write a recipe directory of two languages and a random encoder."""
    demo = yaml.safe_load((ROOT / "conf" / "demo.yaml").read_text())
    demo["languages"] = ["es", "tr"]
    demo["splits"] = {
        "train": {"speakers": 3, "utterances": 2},
        "dev": {"speakers": 2, "utterances": 2},
        "test": {"speakers": 2, "utterances": 2},
    }
    (place / "conf").mkdir(parents=True)
    (place / "conf/demo.yaml").write_text(yaml.safe_dump(demo))
    (place / "conf/tiny.yaml").write_text(yaml.safe_dump(TINY_HUBERT))
    for task, config in (("gender", TINY_GENDER), ("speaker", TINY_SPEAKER)):
        own = {"frontend_conf": {"model": "conf/tiny.yaml"}, "max_epoch": 1}
        path = place / "conf" / f"train_{task}.yaml"
        path.write_text(yaml.safe_dump({**config, **own}))


def _react_to_signals() -> None:
    for number in SIGNALS:  # which nohup, or a shell's "&", has this script ignore
        signal.signal(number, signal.SIG_DFL)


def start(place: Path, stage: int) -> subprocess.Popen:
    """Start one stage in a session of its own, its words in ``place``.words."""
    words = place.with_suffix(".words").open("w")
    return subprocess.Popen(
        [ROOT / "run.sh", "--stage", str(stage), "--stop_stage", str(stage), *OPTIONS],
        cwd=place,
        env={**os.environ, "CLTM_RECIPE_DIR": str(place)},
        stdin=subprocess.DEVNULL,
        stdout=words,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=_react_to_signals,
    )


def words_of(place: Path) -> str:
    """Return what the last stage said."""
    return place.with_suffix(".words").read_text(errors="replace")


def processes_of(session: int) -> list[int]:
    """Return the processes of a session that live."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(int(status.parent.name))
    return found


def differences(place: Path, wanted: Path) -> list[str]:
    """Return the files that differ from those of the undisturbed experiment."""

    def files(root: Path) -> set[str]:
        return {str(p.relative_to(root)) for p in root.rglob("*") if not p.is_dir()}

    there, expected = files(place), files(wanted)
    found = [f"{name} is left behind" for name in sorted(there - expected)]
    found += [f"{name} is missing" for name in sorted(expected - there)]
    for name in sorted(there & expected):
        if VARIES.search(name) or filecmp.cmp(place / name, wanted / name, False):
            continue
        one, other = ((r / name).read_bytes() for r in (place, wanted))
        if VARIES_WITHIN.sub(b"", one) != VARIES_WITHIN.sub(b"", other):
            found.append(f"{name} differs")
    return [line for line in found if not re.search(r"logs/|\.log ", line)]


def disturb(place: Path, stage: int, after: float, how: Callable[[int], None]) -> bool:
    """Start a stage and disturb it; return whether it was still at work."""
    process = start(place, stage)
    try:
        process.wait(after)
        return False
    except subprocess.TimeoutExpired:
        how(process.pid)
        process.wait(60)
    return True


def kill(session: int) -> None:
    """Kill every process of a session at once."""
    for process in processes_of(session):
        os.kill(process, signal.SIGKILL)


def check_end(place: Path, session_words: str, status: int | None) -> list[str]:
    """Return what is wrong with how a disturbed stage ended."""
    lines = [
        line
        for line in session_words.splitlines()
        if re.search(r"^\S+: (interrupted; |error: )", line)
    ]
    wrong = [] if len(lines) == 1 else [f"{len(lines)} sentences: {session_words}"]
    if re.search(r"Traceback|Exception ignored|Error:|core dumped", session_words):
        wrong.append(f"a trace: {session_words[-1500:]}")
    if status == 0:
        wrong.append("status 0")
    return wrong


def interrupt(place: Path, stage: int, after: float, number: int) -> list[str]:
    """Interrupt a stage and return what is wrong with its end."""
    process = start(place, stage)
    try:
        process.wait(after)
        return []
    except subprocess.TimeoutExpired:
        pass
    # A terminal's Ctrl-C and its end reach every process; SIGTERM the first alone.
    (os.kill if number == signal.SIGTERM else os.killpg)(process.pid, number)
    begun = time.monotonic()
    try:
        status = process.wait(30)
    except subprocess.TimeoutExpired:
        kill(process.pid)
        return [f"still at work after 30 s: {words_of(place)[-1000:]}"]
    wrong = []
    time.sleep(0.3)
    if left := processes_of(process.pid):
        wrong.append(f"processes {left} are left")
        kill(process.pid)
    if (seconds := time.monotonic() - begun) > 8:
        wrong.append(f"took {seconds:.0f} s to end")
    if "Successfully finished" in words_of(place) and status == 0:
        return wrong
    return wrong + check_end(place, words_of(place), status)


def mount(*words: object) -> None:
    """Call mount."""
    subprocess.run(["mount", *map(str, words)], check=True)


def fill(place: Path, stage: int, outdir: Path, draw: random.Random) -> list[str]:
    """Have the disk fill up somewhere in a stage."""

    def kilobytes(root: Path) -> int:
        said = subprocess.run(["du", "-sk", root], capture_output=True, check=True)
        return int(said.stdout.split()[0])

    before, after = (kilobytes(outdir / f"after{n}") for n in (stage - 1, stage))
    place.mkdir(exist_ok=True)
    mount("-t", "tmpfs", "-o", "size=1g", "tmpfs", place)
    shutil.copytree(outdir / f"after{stage - 1}", place, dirs_exist_ok=True)
    size = before + draw.randrange(8, max(12, int(0.9 * (after - before))))
    mount("-o", f"remount,size={size}k", place)
    status = start(place, stage).wait()
    wrong = [] if status == 0 else check_end(place, words_of(place), status)
    print(f"   {before} kB grow to {after}, of {size}:", *refusals(place))
    mount("-o", "remount,size=1g", place)
    return wrong


def forbid(place: Path, stage: int, outdir: Path, draw: random.Random) -> list[str]:
    """Have a directory be read-only that a stage writes to."""
    later = outdir / f"after{stage}"
    earlier = outdir / f"after{stage - 1}"
    written = {
        path.parent.relative_to(later)
        for path in later.rglob("*")
        if path.is_file() and not (earlier / path.relative_to(later)).exists()
    }
    every = sorted({up for one in written for up in (one, *one.parents)})
    chosen = place / draw.choice(every)
    chosen.mkdir(parents=True, exist_ok=True)
    mount("--bind", chosen, chosen)
    mount("-o", "remount,ro,bind", chosen)
    status = start(place, stage).wait()
    wrong = check_end(place, words_of(place), status)
    print(f"   {chosen.relative_to(place)}:", *refusals(place))
    subprocess.run(["umount", chosen], check=True)
    return wrong


def refusals(place: Path) -> list[str]:
    """Return the sentences with which the last stage ended."""
    return re.findall(r"^\S+: error: .*", words_of(place), re.MULTILINE)


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the options."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--outdir", type=Path, required=True)
    parser.add_argument("--how", nargs="+", default=["kill", "interrupt"])
    parser.add_argument("--n", type=int, default=25, help="disturbances of each sort")
    parser.add_argument("--stages", nargs="+", type=int, default=[1, 2, 3, 4, 5, 6])
    parser.add_argument("--seed", type=int, default=0)
    return parser


def make_reference(outdir: Path) -> list[float]:
    """Make the experiment undisturbed, keeping what each stage leaves; return times."""
    place = outdir / "work"
    shutil.rmtree(place, ignore_errors=True)
    make_recipe(place)
    shutil.copytree(place, outdir / "after0", symlinks=True)
    times = []
    for stage in range(1, 7):
        begun = time.monotonic()
        if start(place, stage).wait():
            sys.exit(words_of(place))
        times.append(time.monotonic() - begun)
        shutil.copytree(place, outdir / f"after{stage}", symlinks=True)
    (outdir / "times").write_text(" ".join(f"{t:.2f}" for t in times))
    return times


def main() -> None:
    """Disturb, repeat, compare."""
    args = get_parser().parse_args()
    outdir = args.outdir.resolve()
    outdir.mkdir(parents=True, exist_ok=True)
    if (outdir / "times").exists():
        times = [float(t) for t in (outdir / "times").read_text().split()]
    else:
        times = make_reference(outdir)
    print("seconds of the stages:", *(f"{t:.1f}" for t in times), flush=True)
    draw = random.Random(args.seed)
    n_wrong = 0
    place = outdir / "work"
    for how in args.how:
        for index in range(args.n):
            stage = args.stages[index % len(args.stages)]
            after = draw.uniform(0, times[stage - 1])
            shutil.rmtree(place, ignore_errors=True)
            shutil.copytree(outdir / f"after{stage - 1}", place, symlinks=True)
            wrong = []
            if how == "kill":
                disturb(place, stage, after, kill)
            elif how == "full":
                wrong = fill(place, stage, outdir, draw)
            elif how == "unwritable":
                wrong = forbid(place, stage, outdir, draw)
            else:
                number = SIGNALS[(index + index // 6) % 3]
                wrong = interrupt(place, stage, after, number)
            if start(place, stage).wait():
                wrong.append(f"the second call fails: {words_of(place)[-1500:]}")
            wrong += differences(place, outdir / f"after{stage}")
            if how == "full":
                subprocess.run(["umount", place], check=True)
            n_wrong += bool(wrong)
            print(
                f"{how} {index}: stage {stage} after {after:.2f} s:", *wrong or ["ok"]
            )
            sys.stdout.flush()
    print(f"{n_wrong} of {len(args.how) * args.n} went wrong")


if __name__ == "__main__":
    main()
