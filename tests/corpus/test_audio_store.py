"""The store is interrupted, starved and disturbed for real, in other processes."""

import contextlib
import os
import random
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import kaldiio
import numpy as np
import pytest
import soundfile

from espnet2_cltm.corpus import audio_chunks
from espnet2_cltm.corpus.audio import load_audio
from espnet2_cltm.corpus.audio_places import Segment
from espnet2_cltm.corpus.audio_store import dump_language
from espnet2_cltm.corpus.datadir import Utterance, read_data_dir, write_data_dir
from espnet2_cltm.corpus.decoding_pool import DecodingPool
from espnet2_cltm.errors import UserError

ROOT = Path(__file__).parents[2]
# As the command does it, but with many small chunks.
DUMP = """
import sys
from espnet2_cltm.corpus import audio_chunks
from espnet2_cltm.bin.dump_audio import main
audio_chunks.CHUNK_SIZE = 5
main(sys.argv[1:])
"""


@pytest.fixture(autouse=True)
def small_chunks_here(tmp_path, monkeypatch):
    monkeypatch.setattr(audio_chunks, "CHUNK_SIZE", 5)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def pool(small_chunks_here):
    with DecodingPool(1) as pool:
        yield pool


@pytest.fixture
def language(small_chunks_here):
    return make_language("xx", {"train": 22, "dev": 6, "test": 7})


def make_language(lang, sizes, wrap="{}"):
    """Write real audio in several formats and data directories over it."""
    generator = np.random.default_rng(0)
    clips = Path("clips") / lang
    clips.mkdir(parents=True)
    formats = [("wav", 16000), ("flac", 44100), ("mp3", 24000), ("ogg", 16000)]
    for split, size in sizes.items():
        utterances = []
        for index in range(size):
            suffix, rate = formats[index % 4]
            clip = clips / f"{split}{index}.{suffix}"
            n_samples = rate // 4 + int(generator.integers(rate // 4))
            soundfile.write(clip, generator.normal(0, 0.1, n_samples), rate)
            utterances.append(
                Utterance(
                    id=f"{split}{index % 3}-{index:03d}",
                    speaker=f"{split}{index % 3}",
                    audio=wrap.format(clip),
                    labels={"gender": "fmf"[index % 3], "age": "teens"},
                    lang=lang,
                    duration=99.0,
                    text=f"words of {index}",
                )
            )
        write_data_dir(Path("data/demo") / lang / split, utterances)
    return Path("data/demo") / lang


def store_of(data):
    return Path("dump/demo") / data.name


