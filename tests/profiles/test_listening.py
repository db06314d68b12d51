"""Donors for a language that has recordings and nothing else."""

import csv
import io
import json
import shutil

import numpy as np
import pytest

from espnet2_cltm.bin.measure_distances import main as measure_distances
from espnet2_cltm.bin.recommend import main
from espnet2_cltm.matrix.languages import language_distances
from espnet2_cltm.profiles.making import profile_path, read_profiles
from espnet2_cltm.profiles.similarity import (
    MeasureSettings,
    resample_atds,
    similarities,
)
from tests.profiles.test_making import speak

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    directory = tmp_path_factory.mktemp("recordings")
    speak(directory, ("es", "it", "sw", "tr"), n=20)
    return directory


@pytest.fixture(scope="module")
def profiles(recordings, tmp_path_factory):
    outdir = tmp_path_factory.mktemp("profiles") / "distances"
    few = ("--num_clusters", "32", "--measures", "atds covariance")
    measure_distances(["--audio", str(recordings), "--outdir", str(outdir), *few])
    return outdir


def said(capsys, *options) -> str:
    capsys.readouterr()
    main(list(map(str, options)))
    return capsys.readouterr().out


def refused(capsys, *options) -> str:
    with pytest.raises(SystemExit) as caught:
        main(list(map(str, options)))
    assert caught.value.code == 1
    lines = capsys.readouterr().err.splitlines()
    lines = [line for line in lines if not line.startswith("listening:")]
    assert len(lines) == 1, lines
    return lines[0]


def test_recordings_alone_rank_the_donors(recordings, profiles, capsys):
    """Halves of one language are the likest; under another name it finds itself."""
    options = ("--audio", recordings / "es", "--profiles", profiles)
    found = json.loads(said(capsys, *options, "--target", "xx", "--format", "json"))
    assert found["quantity"] == "atds" and found["cross_validation"] is None
    assert found["donors"][0]["donor"] == "es"
    assert found["donors"][0]["estimate"] == pytest.approx(1)
    for donor in found["donors"]:
        assert donor["low"] <= donor["estimate"] <= donor["high"]
        assert 0 <= donor["among_best"] <= 1
    assert "20 recordings of xx" in found["based_on"]


def test_the_target_is_no_donor_of_its_own(recordings, profiles, capsys):
    options = ("--audio", recordings / "es", "--profiles", profiles, "--target", "es")
    text = said(capsys, *options)
    assert "3 donors; the best 3:" in text
    assert "20 recordings of es were compared" in text
    rows = list(
        csv.DictReader(
            io.StringIO(said(capsys, *options, "--format", "tsv")), delimiter="\t"
        )
    )
    assert {row["donor"] for row in rows} == {"it", "sw", "tr"}
    assert {row["source"] for row in rows} == {"heard"}


def test_what_was_heard_is_what_the_table_says(recordings, profiles, capsys):
    options = ("--audio", recordings / "es", "--profiles", profiles, "--target", "es")
    found = json.loads(said(capsys, *options, "--format", "json"))
    table = language_distances(("es", "it", "sw", "tr"), profiles / "distances.tsv")
    for donor in found["donors"]:
        place = ("es", "it", "sw", "tr").index(donor["donor"])
        assert 1 - donor["estimate"] == pytest.approx(table["atds"][0, place], abs=1e-6)


def test_recordings_are_relations_of_a_prediction(recordings, profiles, capsys):
    """A language without distances gets predictions; what is heard moves them."""
    options = ("--matrix", "gender_mhubert", "--target", "xx", "--format", "json")
    message = refused(capsys, *options)
    assert "recordings by --audio" in message
    heard = ("--audio", recordings / "it", "--profiles", profiles)
    found = json.loads(said(capsys, *options, *heard))
    assert found["quantity"] == "cltm" and len(found["donors"]) == 54
    assert not any(donor["measured"] for donor in found["donors"])
    assert found["cross_validation"]["left_out"] == "languages"
    assert "recordings of xx" in found["based_on"]


def test_drawing_utterances_moves_similarities_about_their_value(profiles):
    settings, known = read_profiles(profiles)
    measure = MeasureSettings(2, settings.num_clusters, "")
    others = [known["it"], known["tr"]]
    drawn = resample_atds(known["es"], others, measure, 300, seed=0)
    parts = [(known["es"], None), *((other, None) for other in others)]
    np.testing.assert_allclose(
        drawn.mean(axis=0), similarities("atds", parts, measure)[0, 1:]
    )
    assert (drawn.std(axis=0) > 0).all()
    np.testing.assert_array_equal(
        drawn, resample_atds(known["es"], others, measure, 300, seed=0)
    )


def test_every_mistake_is_one_sentence(recordings, profiles, tmp_path, capsys):
    target = ("--target", "es")
    message = refused(capsys, *target)
    assert "--results, --matrix, or --audio" in message
    message = refused(capsys, *target, "--audio", recordings / "es")
    assert "--profiles" in message and "belong together" in message
    both = ("--profiles", profiles, "--audio")
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "holds no recordings" in refused(capsys, *target, *both, empty)
    (empty / "a.wav").write_bytes(b"text")
    assert "no recording that can be used" in refused(capsys, *target, *both, empty)
    message = refused(capsys, *target, "--audio", empty, "--profiles", tmp_path)
    assert "make profiles by local/measure_distances.py" in message


def test_a_damaged_profile_is_named(recordings, profiles, tmp_path, capsys):
    copy = tmp_path / "copy"
    shutil.copytree(profiles, copy)
    profile_path(copy, "it").write_bytes(b"PK damaged")
    options = ("--target", "es", "--audio", recordings / "es", "--profiles", copy)
    message = refused(capsys, *options)
    assert "it.npz" in message and "delete it" in message
