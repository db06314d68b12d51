"""conf/demo.yaml: every mistake is named with its place and the remedy."""

from pathlib import Path

import pytest
import yaml

from espnet2_cltm.corpus.demo_config import read_config
from espnet2_cltm.errors import UserError

CONFIG = Path(__file__).parents[2] / "conf" / "demo.yaml"


def test_the_shipped_file_meets_what_is_promised():
    config = read_config(CONFIG)
    assert len(config.languages) >= 4
    assert 2 * sum(size.speakers for size in config.splits.values()) >= 24
    women, men = config.voices["f"], config.voices["m"]
    assert men.pitch[0] < women.pitch[0] < men.pitch[1] < women.pitch[1]
    assert men.formants[0] < women.formants[0] < men.formants[1] < women.formants[1]


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("seed", "one", "seed: write a whole number from 0"),
        ("seed", True, "seed: write a whole number from 0"),
        ("languages", "es", "languages: write a list of names, in quotes if need be"),
        ("languages", [False], "languages: write a list of names, in quotes"),
        ("languages", [], "languages: write a list of names"),
        ("prompts", ["poem"], "prompts: .* taken from number, date, times, digits"),
        ("rate", [200, 100], r"rate: write \[lowest, highest\] .* 80 to 300"),
        ("rate", [10, 100], r"rate: write \[lowest, highest\] .* 80 to 300"),
        ("rate", 100, r"rate: write \[lowest, highest\] .* 80 to 300"),
        ("splits dev speakers", 0, "splits: dev: speakers: .* from 1 to 99"),
        ("splits test utterances", 100, "splits: test: utterances: .* from 1 to 99"),
        ("splits valid", {}, "splits: write a mapping with the keys train, dev, test"),
        ("voices m pitch", [75.5, 165], r"voices: m: pitch: write \[lowest, highest\]"),
        ("voices x", {}, "voices: write a mapping with the keys f, m"),
        ("speed", 3, "write a mapping with the keys languages, seed, splits"),
    ],
)
def test_a_wrong_value_is_named_with_what_it_should_be(tmp_path, place, value, message):
    content = table = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    *tables, key = place.split()
    for name in tables:
        table = table[name]
    table[key] = value
    path = tmp_path / "demo.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(UserError, match=message) as caught:
        read_config(path)
    assert str(caught.value).startswith(f"{path}")


@pytest.mark.parametrize("key", ["seed", "voices", "volume"])
def test_a_missing_key_is_named(tmp_path, key):
    content = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    del content[key]
    path = tmp_path / "demo.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(UserError, match=rf"{path}: .*\({key} is missing\)"):
        read_config(path)


@pytest.mark.parametrize("text", [b"languages: [es", b"\xff\xfe"])
def test_what_is_not_yaml_is_refused(tmp_path, text):
    path = tmp_path / "demo.yaml"
    path.write_bytes(text)
    with pytest.raises(UserError, match=f"{path}.* is not (valid YAML|UTF-8)"):
        read_config(path)


@pytest.mark.parametrize("text", ["", "- es"])
def test_what_is_not_a_table_is_refused(tmp_path, text):
    path = tmp_path / "demo.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=f"{path} must be .*configuration"):
        read_config(path)


def test_no_file_or_a_missing_one_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"give the path of conf/demo\.yaml"):
        read_config(None)
    with pytest.raises(UserError, match=r"none\.yaml cannot be read \(No such file"):
        read_config(tmp_path / "none.yaml")
