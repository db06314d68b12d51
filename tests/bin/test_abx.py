"""The command: results once and whole, from a store or an item file, and refusals."""

import csv

import kaldiio
import numpy as np
import pytest
import soundfile
import yaml

from espnet2_cltm.abx import measuring
from espnet2_cltm.bin import abx, compare_abx
from espnet2_cltm.corpus.datadir import Utterance, read_table, write_data_dir
from espnet2_cltm.corpus.phones import Phone
from espnet2_cltm.files import write_text

RATE = 50
PHONES = "abo"


@pytest.fixture
def dump(tmp_path, monkeypatch):
    """A store of two languages, with features that tell a and b apart, but not o."""
    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(0)
    centre = {"a": [4, 0, 0, 0], "b": [0, 4, 0, 0], "o": [4, 0.2, 0, 0]}
    for lang in ("es", "sw"):
        rows, phones = [], {}
        for number in range(8):
            speaker = f"{lang}-s{number % 4}"
            utt = f"{speaker}-{number}"
            symbols = [PHONES[k] for k in generator.integers(3, size=20)]
            phones[utt] = [Phone(k / 10, 0.1, s) for k, s in enumerate(symbols)]
            gender = {"gender": "fm"[number % 2]}
            rows.append(Utterance(utt, speaker, f"{lang}.ark:{number}", gender, lang))
            frames = np.repeat([centre[s] for s in symbols], 5, axis=0)
            frames = frames + generator.normal(size=frames.shape) + (lang == "sw")
            (tmp_path / "feats").mkdir(exist_ok=True)
            np.save(tmp_path / f"feats/{utt}.npy", frames[:-1])
        directory = tmp_path / "dump" / lang / "test"
        write_data_dir(directory, rows, phones)
        lengths = "".join(f"{row.id} {16000 * 2}\n" for row in rows)
        write_text(directory / "utt2num_samples", lengths)
    return tmp_path / "dump"


def run(*options):
    abx.main([*("--outdir", "out", "--unit", "phone", "--context", "any"), *options])


def results(outdir="out"):
    with open(f"{outdir}/abx.tsv", encoding="utf-8") as table:
        return list(csv.DictReader(table, delimiter="\t"))


def refusal(capsys, *options):
    with pytest.raises(SystemExit) as stopped:
        run(*options)
    assert stopped.value.code == 1
    said = capsys.readouterr().err.strip()
    assert "Traceback" not in said and said.count("\n") == 0 and said.endswith(".")
    return said


FROM_FILES = ("--dump", "dump", "--features", "feats")


def test_each_language_has_its_error_and_its_contrasts(dump, capsys):
    run(*FROM_FILES)
    es, sw = results()
    assert (es["test"], sw["test"]) == ("es", "sw")
    assert es["features"] == "feats" and es["layer"] == "0" and es["speakers"] == "4"
    assert es["items"] == "160" and es["pairs"] == "6"
    assert float(es["low"]) < float(es["error"]) < float(es["high"])
    with open("out/contrasts/es.feats.0.tsv", encoding="utf-8") as table:
        contrasts = {
            (row["label"], row["other"]): float(row["error"])
            for row in csv.DictReader(table, delimiter="\t")
        }
    assert contrasts["a", "b"] < 0.1 and contrasts["a", "o"] > 0.3
    assert np.mean([*contrasts.values()]) == pytest.approx(float(es["error"]))
    assert "es" in capsys.readouterr().out


def test_what_is_measured_is_not_measured_again(dump, capsys, monkeypatch):
    run(*FROM_FILES)
    before = (dump.parent / "out/abx.tsv").read_bytes()
    capsys.readouterr()
    (dump.parent / "out/parts/sw/feats.0.json").unlink()
    measured = []
    errors = measuring.cell_errors
    monkeypatch.setattr(
        measuring,
        "cell_errors",
        lambda *arguments: measured.append(arguments) or errors(*arguments),
    )
    run(*FROM_FILES)
    assert len(measured) == 1
    assert "1 measured before, skipped" in capsys.readouterr().out
    assert (dump.parent / "out/abx.tsv").read_bytes() == before


