"""Profiles of real and of spoken recordings: kept, made again, and told apart."""

import random
from pathlib import Path

import numpy as np
import pytest
import soundfile

from espnet2_cltm.bin.measure_distances import get_parser, main
from espnet2_cltm.corpus import espeak
from espnet2_cltm.corpus.demo_config import read_config
from espnet2_cltm.corpus.demo_drawing import draw_prompt, draw_speakers, voice_text
from espnet2_cltm.corpus.espeak_workers import speak_files
from espnet2_cltm.matrix.languages import language_distances
from espnet2_cltm.profiles.making import profile_path
from espnet2_cltm.profiles.profile import read_profile
from espnet2_cltm.profiles.recordings import (
    choose_recordings,
    list_recordings,
    read_waveform,
)

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
CV_REAL = ROOT / "../shared/corpora/cv-real"
FEW = ("--num_clusters", "32", "--max_utts", "24")


def speak(directory: Path, langs, n: int = 24) -> None:
    """Speak names in several languages, by many speakers, as WAV files."""
    config = read_config(ROOT / "conf" / "demo.yaml")
    jobs = {}
    for lang in langs:
        voice = espeak.language_files()[lang].read_text(encoding="latin-1")
        speakers = draw_speakers(config, lang)
        for number in range(n):
            speaker = speakers[number % len(speakers)]
            prompt = espeak.Prompt(
                lang=lang,
                voice=f"{voice}\n{voice_text(speaker)}",
                rate=speaker.rate,
                volume=speaker.volume,
                text=draw_prompt("two_names", random.Random(f"{lang} {number}"), lang),
            )
            jobs[directory / lang / "clips" / f"{number:02d}.wav"] = prompt
    assert len(list(speak_files(jobs, nj=1))) == len(jobs)


@pytest.fixture(scope="module")
def spoken(tmp_path_factory):
    directory = tmp_path_factory.mktemp("spoken")
    speak(directory, ("es", "sw", "tr"))
    return directory


@pytest.fixture(scope="module")
def made(spoken, tmp_path_factory):
    outdir = tmp_path_factory.mktemp("profiles") / "distances"
    main(["--audio", str(spoken), "--outdir", str(outdir), *FEW])
    return outdir


def refused(capsys, *options) -> str:
    with pytest.raises(SystemExit) as caught:
        main(list(map(str, options)))
    assert caught.value.code in (1, 2)
    said = capsys.readouterr().err.splitlines()
    lines = [line for line in said if not line.startswith("listening:")]
    assert len(lines) == 1, lines
    return lines[0]


def halves(outdir: Path) -> dict[tuple[str, str], str]:
    _, *lines = (outdir / "halves.tsv").read_text().splitlines()
    rows = [line.split("\t") for line in lines]
    return {(row[0], row[1]): row[-1] for row in rows}


def test_spoken_languages_are_more_like_themselves_by_every_measure(made):
    found = halves(made)
    assert len(found) == 6 and set(found.values()) == {"yes"}


def test_the_table_is_one_that_distances_takes(made):
    found = language_distances(("es", "tr", "sw"), made / "distances.tsv")
    for name in ("atds", "covariance", "articulatory"):
        assert np.isfinite(found[name]).all()
        assert (found[name][~np.eye(3, dtype=bool)] > 0).all()


def test_only_what_is_missing_or_changed_is_heard(spoken, made, tmp_path, capsys):
    table = (made / "distances.tsv").read_text()
    options = ["--audio", str(spoken), "--outdir", str(made), *FEW]
    kept = {lang: profile_path(made, lang).stat().st_mtime_ns for lang in ("es", "sw")}
    profile_path(made, "tr").unlink()  # as an interruption leaves it
    capsys.readouterr()
    main(options)
    assert "profiles of 1 languages made; 2 were made before" in capsys.readouterr().out
    assert (made / "distances.tsv").read_text() == table
    for lang, when in kept.items():
        assert profile_path(made, lang).stat().st_mtime_ns == when


def test_what_is_half_heard_is_heard_on(spoken, tmp_path, monkeypatch):
    """An interruption between listening and clustering costs no listening."""
    from espnet2_cltm.profiles import making

    def interrupt(*_):
        raise KeyboardInterrupt

    options = ["--audio", str(spoken), "--outdir", str(tmp_path), *FEW]
    with monkeypatch.context() as patch, pytest.raises(SystemExit):
        patch.setattr(making, "_fit", interrupt)
        main(options)
    heard = {p: p.stat().st_mtime_ns for p in (tmp_path / "features").glob("*.npz")}
    assert len(heard) == 3
    with monkeypatch.context() as patch:
        patch.setattr(making, "_hear_language", interrupt)
        main(options)
    assert not list((tmp_path / "features").iterdir())


