#!/usr/bin/env python3
"""Compute the table of distances between languages from URIEL+'s features.

Takes conf/uriel_languages.yaml and the data inside the package urielplus 1.3.2; writes
espnet2_cltm/data/languages/distances.tsv, a line an unordered pair, codes sorted. The
README there tells the formulae. Needs an environment of its own:

    python3 -m venv distances_env
    distances_env/bin/pip install -r tools/requirements-distances.txt
    distances_env/bin/python tools/make_language_distances.py

It takes a few minutes. An empty field is a distance that URIEL+ does not give. The
column ``imputed`` names the distances, separated by commas, that rest on no attested
feature of one of the two languages, but on those of near and related ones.
"""

import argparse
import logging
import os
import sys
import tempfile
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

ROOT = Path(__file__).resolve().parents[1]
# Beside the sources of URIEL. Not eWAVE, which tells varieties of English apart.
DATABASES = ("UPDATED_SAPHON", "BDPROTO", "GRAMBANK", "APICS", "GLOTTOLOG")
COLUMNS = ("geographic", "genetic", "syntactic", "phonological", "inventory")
# Columns that are angles between vectors, with the first letters of their features.
FEATURE_SETS = {"syntactic": "S_", "phonological": "P_", "inventory": "INV_"}
NOT_A_FAMILY = "F_Artificial Language"  # no genetic distance from its members
LEAST_ATTESTED = 1 / 3  # of the table's languages, for a feature to be taken
NEIGHBOURS = 5  # whose mean stands for a feature that is not attested


@dataclass(frozen=True)
class Languages:
    """What URIEL+ knows of N languages.

    Attributes:
        codes: Glottocodes, sorted.
        points: (N, 3) unit vectors of their places.
        groups: (N, groups) 1 for those of the family tree that a language is in.
        artificial: (N,) whether they were made up.
        names: (features,) names of features.
        features: (N, features) 1 where any source attests it, 0 where it is attested
            to be absent, NaN where no source tells.
    """

    codes: np.ndarray
    points: np.ndarray
    groups: np.ndarray
    artificial: np.ndarray
    names: np.ndarray
    features: np.ndarray


def read_uriel(wanted: set[str]) -> Languages:
    """Read the languages wanted and all others with a place and attested features."""
    import urielplus  # writes into its own directory, and a log
    from urielplus.urielplus import URIELPlus

    logging.disable(logging.INFO)
    uriel = URIELPlus()
    uriel.integrate_custom_databases(*DATABASES)
    # Whose lineage is told twice is in one place all the same.
    database = Path(urielplus.__file__).parent / "database" / "urielplus_csvs"
    geography = pd.read_csv(database / "lang_fam_geo.csv").drop_duplicates(
        "language_id"
    )
    places = geography.set_index("language_id")[["latitude", "longitude"]]

    codes = np.array(uriel.langs[1], dtype=str)
    degrees = places.reindex(codes).to_numpy(dtype=float)
    features = uriel.data[1].max(axis=-1)
    known = (features >= 0).any(axis=1) | np.isin(codes, list(wanted))
    kept = np.flatnonzero(known & np.isfinite(degrees).all(axis=1))
    kept = kept[np.argsort(codes[kept])]
    if absent := wanted - set(codes[kept]):
        sys.exit(f"URIEL+ tells no place of {' '.join(sorted(absent))}.")
    names, of_family = (np.array(uriel.feats[i], dtype=str) for i in (1, 0))
    groups = (uriel.data[0][kept, :, 0] == 1).astype(float)
    return Languages(
        codes[kept],
        points_on_sphere(degrees[kept]),
        groups,
        groups[:, of_family == NOT_A_FAMILY].any(axis=1),
        names,
        np.where(features[kept] < 0, np.nan, features[kept]),
    )


def points_on_sphere(degrees: np.ndarray) -> np.ndarray:
    """Return (N, 3) unit vectors of (N, 2) latitudes and longitudes."""
    latitude, longitude = np.radians(degrees).T
    across = np.cos(latitude)
    return np.stack(
        [across * np.cos(longitude), across * np.sin(longitude), np.sin(latitude)],
        axis=1,
    )


