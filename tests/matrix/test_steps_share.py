import numpy as np
import pytest
from scipy import optimize, stats

from espnet2_cltm.matrix.results import read_published_steps, read_scores
from espnet2_cltm.matrix.steps_share import steps_share
from tests.matrix.results_files import perf_rows, write_results

LANGUAGES = ("ca", "es", "fi")


def share_of(tmp_path, equal, data, seeds):
    """Find the share from gains by language and seed, in both designs."""

    def rows(gains, steps):
        made = perf_rows(
            LANGUAGES,
            seeds,
            lambda kind, tested, donor, seed: (
                0.5 + (kind == "double") * gains[LANGUAGES.index(tested)][seed]
            ),
        )
        return [[f"{row[0]}_{steps}", *row[1:], steps] for row in made]

    path = write_results(
        tmp_path / "results.tsv", [*rows(equal, "equal"), *rows(data, "data")]
    )
    return steps_share(read_scores(path), read_published_steps(path))


def test_share_and_interval_are_those_of_fieller(tmp_path):
    generator = np.random.default_rng(1)
    data = 0.12 + 0.02 * generator.standard_normal((3, 6))
    equal = 0.3 * data + 0.01 * generator.standard_normal((3, 6))
    found = share_of(tmp_path, equal, data, range(6))
    assert found.targets == LANGUAGES
    x, d = equal.mean(axis=0), data.mean(axis=0)
    assert found.share == pytest.approx(1 - x.mean() / d.mean())

    def surplus(ratio):
        """By which Student's test of x - ratio d exceeds its critical value."""
        t = stats.ttest_1samp(x - ratio * d, 0.0).statistic
        return abs(t) - stats.t.ppf(0.975, 5)

    center = x.mean() / d.mean()
    limits = [optimize.brentq(surplus, center, center + side) for side in (1, -1)]
    assert [found.low, found.high] == pytest.approx([1 - limit for limit in limits])
    assert f"{found.share:.0%}" in found.sentence()


@pytest.mark.parametrize(
    ("data", "seeds"), [(0.1, range(2)), (0.0, range(6))], ids=["two seeds", "no gain"]
)
def test_share_that_cannot_be_told_has_no_interval(tmp_path, data, seeds):
    noise = 0.02 * np.random.default_rng(2).standard_normal((2, 3, 6))
    found = share_of(tmp_path, 0.05 + noise[0], data + noise[1], seeds)
    assert found.share is found.low is found.high is None
    assert "is unclear" in found.sentence()


def test_targets_that_lack_a_seed_are_left_out(tmp_path):
    equal = np.full((3, 3), 0.05)
    data = np.full((3, 3), 0.1)
    data[1, 2] = np.nan
    found = share_of(tmp_path, equal, data, range(3))
    assert found.targets == ("ca", "fi")
    assert found.share == pytest.approx(0.5)
