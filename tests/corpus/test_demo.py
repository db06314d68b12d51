"""The demo corpus: whole or absent, the same each time, made anew when told so."""

import hashlib
import os
import re
import signal
import subprocess
import sys
import time
import wave
from pathlib import Path

import pytest
import yaml

from espnet2_cltm.corpus import demo
from espnet2_cltm.corpus.datadir import read_data_dir, write_data_dir
from espnet2_cltm.corpus.language import CorpusOptions
from espnet2_cltm.errors import UserError

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "conf" / "demo.yaml"


@pytest.fixture
def write_config(tmp_path):
    """Write conf/demo.yaml, smaller and with changes; return its path."""

    def write(name="demo.yaml", **changes):
        content = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
        content["splits"] = {
            "train": {"speakers": 2, "utterances": 3},
            "dev": {"speakers": 1, "utterances": 1},
            "test": {"speakers": 1, "utterances": 2},
        }
        path = tmp_path / name
        path.write_text(yaml.safe_dump(content | changes), encoding="utf-8")
        return path

    return write


def load(corpus_dir, config, lang="es", nj=2):
    return demo.load_language(corpus_dir, lang, CorpusOptions(nj=nj, config=config))


def audio(corpus_dir):
    return {
        str(path.relative_to(corpus_dir)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(corpus_dir.rglob("*.wav"))
    }


def times(corpus_dir):
    """When each file was made, but for hidden ones."""
    return {path: path.stat().st_mtime_ns for path in corpus_dir.rglob("[!.]*.*")}


def test_utterances_are_as_kaldi_and_the_configuration_want_them(
    tmp_path, write_config
):
    language = load(tmp_path / "corpus", write_config())
    assert language.rejected == []
    assert {name: len(rows) for name, rows in language.splits.items()} == {
        "train": 12,
        "dev": 2,
        "test": 4,
    }
    speakers = [{row.speaker for row in rows} for rows in language.splits.values()]
    assert len(set.union(*speakers)) == sum(map(len, speakers)) == 8
    for name, rows in language.splits.items():
        for row in rows:
            assert re.fullmatch(r"es-[fm]\d\d-\d\d", row.id)
            assert row.id.startswith(row.speaker + "-")
            assert row.labels == {"gender": row.speaker[3]}
            assert row.lang == "es"
            assert re.fullmatch(r"[\d: ]+", row.text)
            with wave.open(row.audio, "rb") as file:
                assert file.getparams()[:3] == (1, 2, 22050)
                assert row.duration == file.getnframes() / 22050
            assert 0.7 < row.duration < 5
            phones = language.phones[row.id]
            assert len(phones) > 5
            assert phones[-1].end == pytest.approx(row.duration, abs=0.05)
        genders = [row.labels["gender"] for row in rows]
        assert genders.count("f") == genders.count("m")
        write_data_dir(tmp_path / name, rows)
        ours = sorted(rows, key=lambda row: row.id)
        theirs = read_data_dir(tmp_path / name)
        assert [row.id for row in theirs] == [row.id for row in ours]


def test_the_same_bytes_from_any_number_of_processes(tmp_path, write_config):
    config = write_config()
    load(tmp_path / "a", config, nj=1)
    load(tmp_path / "b", config, nj=3)
    load(tmp_path / "b", config, "tr")
    assert len(audio(tmp_path / "a")) == 18
    assert audio(tmp_path / "a").items() <= audio(tmp_path / "b").items()
    table = (tmp_path / "a" / "es" / "utterances.tsv").read_bytes()
    assert (tmp_path / "b" / "es" / "utterances.tsv").read_bytes() == table
    assert set(audio(tmp_path / "a").values()) == {
        line.split("\t")[4] for line in table.decode().splitlines()[1:]
    }


def test_a_finished_language_is_not_touched(tmp_path, write_config):
    config = write_config()
    first = load(tmp_path / "corpus", config)
    before = times(tmp_path / "corpus")
    assert load(tmp_path / "corpus", config) == first
    assert times(tmp_path / "corpus") == before


def test_only_missing_and_damaged_files_are_made_again(tmp_path, write_config):
    config, corpus = write_config(), tmp_path / "corpus"
    load(corpus, config)
    whole, before = audio(corpus), times(corpus)
    paths = sorted(corpus.rglob("*.wav"))
    paths[0].unlink()
    paths[1].write_bytes(paths[1].read_bytes()[:-1000])
    paths[2].write_bytes(b"")
    paths[3].write_bytes(b"RIFF, or so it says")
    load(corpus, config)
    assert audio(corpus) == whole
    after = times(corpus)
    assert all(after[path] == before[path] for path in paths[4:])


def test_another_configuration_makes_the_language_anew(tmp_path, write_config):
    corpus = tmp_path / "corpus"
    load(corpus, write_config())
    load(corpus, write_config("other.yaml", seed=2, intonation=[30, 60]))
    load(tmp_path / "fresh", write_config("other.yaml", seed=2, intonation=[30, 60]))
    assert audio(corpus) == audio(tmp_path / "fresh")
    assert len(audio(corpus)) == 18


def test_fewer_utterances_leave_none_of_the_old_behind(tmp_path, write_config):
    load(tmp_path / "corpus", write_config())
    small = {name: {"speakers": 1, "utterances": 1} for name in demo.SPLITS}
    load(tmp_path / "corpus", write_config("small.yaml", splits=small))
    assert len(audio(tmp_path / "corpus")) == 6


def test_what_does_not_change_the_speech_changes_nothing(tmp_path, write_config):
    load(tmp_path / "corpus", write_config())
    before = times(tmp_path / "corpus")
    load(tmp_path / "corpus", write_config("other.yaml", languages=["tr"]))
    assert times(tmp_path / "corpus") == before


def test_files_of_others_stay(tmp_path, write_config):
    speaker = tmp_path / "corpus" / "es" / "es-f01"
    speaker.mkdir(parents=True)
    own = [speaker / "my.wav", speaker.parent / "my.wav"]
    for path in own:
        path.write_text("mine")
    load(tmp_path / "corpus", write_config())
    assert [path.read_text() for path in own] == ["mine", "mine"]


def start(corpus, config):
    script = (
        "import sys; from pathlib import Path; from espnet2_cltm.corpus import demo; "
        "from espnet2_cltm.corpus.language import CorpusOptions; "
        "demo.load_language(Path(sys.argv[1]), 'es', "
        "CorpusOptions(nj=2, config=Path(sys.argv[2])))"
    )
    return subprocess.Popen(
        [sys.executable, "-c", script, corpus, config],
        env=os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(config.parent)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


BIG = {name: {"speakers": 2, "utterances": 12} for name in demo.SPLITS}
BIG_COUNT = 144


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The audio of ``es`` with the splits BIG, made without any accident."""
    directory = tmp_path_factory.mktemp("undisturbed")
    content = yaml.safe_load(CONFIG.read_text(encoding="utf-8")) | {"splits": BIG}
    (directory / "demo.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    load(directory, directory / "demo.yaml")
    return audio(directory)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("victim", "made"),
    [("caller", 1), ("caller", 50), ("everything", 10), ("everything", 100)],
)
def test_killed_and_run_again_it_equals_an_undisturbed_run(
    tmp_path, write_config, undisturbed, victim, made
):
    config, corpus = write_config(splits=BIG), tmp_path / "corpus"
    process = start(corpus, config)
    while len(list(corpus.rglob("[!.]*.wav"))) < made:
        assert process.poll() is None
        time.sleep(0.002)
    (os.kill if victim == "caller" else os.killpg)(process.pid, signal.SIGKILL)
    process.wait()
    survivors = times(corpus / "es")
    load(corpus, config)
    assert audio(corpus) == undisturbed
    after = times(corpus / "es")
    kept = [path for path in survivors if re.fullmatch(r"es-.*\.wav", path.name)]
    assert len(kept) >= made
    assert all(after[path] == survivors[path] for path in kept)


def test_interrupted_it_stops_at_once_and_leaves_no_half_file(tmp_path, write_config):
    config, corpus = write_config(splits=BIG), tmp_path / "corpus"
    process = start(corpus, config)
    while len(list(corpus.rglob("[!.]*.wav"))) < 10:
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGINT)
    _, messages = process.communicate()
    assert messages.rstrip().endswith("KeyboardInterrupt")
    assert 10 <= len(audio(corpus)) < BIG_COUNT
    assert all(demo._count_samples(path) for path in corpus.rglob("*.wav"))
    assert not list(corpus.rglob(".*.wav"))


@pytest.mark.slow
def test_two_processes_at_once_make_one_language(tmp_path, write_config, undisturbed):
    config, corpus = write_config(splits=BIG), tmp_path / "corpus"
    processes = [start(corpus, config), start(corpus, config)]
    messages = [process.communicate()[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], messages
    # Only one of them had something to do; it shows its progress after a second.
    assert sum("speaking es" in message for message in messages) <= 1
    assert audio(corpus) == undisturbed


def test_an_unknown_language_is_refused_with_the_known_ones(tmp_path, write_config):
    with pytest.raises(UserError, match=r"language 'xx': choose from .*\bes\b.*\btr\b"):
        load(tmp_path / "corpus", write_config(), "xx")
    assert not (tmp_path / "corpus").exists()


def test_a_corpus_directory_that_cannot_be_made_is_named(tmp_path, write_config):
    (tmp_path / "corpus").write_text("a file")
    with pytest.raises(UserError, match=f"{tmp_path}/corpus/es.* cannot be written"):
        load(tmp_path / "corpus", write_config())


def test_every_default_language_is_known():
    languages = demo.default_languages(CorpusOptions(config=CONFIG))
    assert len(languages) >= 4
    assert set(languages) <= set(demo.list_languages(Path("anywhere")))