def tree(directory):
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in sorted(Path(directory).rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


def complete(data):
    return [
        (store_of(data) / path.name / "wav.scp").exists() for path in data.iterdir()
    ]


def replace_audio(directory, changes):
    rows = {row.id: row for row in read_data_dir(directory)}
    for utt, audio in changes.items():
        rows[utt] = Utterance(utt, rows[utt].speaker, audio, rows[utt].labels)
    write_data_dir(directory, rows.values())


def start(*options, **popen):
    return subprocess.Popen(
        [sys.executable, "-c", DUMP, "--corpus", "demo", *map(str, options)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **popen,
    )


def run(*options, **popen):
    process = start(*options, **popen)
    output, errors = process.communicate(timeout=120)
    return process.returncode, output, errors


def test_every_utterance_is_stored_at_16_khz_with_its_labels(language, pool):
    stored = dump_language(language, store_of(language), pool)
    assert (stored.n_kept, stored.n_decoded) == (35, 35)
    seconds = 0
    for split in ("train", "dev", "test"):
        given = {row.id: row for row in read_data_dir(language / split)}
        directory = store_of(language) / split
        kept = read_data_dir(directory)
        lengths = dict(
            line.split() for line in (directory / "utt2num_samples").open("r")
        )
        arrays = kaldiio.load_scp(str(directory / "wav.scp"))
        assert {row.id for row in kept} == given.keys() == lengths.keys()
        for row in kept:
            rate, samples = arrays[row.id]
            assert (rate, samples.dtype, samples.ndim) == (16000, np.int16, 1)
            assert len(samples) == int(lengths[row.id])
            assert row.duration == pytest.approx(len(samples) / 16000, abs=1e-3)
            assert np.array_equal(load_audio(row.audio) * 32768, samples)
            assert np.array_equal(
                load_audio(row.audio), load_audio(given[row.id].audio)
            )
            for label in ("speaker", "labels", "lang", "text"):
                assert getattr(row, label) == getattr(given[row.id], label)
            seconds += row.duration
    assert stored.seconds == pytest.approx(seconds, abs=0.1)


def test_a_second_run_decodes_and_writes_nothing(language, pool):
    dump_language(language, store_of(language), pool)
    before = {path: path.stat().st_mtime_ns for path in store_of(language).rglob("*")}
    again = dump_language(language, store_of(language), pool)
    assert again.n_decoded == 0
    after = {path: path.stat().st_mtime_ns for path in store_of(language).rglob("*")}
    before.pop(store_of(language) / ".lock")
    after.pop(store_of(language) / ".lock")
    assert before == after


def test_the_number_of_processes_changes_no_byte(language):
    for nj in (1, 3):
        with DecodingPool(nj) as processes:
            dump_language(language, Path(f"{nj}/dump"), processes)
    one, three = tree("1/dump"), tree("3/dump")
    assert one.keys() == three.keys()
    for name in one:
        if not name.endswith((".fingerprint", "wav.scp")):  # these hold the path
            assert one[name] == three[name], name


def test_only_the_chunk_of_a_changed_recording_is_decoded_again(language, pool):
    dump_language(language, store_of(language), pool)
    changed = Path(read_data_dir(language / "train")[7].audio)
    soundfile.write(changed, np.full(16000, 0.25), 16000, format="WAV")
    again = dump_language(language, store_of(language), pool)
    assert again.n_decoded == 5
    row = read_data_dir(store_of(language) / "train")[7]
    assert np.array_equal(load_audio(row.audio), np.full(16000, 0.25))
    # Nothing of the old chunk stays.
    arks = set((store_of(language) / "train" / "arks").glob("*.ark"))
    named = {
        Path(row.audio.rpartition(":")[0])
        for row in read_data_dir(store_of(language) / "train")
    }
    assert arks == named


def test_changed_labels_are_copied_without_decoding(language, pool):
    dump_language(language, store_of(language), pool)
    rows = read_data_dir(language / "dev")
    write_data_dir(
        language / "dev",
        [Utterance(row.id, row.speaker, row.audio, {"mood": "m"}) for row in rows],
    )
    assert dump_language(language, store_of(language), pool).n_decoded == 0
    stored = read_data_dir(store_of(language) / "dev")
    assert [row.labels for row in stored] == [{"mood": "m"}] * 6
    assert not (store_of(language) / "dev" / "text").exists()


def test_times_of_phones_go_with_what_is_stored(language, pool):
    dump_language(language, store_of(language), pool)
    ctm = language / "dev" / "phones.ctm"
    ctm.write_text("dev0-000 1 0.0500 0.1000 a\n")
    assert dump_language(language, store_of(language), pool).n_decoded == 0
    assert (store_of(language) / "dev/phones.ctm").read_text() == ctm.read_text()
    ctm.write_text("dev0-000 1 0.1 0.1 a\ndev0-000 1 0.2 0.9 b\n")
    with pytest.raises(UserError, match=r"phones\.ctm, line 2: dev0-000 .* after"):
        dump_language(language, store_of(language), pool)
    assert not (store_of(language) / "dev/wav.scp").exists()
    ctm.unlink()
    dump_language(language, store_of(language), pool)
    assert not (store_of(language) / "dev/phones.ctm").exists()


def test_a_lost_ark_is_made_again(language, pool):
    dump_language(language, store_of(language), pool)
    expected = tree(store_of(language))
    ark = next((store_of(language) / "test" / "arks").glob("*.ark"))
    ark.write_bytes(ark.read_bytes()[:-10])
    again = dump_language(language, store_of(language), pool)
    assert 0 < again.n_decoded <= 5
    assert tree(store_of(language)) == expected


def test_a_split_that_is_gone_from_data_is_no_longer_complete(language, pool):
    dump_language(language, store_of(language), pool)
    shutil.rmtree(language / "dev")
    stored = dump_language(language, store_of(language), pool)
    assert stored.n_kept == 29
    assert not (store_of(language) / "dev" / "wav.scp").exists()


def test_bad_recordings_are_listed_with_their_reasons(language, pool):
    rows = [row.id for row in read_data_dir(language / "train")]
    Path("empty.mp3").touch()
    Path("text.mp3").write_text("not a recording")
    soundfile.write("silent.flac", np.zeros(16000), 16000)
    soundfile.write("short.wav", np.full(399, 0.5), 16000)
    soundfile.write("loud.wav", np.full(16000, 9830.0), 16000, subtype="FLOAT")
    soundfile.write("long.wav", np.full(16000 * 60 + 1, 0.5), 16000)
    soundfile.write("nan.wav", np.full(999, np.nan), 16000, subtype="FLOAT")
    soundfile.write("cut.mp3", np.random.default_rng(0).normal(0, 0.1, 24000), 24000)
    os.truncate("cut.mp3", 2000)
    faults = {
        "missing.wav": "missing",
        "empty.mp3": "empty",
        "text.mp3": "not audio",
        "silent.flac": "silent",
        "short.wav": "too short",
        "nan.wav": "non-finite samples",
        "cut.mp3": "truncated",
        "false |": "command failed (exit status 1)",
        "loud.wav": "beyond full scale (up to 9830 instead of 1)",
        "long.wav": "longer than 60 s",
    }
    replace_audio(language / "train", dict(zip(rows[3:], faults, strict=False)))
    stored = dump_language(language, store_of(language), pool, max_rejected=0.5)
    assert stored.rejected == Counter(why.split(" (")[0] for why in faults.values())
    assert stored.n_kept == 35 - len(faults)
    lines = (store_of(language) / "train" / "rejected.tsv").read_text().splitlines()
    assert lines[0] == "utt\taudio\treason"
    assert lines[1:] == [
        f"{utt}\t{audio}\t{reason}"
        for utt, (audio, reason) in zip(rows[3:], faults.items(), strict=False)
    ]
    kept = {row.id for row in read_data_dir(store_of(language) / "train")}
    assert kept == {*rows[:3], *rows[3 + len(faults) :]}
    for name in ("utt2num_samples", "utt2gender", "utt2lang"):
        table = (store_of(language) / "train" / name).read_text().splitlines()
        assert {line.split()[0] for line in table} <= kept


def test_more_than_5_percent_lost_is_fatal_until_it_is_allowed(language, pool):
    rows = [row.id for row in read_data_dir(language / "dev")]
    replace_audio(language / "dev", {rows[0]: "a.wav", rows[4]: "b.wav"})
    with pytest.raises(UserError) as caught:
        dump_language(language, store_of(language), pool)
    assert str(caught.value) == (
        "xx: 2 of 35 utterances (5.7%) cannot be used, most often because 'missing' "
        "(2), and no more than 5.0% may be lost: look at "
        "dump/demo/xx/dev/rejected.tsv and put the recordings right, or allow it with "
        "--max_rejected."
    )
    assert complete(language) == [False, False, False]
    listed = (store_of(language) / "dev" / "rejected.tsv").read_text().splitlines()
    assert [line.split("\t")[0] for line in listed[1:]] == [rows[0], rows[4]]
    allowed = dump_language(language, store_of(language), pool, max_rejected=0.06)
    assert (allowed.n_decoded, allowed.n_kept) == (0, 33)
    assert complete(language) == [True, True, True]
    with pytest.raises(UserError):
        dump_language(language, store_of(language), pool)
    assert complete(language) == [False, False, False]


def test_a_missing_recording_that_appears_is_decoded(language, pool):
    rows = read_data_dir(language / "dev")
    appears = Path(rows[0].audio)
    appears.rename("elsewhere.wav")
    assert dump_language(language, store_of(language), pool).n_kept == 34
    Path("elsewhere.wav").rename(appears)
    assert dump_language(language, store_of(language), pool).n_kept == 35


def test_no_data_directories_is_said(tmp_path, pool):
    with pytest.raises(UserError, match="holds none of train, dev, test"):
        dump_language(tmp_path / "data/demo/yy", tmp_path / "dump/demo/yy", pool)


@pytest.mark.slow
def test_killed_at_random_moments_it_ends_with_the_same_bytes():
    data = make_language("xx", {"train": 30, "dev": 5, "test": 5}, "sleep .02; cat {}|")
    assert run("--nj", 2, "--dumpdir", "dump")[0] == 0
    expected = tree("dump")
    shutil.rmtree("dump")
    generator = random.Random(0)
    for _ in range(5):
        process = start("--nj", 2)
        time.sleep(generator.uniform(0.3, 1.1))
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        for split in data.iterdir():
            scp = store_of(data) / split.name / "wav.scp"
            if scp.exists():
                assert scp.read_bytes() == expected[f"demo/xx/{split.name}/wav.scp"]
    status, output, _ = run("--nj", 2)
    assert status == 0
    assert "40 utterances kept, none rejected" in output
    assert tree("dump") == expected


def test_what_a_kill_leaves_behind_is_kept_and_cleaned(language, pool):
    dump_language(language, store_of(language), pool)
    expected = tree(store_of(language))
    arks = store_of(language) / "train" / "arks"
    # Killed between ark and marker, within an ark, and within a label file.
    lost = sorted(arks.glob("*.tsv"))[1]
    lost.unlink()
    (arks / f".{lost.stem}.ark.abcd1234.tmp.ark").write_bytes(b"half")
    (store_of(language) / "train" / ".utt2spk.abcd1234.tmp").write_bytes(b"half")
    (store_of(language) / "train" / "wav.scp").unlink()
    again = dump_language(language, store_of(language), pool)
    assert 0 < again.n_decoded <= 5
    assert tree(store_of(language)) == expected


def test_decoding_processes_end_when_their_parent_is_killed():
    make_language("xx", {"train": 40}, "sleep .1; cat {}|")
    process = start("--nj", 2)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    deadline = time.monotonic() + 20
    while len(pids := children.read_text().split()) < 3:  # 2 and multiprocessing's own
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.kill()
    process.communicate()  # returns when the last child has closed its output
    states = [Path(f"/proc/{pid}/stat") for pid in pids]
    deadline = time.monotonic() + 20
    while any(path.exists() and " Z " not in path.read_text() for path in states):
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.slow
def test_ctrl_c_is_one_sentence_and_the_rest_is_done_later():
    data = make_language("xx", {"train": 40}, "sleep .05; cat {}|")
    process = start("--nj", 2)
    arks = store_of(data) / "train" / "arks"
    deadline = time.monotonic() + 20
    while not list(arks.glob("*.tsv")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert "interrupted; what is finished is kept" in errors
    n_done = len(list(arks.glob("*.tsv")))
    assert 0 < n_done < 8
    # What the interrupted commands were to give is not taken for bad audio.
    assert "40 utterances kept, none rejected" in run("--nj", 2)[1]


@pytest.mark.slow
def test_two_processes_at_once_do_the_work_once_and_right(language):
    assert run()[0] == 0
    expected = tree("dump")
    shutil.rmtree("dump")
    both = [start("--nj", 2), start("--nj", 2)]
    outputs = [process.communicate(timeout=60) for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert tree("dump") == expected
    assert sum("all decoded before" in output for output, _ in outputs) == 1


def test_a_killed_decoding_process_is_one_sentence_and_the_rerun_goes_on(language):
    rows = read_data_dir(language / "test")
    # Not when its state is asked for, but when it is decoded. The pipe's parent is the
    # decoding process: killed as the kernel does it when memory runs out.
    deadly = f"test -e ran && kill -9 $PPID; touch ran; cat {rows[-1].audio} |"
    replace_audio(language / "test", {rows[-1].id: deadly})
    with DecodingPool(1) as processes:
        with pytest.raises(UserError, match="killed, most likely because memory ran"):
            dump_language(language, store_of(language), processes)
        assert complete(language) == [False, False, False]
        replace_audio(language / "test", {rows[-1].id: rows[-1].audio})
        again = dump_language(language, store_of(language), processes)
    assert again.n_kept == 35
    assert again.n_decoded <= 7


def pipe_language(command):
    language = make_language("xx", {"train": 8, "dev": 3})
    rows = read_data_dir(language / "train")
    replace_audio(language / "train", {rows[2].id: command})
    return language, rows[2]


def test_what_a_command_did_is_not_remembered(tmp_path, monkeypatch, pool):
    language, row = pipe_language("mytool audio |")
    with pytest.raises(UserError, match=r"mytool is not found.*install it"):
        dump_language(language, store_of(language), pool)
    tool = tmp_path / "bin" / "mytool"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\necho broken >&2; exit 7\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}:{os.environ['PATH']}")
    with DecodingPool(1) as processes:
        with pytest.raises(UserError, match=r"command failed \(exit status 7: broken"):
            dump_language(language, store_of(language), processes)
        tool.write_text(f"#!/bin/sh\ncat {row.audio}\n")
        assert dump_language(language, store_of(language), processes).n_kept == 11
        again = dump_language(language, store_of(language), processes)
        assert (again.n_decoded, list(again.commands)) == (0, ["mytool audio |"])


def test_changed_audio_behind_a_command_is_decoded_again(pool):
    language, row = pipe_language("sh get.sh 3 |")
    Path("get.sh").write_text(f"cat {row.audio}\n")
    dump_language(language, store_of(language), pool)
    soundfile.write("other.wav", np.full(16000, 0.25), 16000)
    Path("get.sh").write_text("cat other.wav\n")
    assert dump_language(language, store_of(language), pool).n_decoded == 5
    stored = {r.id: r.audio for r in read_data_dir(store_of(language) / "train")}
    assert np.array_equal(load_audio(stored[row.id]), np.full(16000, 0.25))


def test_commands_can_be_refused(pool):
    language, _ = pipe_language("touch ran; cat x.wav |")
    with pytest.raises(UserError, match=r"is a command.* --allow_pipes is false"):
        dump_language(language, store_of(language), pool, allow_pipes=False)
    assert not Path("ran").exists()


def test_segments_are_cut_and_the_store_holds_whole_utterances(pool):
    language = make_language("xx", {"train": 4, "dev": 2})
    recording = np.random.default_rng(1).normal(0, 0.1, 8000 * 5)
    soundfile.write("recording.wav", recording, 8000)
    command = "echo >> runs; cat recording.wav |"
    write_data_dir(
        language / "train",
        [
            Utterance(
                f"s-{n}", "s", command, segment=Segment("rec", n * 0.5, n * 0.5 + 0.4)
            )
            for n in range(8)
        ],
    )
    assert (language / "train/segments").read_text().startswith("s-0 rec 0 0.4\n")
    stored = dump_language(language, store_of(language), pool)
    assert stored.n_kept == 10
    assert stored.remarks["sampled at 8000 Hz"] == 8
    directory = store_of(language) / "train"
    assert not (directory / "segments").exists()
    soundfile.write("part.wav", recording[8000:11200], 8000)
    cut = {row.id: row.audio for row in read_data_dir(directory)}["s-2"]
    difference = load_audio(cut) - load_audio("part.wav")
    assert np.abs(difference).max() < 1e-4
    # Once to see whether it has changed, and once for each chunk.
    assert Path("runs").read_text().count("\n") == 3


def test_a_longer_bound_decodes_what_was_too_long(language, pool):
    dump_language(language, store_of(language), pool, max_rejected=1, max_seconds=0.4)
    again = dump_language(language, store_of(language), pool)
    assert (again.n_kept, again.n_decoded) == (35, 35)


def flip_a_byte(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


DAMAGE = {
    "an ark": ("arks/*.ark", flip_a_byte),
    "a marker": ("arks/*.tsv", flip_a_byte),
    "an empty marker": ("arks/*.tsv", lambda path: path.write_bytes(b"")),
    "a short marker": (
        "arks/*.tsv",
        lambda path: path.write_text(path.read_text().rpartition("\t")[0]),
    ),
    "the fingerprint": (".fingerprint", flip_a_byte),
    "a fingerprint of bytes": (".fingerprint", lambda p: p.write_bytes(b"\xff\xfe")),
    "the lengths": ("utt2num_samples", lambda p: p.write_bytes(b"\xff")),
    "a line of the lengths": (
        "utt2num_samples",
        lambda p: p.write_text(p.read_text().partition("\n")[2]),
    ),
    "the list of audio": ("wav.scp", lambda p: p.write_text("train0-000 id |\n")),
    "a lost table": ("utt2spk", lambda p: p.unlink()),
}


@pytest.mark.parametrize(("pattern", "damage"), DAMAGE.values(), ids=DAMAGE)
def test_what_was_damaged_is_made_again(language, pool, pattern, damage):
    dump_language(language, store_of(language), pool)
    expected = tree(store_of(language))
    damage(min((store_of(language) / "train").glob(pattern)))
    dump_language(language, store_of(language), pool)
    assert tree(store_of(language)) == expected


def test_a_changed_entry_is_seen_when_it_is_read(language, pool):
    dump_language(language, store_of(language), pool)
    audio = read_data_dir(store_of(language) / "train")[0].audio
    ark, _, offset = audio.rpartition(":")
    with Path(ark).open("r+b") as file:
        file.seek(int(offset) + 1000)
        file.write(b"\0\1" * 50)
    with pytest.raises(UserError, match=r"not hold the samples that stage 2 wrote"):
        load_audio(audio)


def test_a_file_that_may_not_grow_is_one_sentence_and_leaves_nothing_half(language):
    command = shlex.join([sys.executable, "-c", DUMP, "--corpus", "demo"])
    limited = f"ulimit -f 40; exec {command}"
    result = subprocess.run(
        ["sh", "-c", limited],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    assert ".ark cannot be written (File too large): free some space" in result.stderr
    assert complete(language) == [False, False, False]
    assert not [name for name in tree("dump") if ".tmp" in name]
    assert run()[0] == 0


@pytest.mark.slow
def test_a_full_disk_is_one_sentence_and_the_rerun_goes_on(language):
    disk = Path("dump")
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip("mounting a small disk needs root and the right to mount")
    try:
        status, _, errors = run()
        assert status == 1
        assert "cannot be written (No space left on device): free some" in errors
        assert "Traceback" not in errors
        assert complete(language) == [False, False, False]
        assert not [name for name in tree(disk) if ".tmp" in name]
        subprocess.run(["mount", "-o", "remount,size=16m", disk], check=True)
        status, output, _ = run()
        assert status == 0
        assert "35 utterances kept" in output
    finally:
        subprocess.run(["umount", str(disk)], check=True)
