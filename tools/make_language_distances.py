#!/usr/bin/env python3
"""Compute the table of distances between languages from URIEL's feature vectors.

Takes conf/uriel_languages.yaml and the data inside the package lang2vec 1.1.2; writes
espnet2_cltm/data/languages/distances.tsv, a line an unordered pair, codes sorted. The
README there tells the formulae. Needs an environment of its own:

    python3 -m venv distances_env
    distances_env/bin/pip install -r tools/requirements-distances.txt
    distances_env/bin/python tools/make_language_distances.py

It takes half a minute. An empty field is a distance that URIEL does not give. The
column ``imputed`` names the distances, separated by commas, that rest on no attested
feature of one of the two languages, but on those that URIEL predicts.
"""

import argparse
import os
import sys
import tempfile
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import yaml

ROOT = Path(__file__).resolve().parents[1]
COLUMNS = ("geographic", "genetic", "syntactic", "phonological", "inventory")
# Columns that are angles between binary vectors, with their sets of features.
FEATURE_SETS = {
    "syntactic": "syntax",
    "phonological": "phonology",
    "inventory": "inventory",
}
LARGEST_RESIDUAL = 0.005  # of a language's point, as a share of half the equator


@dataclass(frozen=True)
class UrielLanguages:
    """Which languages the table has.

    Attributes:
        iso: ISO 639-3 code by language code.
        isolates: ISO 639-3 codes of languages that are known to have no relative.
        not_families: Features of the family tree that stand for no family.
    """

    iso: dict[str, str]
    isolates: frozenset[str]
    not_families: frozenset[str]


def read_languages(path: Path) -> UrielLanguages:
    """Read conf/uriel_languages.yaml."""
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    return UrielLanguages(
        iso=content["languages"],
        isolates=frozenset(content["isolates"]),
        not_families=frozenset(content["not_families"]),
    )


def get_features(iso: list[str], feature_set: str) -> tuple[list[str], np.ndarray]:
    """Ask lang2vec.

    Args:
        iso: ISO 639-3 codes.
        feature_set: A name of lang2vec's.

    Returns:
        The features' names and an array (languages, features), NaN where unknown.
    """
    from lang2vec import lang2vec  # slow: reads its data when imported

    found = lang2vec.get_features(iso, feature_set, header=True)
    values = [[np.nan if x == "--" else float(x) for x in found[code]] for code in iso]
    return [str(name) for name in found["CODE"]], np.array(values)


def points_on_sphere(names: list[str], distances: np.ndarray) -> np.ndarray:
    """Find the points of languages from their distances to fixed points.

    The cosine of the angle to each fixed point is linear in the point looked for, so
    least squares find it. Names round the fixed points to whole degrees; with 299 of
    them, that moves the point by some hundredths of a degree.

    Args:
        names: ``GC_<latitude>_<longitude>`` of the fixed points, in degrees.
        distances: (languages, fixed points), shares of half the equator.

    Returns:
        (languages, 3) unit vectors.
    """
    degrees = np.array([[float(x) for x in name.split("_")[1:]] for name in names])
    latitude, longitude = np.radians(degrees).T
    fixed = np.stack(
        [
            np.cos(latitude) * np.cos(longitude),
            np.cos(latitude) * np.sin(longitude),
            np.sin(latitude),
        ],
        axis=1,
    )
    points = np.linalg.lstsq(fixed, np.cos(np.pi * distances).T, rcond=None)[0].T
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    residual = np.abs(np.arccos(np.clip(points @ fixed.T, -1, 1)) / np.pi - distances)
    if not residual.max() < LARGEST_RESIDUAL:
        sys.exit(
            f"URIEL's distances to fixed points are off by {residual.max():.3f} of "
            "half the equator from every point of a sphere: has their meaning changed?"
        )
    return points


def great_circle(points: np.ndarray) -> np.ndarray:
    """Arc between points as a share of half the equator (the antipode is at 1)."""
    # Of chords, because the arc cosine of nearly 1 has no digits left.
    chords = np.linalg.norm(points[:, None] - points[None], axis=-1)
    return 2 * np.arcsin(np.minimum(chords / 2, 1)) / np.pi