def test_other_settings_need_another_directory_and_changed_items_another_run(
    dump, capsys
):
    run(*FROM_FILES, "--langs", "es")
    said = refusal(capsys, *FROM_FILES, "--langs", "es", "--distance", "cosine")
    assert "another setting (distance: angular, now cosine)" in said
    ctm = dump / "es/test/phones.ctm"
    ctm.write_text("".join(ctm.read_text().splitlines(keepends=True)[:150]))
    run(*FROM_FILES, "--langs", "es")
    assert results()[0]["items"] == "150"


def test_an_item_file_that_was_written_gives_the_same_error(dump):
    run(*FROM_FILES, "--langs", "es")
    options = ("--item", "out/es.item", "--features", "feats", "--outdir", "again")
    run(*options)
    assert results("again")[0]["error"] == results()[0]["error"]


def test_kaldi_matrices_are_features_too(dump):
    run(*FROM_FILES, "--langs", "es")
    feats = {path.stem: np.load(path) for path in dump.parent.glob("feats/*.npy")}
    kaldiio.save_ark("f.ark", feats, scp="f.scp")
    run("--dump", "dump", "--features", "f.scp", "--outdir", "ark", "--langs", "es")
    assert results("ark")[0]["error"] == results()[0]["error"]


def test_audio_in_place_of_features_is_named(dump, capsys):
    utts = [path.stem for path in dump.parent.glob("feats/*.npy")]
    sound = (16000, np.zeros(400, np.int16))
    kaldiio.save_ark("w.ark", dict.fromkeys(utts, sound), scp="wav.scp")
    said = refusal(capsys, "--dump", "dump", "--features", "wav.scp", "--outdir", "x")
    assert "cannot be read as features" in said


def test_languages_are_told_apart_by_speakers_of_the_same_gender(dump):
    run(*FROM_FILES, "--on", "language", "--outdir", "lang")
    (row,) = results("lang")
    assert (row["test"], row["pairs"], row["items"]) == ("languages", "2", "16")
    assert float(row["error"]) < 0.4


def test_features_are_compared_speaker_by_speaker(dump, capsys):
    run(*FROM_FILES)
    (dump.parent / "feats").rename(dump.parent / "same")
    run("--dump", "dump", "--features", "same", "--outdir", "again", "--nj", "2")
    names = ("out:feats:0", "again:same:0")
    compare_abx.main([*names, "--draws", "50", "--outfile", "diff.tsv"])
    with open("diff.tsv", encoding="utf-8") as table:
        rows = list(csv.DictReader(table, delimiter="\t"))
    assert [row["test"] for row in rows] == ["es", "sw"]
    measured = [float(row["error"]) for row in results()]
    assert [float(row["error"]) for row in rows] == pytest.approx(measured)
    assert all(float(row[n]) == 0 for row in rows for n in ("difference", "low"))
    for wrong, said in (("out:feats", "does not name"), ("out:x:1", "but feats:0")):
        with pytest.raises(SystemExit):
            compare_abx.main([names[0], wrong])
        assert said in capsys.readouterr().err


def test_labels_choose_what_is_compared(dump, capsys):
    run(*FROM_FILES, "--langs", "es", "--labels", "a b")
    assert results()[0]["pairs"] == "2"
    said = refusal(capsys, *FROM_FILES, "--outdir", "x", "--labels", "a q")
    assert "es has no item of 'q'" in said and "a b o" in said
    said = refusal(capsys, *FROM_FILES, "--outdir", "y", "--labels", "a")
    assert "of one phone, 'a'" in said
    assert not (dump.parent / "y").exists()