def arcs(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the angles, in radians, between (n, d) and (m, d) unit vectors."""
    # Of chords, because the arc cosine of nearly 1 has no digits left.
    chords = np.array([np.linalg.norm(b - vector, axis=1) for vector in a])
    return 2 * np.arcsin(np.minimum(chords / 2, 1))


def tree_distances(languages: Languages, own: np.ndarray) -> np.ndarray:
    """Return the share of two paths from the root of the tree that is not in common.

        1 - 2 |common| / (|path a| + |path b|)

    A path is the groups a language is in, and the language itself: two languages of
    the same groups are at a distance above 0, of different families, or isolates, at 1.

    Args:
        languages: All N.
        own: (n,) indices of those to begin with.

    Returns:
        (n, N), NaN where one is artificial.
    """
    groups, artificial = languages.groups, languages.artificial
    common = groups[own] @ groups.T + (own[:, None] == np.arange(len(groups)))
    lengths = groups.sum(axis=1) + 1
    distance = 1 - 2 * common / (lengths[own][:, None] + lengths)
    return np.where(artificial[own][:, None] | artificial, np.nan, distance)


def impute(features: np.ndarray, own: np.ndarray, distances: np.ndarray) -> np.ndarray:
    """Return (n, features) with the nearest languages' mean where nothing is attested.

    Args:
        features: (N, features), NaN where not attested.
        own: (n,) indices of the languages to complete.
        distances: (n, N) how far all are from these.
    """
    complete = features[own].copy()
    for vector, order in zip(
        complete, np.argsort(distances, kind="stable"), strict=True
    ):
        near = features[order]
        attested = np.isfinite(near)
        taken = attested & (np.cumsum(attested, axis=0) <= NEIGHBOURS)
        mean = np.where(taken, near, 0).sum(axis=0) / taken.sum(axis=0)
        vector[:] = np.where(np.isfinite(vector), vector, mean)
    return complete


def compute(
    languages: Languages, own: np.ndarray
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Compute the columns for the languages at the indices ``own``.

    Returns:
        (n, n) distances by column, and (n,) whether nothing is attested, by column
        that is imputed.
    """
    geographic = arcs(languages.points[own], languages.points) / np.pi
    genetic = tree_distances(languages, own)
    distances = {"geographic": geographic[:, own], "genetic": genetic[:, own]}
    nothing = {}
    nearness = geographic + np.where(np.isfinite(genetic), genetic, 1)
    for column, prefix in FEATURE_SETS.items():
        of_set = np.char.startswith(languages.names, prefix)
        attested = np.isfinite(languages.features[own])
        taken = of_set & (attested.mean(axis=0) >= LEAST_ATTESTED)
        print(f"{column}: {taken.sum()} of {of_set.sum()} features")
        nothing[column] = ~attested[:, taken].any(axis=1)
        vectors = impute(languages.features[:, taken], own, nearness)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        distances[column] = arcs(vectors, vectors) / (np.pi / 2)
    return distances, nothing


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
        description="Compute distances between languages from URIEL+'s features.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--languages",
        type=Path,
        default=ROOT / "conf" / "uriel_languages.yaml",
        help="which languages, with their glottocodes",
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
    glottocodes = yaml.safe_load(args.languages.read_text(encoding="utf-8"))
    languages = read_uriel(set(glottocodes.values()))
    own = np.flatnonzero(np.isin(languages.codes, list(glottocodes.values())))
    distances, nothing = compute(languages, own)
    place = {code: i for i, code in enumerate(languages.codes[own])}
    at = {code: place[glottocode] for code, glottocode in glottocodes.items()}
    for column, absent in nothing.items():
        codes = [code for code in sorted(at) if absent[at[code]]]
        print(f"{column}: nothing attested of {len(codes)}: {' '.join(codes)}")
    lines = ["\t".join(("language_a", "language_b", *COLUMNS, "imputed"))]
    for a, b in combinations(sorted(at), 2):
        i, j = at[a], at[b]
        values = (distances[column][i, j] for column in COLUMNS)
        fields = (f"{abs(x):.6f}" if np.isfinite(x) else "" for x in values)
        marked = (c for c, absent in nothing.items() if i != j and absent[[i, j]].any())
        lines.append("\t".join((a, b, *fields, ",".join(marked))))
    write_table(args.output, lines)
    print(f"{len(lines) - 1} pairs of {len(at)} languages in {args.output}")


if __name__ == "__main__":
    main()
