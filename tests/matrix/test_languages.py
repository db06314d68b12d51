from pathlib import Path

import numpy as np
import pytest

from espnet2_cltm.errors import UserError
from espnet2_cltm.matrix.languages import (
    DISTANCES,
    IMPUTED,
    LANGUAGE_COLUMNS,
    SHIPPED,
    TYPOLOGICAL,
    TYPOLOGICAL_PARTS,
    UNLISTED,
    Language,
    describe,
    display_order,
    family_relation,
    language_distances,
    read_languages,
    read_pairs,
)
from espnet2_cltm.matrix.matrix_files import PUBLISHED, read_published

CONF = Path(__file__).parents[2] / "conf" / "languages.yaml"

COMMON_VOICE = """
kab ar mt id eo ta hy-AM lt lv cy nl en de sv-SE fy-NL bn dv ur ckb kmr fa ca fr
gl it pt ro es be cs pl ru sl uk ja ka th eu mn lg rw sw ab yue zh-CN zh-HK
zh-TW ky tr ug uz hu mhr et
"""


def test_every_language_of_the_published_matrices_has_a_name_and_a_family():
    known = read_languages(CONF)
    assert len(COMMON_VOICE.split()) == 54
    assert set(COMMON_VOICE.split()) <= set(known)
    assert known["lt"].name == "Lithuanian"
    assert known["gl"].family == "Indo-European (Romance)"


def test_languages_of_the_demo_have_a_name_and_a_family():
    known = read_languages(CONF)
    demo = "en es tr fi id sw ka hu ta vi cmn ja ko no"
    assert set(demo.split()) <= set(known)
    assert known["no"].name == "Norwegian"


def test_languages_are_shown_by_family_then_name_and_unlisted_ones_last():
    known = read_languages(CONF)
    languages = describe(["zz", "tr", "es", "ca", "fr", "kab"], known)
    assert languages["zz"].family == UNLISTED
    order = [language.code for language in display_order(languages.values())]
    assert order == ["kab", "ca", "fr", "es", "tr", "zz"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("no: {name: Norwegian, family: x}", "in quotes"),
        ("ca: {name: Catalan}", "ca needs a name and a family"),
        ("ca: Catalan", "ca needs a name and a family"),
        ("- ca", "a list of languages"),
        ("", "a list of languages"),
        ("ca: {name: [", "is not valid YAML"),
    ],
)
def test_mistake_in_the_configuration_is_named(tmp_path, text, sentence):
    path = tmp_path / "languages.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=sentence):
        read_languages(path)


def test_absent_configuration_is_named(tmp_path):
    with pytest.raises(UserError, match="--languages_conf"):
        read_languages(tmp_path / "languages.yaml")


ROOT = Path(__file__).parents[2]
HEADER = "language_a\tlanguage_b\t" + "\t".join(DISTANCES)


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join((HEADER, *lines)) + "\n", encoding="utf-8")
    return path


def test_shipped_distances_are_symmetric_between_0_and_1_and_0_to_itself():
    codes = ("tr", "es", "eo", "zh-TW", "sw", "cmn")
    distances = language_distances(codes)
    assert set(distances) == {*DISTANCES, TYPOLOGICAL}
    for matrix in distances.values():
        assert matrix.shape == (6, 6)
        np.testing.assert_array_equal(matrix, matrix.T)
        np.testing.assert_array_equal(np.diagonal(matrix), 0.0)
        known = matrix[np.isfinite(matrix)]
        assert ((known >= 0) & (known <= 1)).all()


@pytest.mark.parametrize("name", PUBLISHED)
def test_all_published_languages_have_all_distances_but_the_family_of_esperanto(name):
    codes = read_published(name).rows
    for column, matrix in language_distances(codes).items():
        unknown = np.isnan(matrix)
        if column == "genetic" and "eo" in codes:
            unknown[codes.index("eo")] = unknown[:, codes.index("eo")] = False
        assert not unknown.any(), column


def test_geographic_distances_are_those_of_known_places():
    """Degrees of arc between places of about the right position, by the haversine."""
    places = {"ca": (41.5, 2), "ja": (35, 135), "sw": (-8.3, 37.6), "et": (58.6, 25.8)}
    matrix = language_distances(tuple(places))["geographic"]
    points = np.radians(np.array(list(places.values())))
    latitude, longitude = points[:, 0], points[:, 1]
    haversine = (
        np.sin((latitude[:, None] - latitude) / 2) ** 2
        + np.cos(latitude[:, None])
        * np.cos(latitude)
        * np.sin((longitude[:, None] - longitude) / 2) ** 2
    )
    expected = 2 * np.arcsin(np.sqrt(haversine)) / np.pi
    np.testing.assert_allclose(matrix, expected, atol=0.01)


