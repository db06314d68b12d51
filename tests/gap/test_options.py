"""The recipe's options: what each encoder is trained on, and refusals."""

import os
import subprocess
from pathlib import Path

import pytest

from espnet2_cltm.errors import UserError
from espnet2_cltm.gap.options import GAP_OPTIONS, gap_help, resolve_gap

RECIPE = Path(__file__).parents[2] / "egs2" / "cltm" / "gap1"


@pytest.fixture(autouse=True)
def _in_recipe(monkeypatch):
    monkeypatch.chdir(RECIPE)


def test_multi_has_as_many_hours_as_mono_and_of_each_language_what_part_has():
    assigned = resolve_gap(["--langs", "es fi sw", "--hours", "1.5"], os.environ)
    script = (
        assigned + 'for n in "${encoders[@]}"; do echo "$n ${ssl_options[$n]}"; done'
    )
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True)
    options = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    assert len(options) == 7 * 3
    assert "'--langs=es fi sw' --hours=0.5 --seed=2" in options["multi_s2"]
    assert "--langs=fi --hours=0.5 --seed=0" in options["part_fi_s0"]
    assert "--langs=fi --hours=1.5 --seed=0" in options["mono_fi_s0"]
    assert f"--model={RECIPE}/conf/hubert_gap.yaml" in options["mono_fi_s0"]


def test_every_weight_and_share_of_pictures_has_its_encoders():
    given = ["--grounding_weights", "0 0.1", "--grounding_shares", "0.5 1"]
    assigned = resolve_gap(["--seeds", "3", *given], os.environ)
    names = [name for name in assigned.split() if name.startswith("encoders+=(multi")]
    assert names == [
        f"encoders+=(multi{suffix}_s3)" for suffix in ("", "_g0.1_p0.5", "_g0.1_p1")
    ]
    assert "--grounding_weight=0.1 --grounding_share=0.5" in assigned
    with_features = resolve_gap(
        ["--seeds", "3", *given, "--feature_weights", "0 0.5"], os.environ
    )
    every = [name for name in with_features.split() if name.startswith("encoders+=(mu")]
    assert every[:3] == names
    assert [name.replace("_f0.5", "") for name in every[3:]] == names
    assert "encoders+=(multi_f0.5_s3)" in every
    assert "--grounding_weight=0.1 --grounding_share=0.5 --feature_weight=0.5" in (
        with_features.replace("'", "")
    )
    with pytest.raises(UserError, match="--grounding_shares takes shares above 0"):
        resolve_gap(["--grounding_shares", "0 1"], os.environ)


def test_what_is_wrong_is_named(tmp_path):
    with pytest.raises(UserError, match="--langs es is one language"):
        resolve_gap(["--langs", "es"], os.environ)
    path = tmp_path / "gap.yaml"
    path.write_text("hour: 3\n")
    with pytest.raises(UserError, match=r"gap\.yaml has hour, which is not one of"):
        resolve_gap(["--gap_config", str(path)], os.environ)
    path.write_text("langs: [es, sw]\nseeds: 0\n")
    with pytest.raises(UserError, match=r"gap\.yaml has no hours"):
        resolve_gap(["--gap_config", str(path)], os.environ)
    path.write_text("hours: many\n")
    with pytest.raises(UserError, match="--hours takes a number of hours above 0"):
        resolve_gap(["--gap_config", str(path)], os.environ)


def test_help_names_every_option():
    shown = gap_help()
    assert all(f"--{option.name}" in shown for option in GAP_OPTIONS)