def tree_distance(ancestors: list[frozenset[str] | None], iso: list[str]) -> np.ndarray:
    """Share of the two paths from the root of the family tree that is not in common.

        1 - 2 |common| / (|path a| + |path b|)

    A path is the groups a language is in, and the language itself: two languages of
    the same groups are at a distance above 0, of different families at 1.

    Args:
        ancestors: Groups of each language, or None where the tree is not known.
        iso: The languages themselves.
    """
    distance = np.full((len(iso), len(iso)), np.nan)
    paths = [
        None if groups is None else groups | {code}
        for groups, code in zip(ancestors, iso, strict=True)
    ]
    for i, a in enumerate(paths):
        for j, b in enumerate(paths):
            if a is not None and b is not None:
                distance[i, j] = 1 - 2 * len(a & b) / (len(a) + len(b))
    return distance


def angular(vectors: np.ndarray) -> np.ndarray:
    """Angle between vectors without negative entries, as a share of a right angle.

    Args:
        vectors: (languages, features); a language with NaN gets no distance.
    """
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    chords = np.linalg.norm(unit[:, None] - unit[None], axis=-1)
    return 2 * np.arcsin(chords / 2) / (np.pi / 2)


def read_ancestors(
    names: list[str], members: np.ndarray, languages: UrielLanguages, iso: list[str]
) -> list[frozenset[str] | None]:
    """Give each language's groups in the family tree, None where not known."""
    found: list[frozenset[str] | None] = []
    for code, row in zip(iso, members, strict=True):
        groups = frozenset(np.array(names)[row == 1].tolist())
        known = (groups and not groups & languages.not_families) or (
            code in languages.isolates
        )
        found.append(groups if known else None)
    return found


def compute(languages: UrielLanguages) -> dict[str, dict[tuple[str, str], float]]:
    """Compute all columns, by pair of ISO 639-3 codes."""
    iso = sorted(set(languages.iso.values()))
    ancestors = read_ancestors(*get_features(iso, "fam"), languages, iso)
    matrices = {
        "geographic": great_circle(points_on_sphere(*get_features(iso, "geo"))),
        "genetic": tree_distance(ancestors, iso),
    }
    for column, features in FEATURE_SETS.items():
        matrices[column] = angular(get_features(iso, f"{features}_knn")[1])
    return {
        column: {
            (a, b): float(matrix[i, j])
            for i, a in enumerate(iso)
            for j, b in enumerate(iso)
        }
        for column, matrix in matrices.items()
    }


def find_predicted(languages: UrielLanguages) -> dict[str, set[str]]:
    """Find the codes of which a set has no attested feature, only predicted ones.

    Returns:
        By column; they are printed, too.
    """
    iso = sorted(set(languages.iso.values()))
    predicted = {}
    for column, features in FEATURE_SETS.items():
        attested = np.isfinite(get_features(iso, f"{features}_average")[1]).any(axis=1)
        known = dict(zip(iso, attested.tolist(), strict=True))
        absent = [
            code for code in sorted(languages.iso) if not known[languages.iso[code]]
        ]
        print(f"{features}: nothing attested of {len(absent)}: {' '.join(absent)}")
        predicted[column] = set(absent)
    return predicted


def write_table(path: Path, lines: list[str]) -> None:
    """Write all of the table or nothing of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def get_parser() -> argparse.ArgumentParser:
    """Define the options."""
    parser = argparse.ArgumentParser(
        description="Compute distances between languages from URIEL's vectors.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--languages",
        type=Path,
        default=ROOT / "conf" / "uriel_languages.yaml",
        help="which languages, with their ISO 639-3 codes",
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=ROOT / "espnet2_cltm" / "data" / "languages" / "distances.tsv",
        help="table to write",
    )
    return parser


def main() -> None:
    """Run from the command line."""
    args = get_parser().parse_args()
    languages = read_languages(args.languages)
    distances = compute(languages)
    predicted = find_predicted(languages)
    lines = ["\t".join(("language_a", "language_b", *COLUMNS, "imputed"))]
    for a, b in combinations(sorted(languages.iso), 2):
        pair = (languages.iso[a], languages.iso[b])
        values = (distances[column][pair] for column in COLUMNS)
        fields = (f"{abs(x):.6f}" if np.isfinite(x) else "" for x in values)
        same = languages.iso[a] == languages.iso[b]
        imputed = ",".join(
            column for column, codes in predicted.items() if {a, b} & codes and not same
        )
        lines.append("\t".join((a, b, *fields, imputed)))
    write_table(args.output, lines)
    print(f"{len(lines) - 1} pairs of {len(languages.iso)} languages in {args.output}")


if __name__ == "__main__":
    main()