def test_tokens_are_runs_of_clusters_and_halves_alike(made):
    found = read_profile(profile_path(made, "es"))
    assert found.lengths.sum() == len(found.tokens) and len(found.utts) == 24
    starts = np.cumsum(found.lengths)[:-1]
    for tokens in np.split(found.tokens, starts):
        assert (tokens[1:] != tokens[:-1]).all()
    assert found.half.sum() == 12
    # Frames are standardised over all languages: of one they are near 0 and 1.
    mean = found.sums.sum(axis=0) / found.counts.sum()
    assert np.abs(mean).mean() < 0.5


def test_recordings_are_of_as_many_speakers_as_there_are(tmp_path):
    rows = [(f"s{k % 3}-{k}", f"s{k % 3}") for k in range(30)]
    (tmp_path / "wav.scp").write_text(
        "".join(f"{u} {u}.wav\n" for u, _ in sorted(rows))
    )
    (tmp_path / "utt2spk").write_text("".join(f"{u} {s}\n" for u, s in sorted(rows)))
    found = choose_recordings(list_recordings(tmp_path), 6, seed=1)
    assert sorted(u.speaker for u in found) == ["s0", "s0", "s1", "s1", "s2", "s2"]
    assert found != choose_recordings(list_recordings(tmp_path), 6, seed=2)


def test_every_visible_file_is_a_recording_of_its_own(tmp_path):
    for name in ("a b.wav", "a_b.wav", "._a_b.wav"):
        (tmp_path / name).touch()
    assert len(choose_recordings(list_recordings(tmp_path), 6, seed=1)) == 2


def test_the_beginning_of_an_hour_is_heard(tmp_path):
    noise = np.random.default_rng(0).normal(0, 0.1, 3600 * 1000)
    soundfile.write(tmp_path / "a.wav", noise, 1000)
    (long,) = list_recordings(tmp_path)
    assert len(read_waveform(long, 10)) == 10 * 16000


def test_unusable_recordings_are_counted(spoken, tmp_path, capsys):
    (tmp_path / "audio").mkdir()
    (tmp_path / "audio" / "es").symlink_to(spoken / "es")
    broken = tmp_path / "audio" / "xx"
    broken.mkdir()
    (broken / "a.wav").write_bytes(b"no audio")
    soundfile.write(broken / "b.wav", np.zeros(16000), 16000)
    options = ("--audio", tmp_path / "audio", "--outdir", tmp_path / "out", *FEW)
    message = refused(capsys, *options)
    assert "xx has no recording that can be used (2 of 2" in message
    assert "a.wav" in message or "b.wav" in message
    assert not (tmp_path / "out" / "distances.tsv").exists()


def test_bad_input_is_one_sentence(spoken, made, tmp_path, capsys):
    out = ("--outdir", tmp_path / "out")
    message = refused(capsys, "--audio", tmp_path / "absent", *out)
    assert "absent holds no recordings" in message
    (tmp_path / "empty" / "es").mkdir(parents=True)
    message = refused(capsys, "--audio", tmp_path / "empty", *out)
    assert "holds no recordings" in message
    message = refused(capsys, "--audio", spoken, "--langs", "es xx", *out)
    assert "has no recordings of xx" in message
    message = refused(capsys, "--audio", spoken, "--langs", "es", *out)
    assert "es alone" in message
    message = refused(capsys, "--audio", spoken, "--measures", "atds cka", *out)
    assert "--measures" in message and "covariance" in message
    message = refused(capsys, "--audio", spoken, "--layer", 99, *out)
    assert "99" in message and not (tmp_path / "out").exists()
    message = refused(capsys, "--audio", spoken, "--measures", "logme", *out, *FEW)
    assert "label 'gender'" in message
    message = refused(capsys, "--audio", spoken, "--outdir", made, "--num_clusters", 9)
    assert "another setting (num_clusters: 32, now 9)" in message


@pytest.mark.skipif(not CV_REAL.is_dir(), reason=f"needs {CV_REAL}")
def test_real_languages_are_more_like_themselves_by_every_measure(tmp_path):
    """Halves of 100 utterances and more, files as they come."""
    langs = "am ar da de"
    options = ["--audio", str(CV_REAL), "--langs", langs, "--outdir", str(tmp_path)]
    main([*options, "--max_seconds", "4", "--max_utts", "150"])
    found = halves(tmp_path)
    assert len(found) == 8 and set(found.values()) == {"yes"}


def test_defaults_are_those_of_the_documentation():
    args = get_parser().parse_args(["--audio", "a", "--outdir", "b"])
    assert (args.model, args.num_clusters, args.ngram) == ("hubert-small", 100, 1)
