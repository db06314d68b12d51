"""Pools of donors: what ``--pools`` may ask for, and which donors a target got.

``all``, ``nearest:3``, ``recommended:3``, ``random:3`` and codes joined by ``+`` name
pools. Stage 3 decides on the donors and writes ``data/<task>/pools.tsv``, one line a
target and pool (and seed, where donors change with it); stage 6 reads it to tell which
run answers which question.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from espnet2_cltm.errors import UserError
from espnet2_cltm.files import read_rows, write_rows_if_any
from espnet2_cltm.language_codes import is_language_code
from espnet2_cltm.options import Kind, distinct, some_of
from espnet2_cltm.results_format import JOINT, POOL_COLUMNS, POOL_SIZES

ALL = "all"
CHOOSERS = ("nearest", "recommended", "random")
_CHOSEN = re.compile(rf"({'|'.join(CHOOSERS)}):([1-9]\d*)")


def chooser_of(pool: str) -> tuple[str, int] | None:
    """Return who chooses a pool's donors, and how many; None for all or named ones."""
    found = _CHOSEN.fullmatch(pool)
    return (found[1], int(found[2])) if found else None


def _read_pools(text: str) -> tuple[str, ...]:
    pools = []
    for word in text.split():
        codes = sorted(distinct(word.split("+")))
        if word != ALL and not chooser_of(word):
            if word in CHOOSERS or not all(map(is_language_code, codes)):
                raise ValueError
            word = "+".join(codes)
        pools.append(word)
    return tuple(distinct(pools))


POOLS_KIND = Kind(
    _read_pools,
    f"different pools separated by spaces, each {ALL}, "
    + ", ".join(f"{name}:K" for name in CHOOSERS)
    + " or donors joined by '+'",
    (),
)
SIZES_KIND = some_of(*POOL_SIZES)


@dataclass(frozen=True)
class PoolOptions:
    """What is asked for languages taken as having no data.

    Attributes:
        pools: Pools, as in ``--pools``.
        shots: Labelled utterances of the target to go on with, in the unit of N.
        sizes: What N counts, some of :data:`.POOL_SIZES`.
        targets: Targets; empty for every language.
        seed: Seed of random pools.
        methods: Ways to make the model, see :mod:`espnet2_cltm.pooling.methods`.
    """

    pools: tuple[str, ...] = ()
    shots: tuple[int, ...] = ()
    sizes: tuple[str, ...] = POOL_SIZES[:1]
    targets: tuple[str, ...] = ()
    seed: int = 0
    methods: tuple[str, ...] = (JOINT,)

    def __post_init__(self) -> None:
        for name in ("pools", "shots", "sizes", "targets", "methods"):
            object.__setattr__(self, name, tuple(getattr(self, name)))  # YAML has lists

    @property
    def few(self) -> tuple[int, ...]:
        """Shots, where there are any, ascending."""
        return tuple(sorted(m for m in self.shots if m))


@dataclass(frozen=True, order=True)
class ChosenPool:
    """The donors of a target's pool.

    Attributes:
        target: Language without data.
        pool: What was asked for, such as ``nearest:3``.
        donors: Its donors, sorted.
        seed: Seed of the runs with these donors; None for all.
    """

    target: str
    pool: str
    donors: tuple[str, ...]
    seed: int | None = None


def write_pools(path: Path, pools: Iterable[ChosenPool]) -> None:
    """Write the donors of all pools; the file is removed where there are none."""
    rows = (
        (p.target, p.pool, "+".join(p.donors), "" if p.seed is None else p.seed)
        for p in pools
    )
    write_rows_if_any(path, POOL_COLUMNS, rows)


def read_pools(path: Path) -> list[ChosenPool]:
    """Read what :func:`write_pools` wrote; nothing where the file is missing.

    Raises:
        UserError: The file is damaged.
    """
    if not path.exists():
        return []
    pools = []
    remedy = "run stage 3 again"
    rows = read_rows(path, POOL_COLUMNS, "a table of pools", remedy)
    for number, (target, pool, donors, seed) in enumerate(rows, start=2):
        codes = tuple(donors.split("+"))
        if not all(map(is_language_code, (target, *codes))) or not (
            seed.isdecimal() or not seed
        ):
            raise UserError(f"{path}, line {number}, is not a pool: {remedy}.")
        pools.append(ChosenPool(target, pool, codes, int(seed) if seed else None))
    return pools