def test_features_that_are_missing_or_of_another_shape_are_named(dump, capsys):
    missing = dump.parent / "feats/es-s0-0.npy"
    frames = np.load(missing)
    missing.unlink()
    assert "feats lacks the features of es-s0-0" in refusal(capsys, *FROM_FILES)
    assert not (dump.parent / "out").exists()
    np.save(missing, frames[:, :3])
    said = refusal(capsys, *FROM_FILES)
    assert "(99, 4) for es-s0-4, not (frames, 3)" in said
    np.save(missing, frames[:, 0])
    assert "(99,) for es-s0-0, not (frames, size)" in refusal(capsys, *FROM_FILES)
    np.save(missing, frames[:40])
    said = refusal(capsys, *FROM_FILES)
    assert "40 frames of es-s0-0" in said and "--frequency" in said
    missing.write_bytes(b"no array")
    assert "es-s0-0.npy cannot be read as features" in refusal(capsys, *FROM_FILES)


def test_times_beyond_the_audio_are_refused(dump, capsys):
    ctm = dump / "es/test/phones.ctm"
    ctm.write_text(ctm.read_text() + "es-s3-7 1 2.0 0.3 a\n")
    said = refusal(capsys, *FROM_FILES)
    assert "phones.ctm, line 161: es-s3-7 has a phone that ends at 2.300 s" in said


def test_an_item_file_of_unknown_audio_is_refused(dump, capsys):
    run(*FROM_FILES, "--langs", "es")
    write_text("wav.scp", "es-s0-0 a.wav\n")
    options = ("--item", "out/es.item", "--outdir", "x", "--baselines", "log-mel")
    said = refusal(capsys, *options, "--wav_scp", "wav.scp")
    assert "wav.scp has no audio of es-s0-4" in said
    assert not (dump.parent / "x").exists()
    assert "--wav_scp" in refusal(capsys, *options)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--dump", "dump"), "give --model, --features or --baselines"),
        (("--features", "feats"), "give --dump or --item"),
        ((*FROM_FILES, "--model", "m"), "--model and --features exclude each other"),
        ((*FROM_FILES, "--unit", "triphone"), "give --unit phone"),
        ((*FROM_FILES, "--baselines", "random"), "--baselines random is --model"),
        ((*FROM_FILES, "--langs", "fi"), "no decoded audio in test of fi"),
        ((*FROM_FILES, "--splits", "dev"), "no decoded audio in dev"),
        ((*FROM_FILES, "--on", "language", "--match", "age"), "has no age"),
    ],
)
def test_options_that_do_not_fit_are_one_sentence(dump, capsys, options, said):
    assert said in refusal(capsys, *options)


@pytest.mark.slow
def test_layers_of_an_encoder_and_the_baselines(dump, capsys):
    from tests.speech import TINY_HUBERT

    write_text("tiny.yaml", yaml.safe_dump(TINY_HUBERT))
    generator = np.random.default_rng(0)
    lines = []
    for utt in read_table(dump / "es/test/wav.scp"):
        soundfile.write(f"{utt}.wav", generator.normal(0, 0.1, 32000), 16000)
        lines.append(f"{utt} {utt}.wav\n")
    write_text("wav.scp", "".join(lines))
    run(*FROM_FILES, "--langs", "es")
    options = (
        *("--item", "out/es.item", "--wav_scp", "wav.scp", "--model", "tiny.yaml"),
        *("--outdir", "model", "--baselines", "log-mel log-mel-cmvn random"),
    )
    run(*options)
    found = [(row["features"], row["layer"]) for row in results("model")]
    assert found == [
        *(("log-mel", "0"), ("log-mel-cmvn", "0"), ("random", "0"), ("random", "1")),
        *(("tiny.yaml", "0"), ("tiny.yaml", "1")),
    ]
    # Noise tells nothing; the frames are gone.
    assert all(0.3 < float(row["error"]) < 0.7 for row in results("model"))
    assert not list((dump.parent / "model").glob("frames/*"))
    run(*options[:-4], "--outdir", "one", "--layer", "1")
    assert results("one")[0]["error"] == results("model")[-1]["error"]
    said = refusal(capsys, *options[:-4], "--outdir", "refused", "--layer", "3")
    assert "has no layer 3" in said and not (dump.parent / "refused").exists()
