"""Stage 5: the layer is dev's choice, the gap is test's; what is missing is named."""

import csv

import pandas as pd
import pytest

from espnet2_cltm.abx.averaging import write_speaker_errors
from espnet2_cltm.abx.measuring import speaker_errors_path
from espnet2_cltm.bin import multilingual_gap
from tests.abx.written import write_abx

OPTIONS = (
    *("--langs", "es sw", "--seeds", "0 1", "--references", "mono", "--hours", "1"),
    *("--grounding_weights", "0", "--grounding_shares", "1"),
    *("--feature_weights", "0"),
)
ADDED = {"_g0.1_p1": 0.01, "_f0.5": 0.02, "_g0.1_p1_f0.5": 0.03}


@pytest.fixture
def exp(tmp_path):
    for split in ("dev", "test"):
        for features in ("log-mel", "log-mel-cmvn"):
            directory = tmp_path / "baselines" / f"abx_{split}"
            write_abx(directory, features, {"es": [0.08], "sw": [0.08]})
    errors = {"mono_es": 0.04, "mono_sw": 0.05, "multi": 0.06}
    errors |= {
        f"{name}{suffix}": error - less
        for name, error in errors.items()
        for suffix, less in ADDED.items()
    }
    for seed in (0, 1):
        for name, error in errors.items():
            place = tmp_path / f"{name}_s{seed}"
            # On dev layer 1 is better, on test layer 0 would be.
            dev, test = [0.2, 0.1], [0.01, error + 0.01 * seed]
            write_abx(place / "abx_dev", "hf", {"es": dev, "sw": dev})
            write_abx(place / "abx_test", "hf", {"es": test, "sw": test})
    return tmp_path


def table(path):
    with open(path, encoding="utf-8") as opened:
        return list(csv.DictReader(opened, delimiter="\t"))


def test_gaps_are_of_the_layer_that_dev_has_chosen(exp, capsys):
    options = (*OPTIONS, "--grounding_weights", "0 0.1", "--feature_weights", "0 0.5")
    multilingual_gap.main(["--exp", str(exp), *options, "--draws", "50"])
    rows = table(exp / "gap.tsv")
    gaps = {row["language"]: row for row in rows[:3]}
    assert list(gaps) == ["es", "sw", "mean"]
    assert float(gaps["es"]["gap"]) == pytest.approx(0.065 / 0.045 - 1, abs=1e-6)
    both = (0.065 / 0.045 * 0.065 / 0.055) ** 0.5 - 1
    assert float(gaps["mean"]["gap"]) == pytest.approx(both, abs=1e-6)
    assert float(gaps["es"]["low"]) < float(gaps["es"]["gap"])
    assert (gaps["mean"]["seeds"], gaps["mean"]["speakers"]) == ("2", "8")
    errors = {(r["encoder"], r["language"]): r for r in table(exp / "errors.tsv")}
    assert errors["multi", "es"]["layer"] == "1"
    # What a monolingual encoder makes of the other language is reported, too.
    assert errors["mono_sw", "es"]["by_seed"].split() == ["0.062500", "0.075000"]
    assert (exp / "gap.png").exists() and (exp / "gap.pdf").exists()
    assert "multi to mono +44.4 [" in capsys.readouterr().out
    compared = {(row["encoder"], row["reference"]): row["gap"] for row in rows[::3]}
    expected = {("multi", "mono"): 0.065 / 0.045}
    for suffix, less in ADDED.items():
        multi, mono = f"multi{suffix}", f"mono{suffix}"
        gap = (0.065 - less) / (0.045 - less)
        expected |= {
            (multi, mono): gap,
            (multi, "multi"): (0.065 - less) / 0.065,
            (mono, "mono"): (0.045 - less) / 0.045,
            (f"{multi}/{mono}", "multi/mono"): gap * 0.045 / 0.065,
        }
    assert {names: float(gap) + 1 for names, gap in compared.items()} == (
        pytest.approx(expected, abs=1e-6)
    )


def test_what_is_missing_or_of_other_items_is_named(exp, capsys):
    def refusal():
        with pytest.raises(SystemExit):
            multilingual_gap.main(["--exp", str(exp), *OPTIONS])
        said = capsys.readouterr().err.strip()
        assert said.count("\n") == 0
        return said

    path = speaker_errors_path(exp / "multi_s1/abx_test", "es", "hf", 1)
    errors = pd.read_csv(path, sep="\t")
    write_speaker_errors(path, errors[1:])
    assert "multi_s1" in refusal()
    path = exp / "mono_sw_s1/abx_dev/abx.tsv"
    path.write_text(path.read_text().replace("es\thf", "es\tother"))
    assert "mono_sw_s1/abx_dev lacks layers of hf in es" in refusal()
    path.unlink()
    assert "mono_sw_s1/abx_dev/abx.tsv cannot be read" in refusal()