def test_relatives_are_nearer_than_strangers():
    codes = ("ca", "es", "ru", "ja")
    distances = language_distances(codes)
    for column in ("geographic", "genetic", "syntactic"):
        to_catalan = distances[column][0]
        assert to_catalan[1] < to_catalan[2] < to_catalan[3] + 1e-9, column
    assert distances["genetic"][0, 3] == 1.0


def test_varieties_of_one_language_are_at_distance_0():
    for matrix in language_distances(("zh-CN", "zh-TW", "cmn")).values():
        np.testing.assert_array_equal(matrix, 0.0)
    assert language_distances(("zh-HK", "zh-CN"))["syntactic"][0, 1] > 0


def test_typological_distance_is_the_mean_of_its_three_parts():
    distances = language_distances(("de", "tr", "yue"))
    parts = np.mean([distances[part] for part in TYPOLOGICAL_PARTS], axis=0)
    np.testing.assert_allclose(distances[TYPOLOGICAL], parts)


def test_an_unknown_language_is_at_no_distance_but_from_itself():
    matrix = language_distances(("es", "xx-unknown"))["geographic"]
    assert np.isnan(matrix[0, 1]) and np.isnan(matrix[1, 0])
    assert matrix[1, 1] == 0


def test_own_file_adds_pairs_and_counts_before_what_is_shipped(tmp_path):
    own = write(
        tmp_path / "own.tsv",
        "xx\tes\t0.1\t0.2\t0.3\t\t0.5",
        "es\tca\t1\t0.9\t0.8\t0.7\t0.6",
    )
    distances = language_distances(("ca", "es", "xx"), own)
    assert distances["genetic"][1, 2] == distances["genetic"][2, 1] == 0.2
    assert distances["geographic"][0, 1] == 1.0
    assert np.isnan(distances["phonological"][1, 2])
    assert np.isnan(distances[TYPOLOGICAL][1, 2])
    assert np.isnan(distances["geographic"][0, 2])


def test_own_distances_stand_beside_the_shipped_ones(tmp_path):
    own = tmp_path / "own.tsv"
    own.write_text(
        "language_a\tlanguage_b\tatds\tlexical\timputed\n"
        "es\tca\t0.1\t0.2\tlexical\n"
        "es\txx\t0.3\t\t\n"
    )
    found = language_distances(("ca", "es", "xx"), own)
    assert list(found) == [*DISTANCES, TYPOLOGICAL, "atds", "lexical"]
    np.testing.assert_array_equal(found["atds"][1], [0.1, 0.0, 0.3])
    assert np.isnan(found["atds"][0, 2]) and np.isnan(found["lexical"][1, 2])
    # What the table does not have stays as it is shipped.
    shipped = language_distances(("ca", "es", "xx"))
    for name, distances in shipped.items():
        np.testing.assert_array_equal(found[name], distances)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("language_a\tlanguage_b", "no column of distances"),
        ("language_a\tlanguage_b\tFar away", "'Far away' cannot be the name"),
        ("language_a\tlanguage_b\ttypological", "'typological' cannot be the name"),
        ("language_a\tatds", "no column language_b"),
    ],
)
def test_columns_that_are_no_distances_are_named(tmp_path, header, message):
    own = tmp_path / "own.tsv"
    own.write_text(f"{header}\n")
    with pytest.raises(UserError, match=message):
        read_pairs(own)


def test_shipped_table_has_every_pair_of_its_languages_once():
    pairs = read_pairs(SHIPPED)
    codes = sorted({code for pair in pairs for code in pair})
    assert len(pairs) == len(codes) * (len(codes) - 1) // 2
    assert set(read_published("gender_mhubert").rows) <= set(codes)
    assert set(codes) <= set(read_languages(ROOT / "conf" / "languages.yaml"))


def test_imputed_distances_are_marked():
    lines = SHIPPED.read_text(encoding="utf-8").splitlines()
    rows = {tuple(line.split("\t")[:2]): line.split("\t") for line in lines}
    assert rows["language_a", "language_b"][-1] == IMPUTED
    # Nothing is attested of Galician phonology.
    assert rows["ca", "gl"][-1] == "phonological"
    assert rows["ca", "es"][-1] == ""
    named = {name for row in list(rows.values())[1:] for name in row[-1].split(",")}
    assert named == {"", *TYPOLOGICAL_PARTS}


def test_shipped_table_tells_its_source_and_licence():
    attribution = (SHIPPED.parent / "README.md").read_text(encoding="utf-8")
    for needed in ("CC BY-SA 4.0", "URIEL+", "Khan", "make_language_distances"):
        assert needed in attribution


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["es\tca\t0.1\t0\t0\t0\t1.5"], r"line 2: inventory is '1.5', not a fraction"),
        (["es\tca\t0.1\t0\t-1\t0\t1"], r"line 2: syntactic is '-1', not a"),
        (["es\tca\tfar\t0\t0\t0\t1"], r"line 2: geographic is 'far', not a"),
        (["es\tca\tinf\t0\t0\t0\t1"], r"line 2: geographic is 'inf', not a"),
        (["es\tes\t0\t0\t0\t0\t0"], r"line 2: a pair of es with itself"),
        (
            ["es\tca\t0\t0\t0\t0\t0", "ca\tes\t0\t0\t0\t0\t0"],
            r"lines 2 and 3: the pair",
        ),
        (["es\t\t0\t0\t0\t0\t0"], r"line 2: language_b is '', not a language code"),
        (["es\tca\t0\t0\t0\t0\t0\t0"], r"is not a table"),
    ],
)
def test_a_mistake_in_the_own_file_is_named_with_its_line(tmp_path, lines, message):
    own = write(tmp_path / "own.tsv", *lines)
    with pytest.raises(UserError, match=message) as error:
        language_distances(("ca", "es"), own)
    assert str(own) in str(error.value)


def test_a_file_that_is_no_table_of_distances_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"cannot be read .*: give a tab-separated"):
        read_pairs(tmp_path / "absent.tsv")
    with pytest.raises(UserError, match=r"cannot be read"):
        read_pairs(tmp_path)
    empty = tmp_path / "empty.tsv"
    empty.touch()
    with pytest.raises(UserError, match=r"is empty: "):
        read_pairs(empty)
    other = tmp_path / "other.tsv"
    other.write_text("language_a\tgeographic\nes\t0\n")
    with pytest.raises(UserError, match=r"has no column language_b"):
        read_pairs(other)


def test_same_family_is_that_before_the_bracket():
    names = {
        "es": "Indo-European (Romance)",
        "ru": "Indo-European (Slavic)",
        "tr": "Turkic",
    }
    same = family_relation([Language(code, code, name) for code, name in names.items()])
    np.testing.assert_array_equal(same, [[1, 1, 0], [1, 1, 0], [0, 0, 1]])


def test_constructed_languages_creoles_and_isolates_are_of_no_common_family():
    known = read_languages(ROOT / "conf" / "languages.yaml")
    same = family_relation([known[code] for code in ("eo", "ia", "eu", "ht", "pap")])
    np.testing.assert_array_equal(same, np.eye(5))


def test_family_of_an_unlisted_language_is_not_known():
    described = describe(("xx", "yy"), {"yy": Language("yy", "Y", "Turkic")})
    same = family_relation(described.values())
    assert np.isnan(same[0]).all() and np.isnan(same[1, 0]) and same[1, 1] == 1


def test_synthetic_speech_is_where_its_language_is(tmp_path):
    codes = ["es", "es@tts", "pt", "sw@tts", "sw@other"]
    found = language_distances(codes)
    for values in found.values():
        assert values[0, 1] == 0
        assert values[1, 2] == values[0, 2]
        assert values[3, 4] == 0
    own = tmp_path / "own.tsv"
    own.write_text(
        "\t".join((*LANGUAGE_COLUMNS, *DISTANCES)) + "\nes\tes@tts" + "\t0.5" * 5
    )
    assert language_distances(codes, own)["genetic"][0, 1] == 0.5
    known = {"es": Language("es", "Spanish", "Indo-European (Romance)")}
    named = describe(["es@tts", "es@old", "xx@tts"], known)
    assert [one.name for one in named.values()] == [
        "Spanish (synthetic)",
        "Spanish (old)",
        "xx (synthetic)",
    ]
    assert named["es@tts"].family == "Indo-European (Romance)"
