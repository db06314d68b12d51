import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from espnet2_cltm.matrix.decomposition import decompose, fit_additive
from espnet2_cltm.matrix.estimates import cell_moments, estimate
from espnet2_cltm.matrix.matrix_files import read_published
from espnet2_cltm.matrix.noise import CellNoise, cell_noise
from espnet2_cltm.matrix.scores import AggregatedScores, ResultsSource
from tests.matrix.simulator import Simulation, draw_scores, draw_truth


def independent_noise(standard_errors: np.ndarray) -> CellNoise:
    return CellNoise(np.zeros((*standard_errors.shape, 0)), standard_errors)


def off_diagonal(matrix: np.ndarray) -> np.ndarray:
    return matrix[~np.eye(len(matrix), dtype=bool)]


def draw(
    seed: int, n: int, target: float, donor: float, pair: float, missing: float = 0.0
) -> np.ndarray:
    """Deviations of the three effects; the diagonal is 1, as in a matrix."""
    generator = np.random.default_rng(seed)
    matrix = 0.5 + target * generator.normal(size=(n, 1))
    matrix = matrix + donor * generator.normal(size=(1, n))
    matrix = matrix + pair * generator.normal(size=(n, n))
    matrix[generator.random((n, n)) < missing] = np.nan
    np.fill_diagonal(matrix, 1.0)
    return matrix


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([0.0, 0.3]))
def test_an_additive_matrix_is_recovered_from_the_cells_there_are(seed, missing):
    whole = draw(seed, 9, 1.0, 0.5, 0.0)
    holes = draw(seed, 9, 1.0, 0.5, 0.0, missing)
    there = np.isfinite(holes) & ~np.eye(9, dtype=bool)
    assume(there.any(axis=0).all() and there.any(axis=1).all())
    fit = fit_additive(holes)
    np.testing.assert_allclose(off_diagonal(fit.fitted), off_diagonal(whole), atol=1e-9)
    assert fit.target.mean() == pytest.approx(0, abs=1e-9)
    assert fit.donor.mean() == pytest.approx(0, abs=1e-9)


def test_residuals_of_a_fit_have_no_mean_by_target_or_donor():
    matrix = draw(3, 12, 1.0, 0.5, 0.3, missing=0.2)
    residual = matrix - fit_additive(matrix).fitted
    np.fill_diagonal(residual, np.nan)
    np.testing.assert_allclose(np.nansum(residual, axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(np.nansum(residual, axis=1), 0, atol=1e-9)


def test_a_target_without_a_cell_has_no_effect_and_the_diagonal_does_not_count():
    matrix = draw(3, 6, 1.0, 0.5, 0.3)
    matrix[2] = np.nan
    matrix[2, 2] = 1.0
    fit = fit_additive(matrix)
    assert np.isnan(fit.target[2]) and np.isfinite(fit.donor).all()
    assert np.isnan(fit.fitted[2]).all()
    np.fill_diagonal(matrix, 99.0)
    np.testing.assert_array_equal(fit_additive(matrix).fitted, fit.fitted)
    assert fit_additive(np.full((2, 2), np.nan)) is None


# Mean r over 20 masks; the method's own figure for these matrices.
@pytest.mark.parametrize(
    ("name", "published"),
    [("gender_mhubert", 0.75), ("speaker_mhubert", 0.86), ("speaker_ecapa", 0.63)],
)
def test_a_fifth_of_the_published_cells_predicts_the_others(name, published):
    matrix = np.clip(read_published(name).values, -3, 3)
    n = len(matrix)
    pairs = np.argwhere(~np.eye(n, dtype=bool))
    found = []
    for seed in range(20):
        order = np.random.default_rng(seed).permutation(len(pairs))
        kept, left = np.split(order, [round(0.2 * len(pairs))])
        measured = np.full((n, n), np.nan)
        measured[tuple(pairs[kept].T)] = matrix[tuple(pairs[kept].T)]
        predicted = fit_additive(measured).fitted[tuple(pairs[left].T)]
        found.append(np.corrcoef(predicted, matrix[tuple(pairs[left].T)])[0, 1])
    assert np.mean(found) == pytest.approx(published, abs=0.015)


@pytest.mark.parametrize("missing", [0.0, 0.4])
def test_variances_that_were_put_in_are_found(missing):
    found = [decompose(draw(seed, 20, 0.6, 0.3, 0.4, missing)) for seed in range(60)]
    # Standard errors of these means are 0.015, 0.004 and 0.002.
    assert np.mean([x.target for x in found]) == pytest.approx(0.36, abs=0.045)
    assert np.mean([x.donor for x in found]) == pytest.approx(0.09, abs=0.015)
    assert np.mean([x.pair for x in found]) == pytest.approx(0.16, abs=0.006)
    assert all(x.noise is None for x in found)


def test_a_complete_table_gives_the_textbook_estimates():
    """All cells off the diagonal, checked with the sums of squares written out."""
    matrix = draw(5, 7, 0.6, 0.3, 0.4)
    n = 7
    np.fill_diagonal(matrix, np.nan)
    found = decompose(matrix)

    def residual(columns: list[np.ndarray]) -> float:
        rows, cols = np.nonzero(~np.eye(n, dtype=bool))
        design = np.column_stack(
            [np.ones(n * (n - 1)), *(c(rows, cols) for c in columns)]
        )
        values = matrix[rows, cols]
        solution = np.linalg.pinv(design) @ values
        return ((values - design @ solution) ** 2).sum()

    def targets(rows, cols):
        return np.eye(n)[rows]

    def donors(rows, cols):
        return np.eye(n)[cols]

    both = residual([targets, donors])
    df = n * (n - 1) - (2 * n - 1)
    assert found.pair == pytest.approx(both / df)
    # Given donors, a target effect counts (n - 1) - 1 = n - 2 times: each of its n - 1
    # cells less its part, 1 / (n - 1), in that donor's mean.
    between = residual([donors]) - both
    assert found.target == pytest.approx(
        (between - (n - 1) * found.pair) / (n * (n - 2))
    )


def test_noise_is_taken_out_of_the_pairs_where_standard_errors_are_known():
    generator = np.random.default_rng(7)
    errors = generator.uniform(0.1, 0.9, (20, 20))
    found, plain = [], []
    for seed in range(60):
        noisy = draw(seed, 20, 0.6, 0.3, 0.4, 0.2)
        noisy = noisy + errors * generator.normal(size=errors.shape)
        found.append(decompose(noisy, independent_noise(errors)))
        plain.append(decompose(noisy))
    assert np.mean([x.pair for x in found]) == pytest.approx(0.16, abs=0.015)
    assert np.mean([x.target for x in found]) == pytest.approx(0.36, abs=0.045)
    assert found[0].noise == pytest.approx(np.mean(errors**2), abs=0.04)
    assert np.mean([x.pair for x in plain]) > 0.4
    one = found[0]
    assert one.target_share + one.donor_share + one.pair_share == pytest.approx(1)
    assert one.target_share > one.donor_share


def test_matrix_of_noise_alone_has_no_variance_below_zero():
    noise = independent_noise(np.full((8, 8), 5.0))
    found = decompose(draw(1, 8, 0.1, 0.1, 0.1), noise)
    assert (found.target, found.donor, found.pair) == (0.0, 0.0, 0.0)
    assert found.target_share is None


def test_too_few_cells_give_nothing():
    two = np.array([[1, 0.5], [0.2, 1]])
    assert decompose(two) is None
    assert decompose(np.full((4, 4), np.nan)) is None


def test_noise_of_shared_runs_does_not_pass_for_target_effects():
    simulation = Simulation()  # noise as of the demo's runs, no target effects
    allowed_for, as_if_independent, without_noise = [], [], []
    for seed in range(20):
        generator = np.random.default_rng(seed)
        truth = draw_truth(simulation, generator)
        scores = draw_scores(truth, simulation, generator)
        matrix = estimate(cell_moments(scores))
        noise = cell_noise(scores, matrix)
        errors = independent_noise(matrix.raw_cltm_se)
        allowed_for.append(decompose(matrix.cltm, noise))
        as_if_independent.append(decompose(matrix.cltm, errors))
        without_noise.append(decompose(truth.cltm))
    share = [
        np.median([x.target_share for x in found])
        for found in (allowed_for, as_if_independent, without_noise)
    ]
    assert share[2] < 0.02
    assert share[0] < 0.05 < share[1]


def test_shared_and_own_noise_make_up_the_standard_error():
    simulation = Simulation(n_languages=5)
    generator = np.random.default_rng(0)
    scores = draw_scores(draw_truth(simulation, generator), simulation, generator)
    matrix = estimate(cell_moments(scores))
    noise = cell_noise(scores, matrix)
    off_diagonal = ~np.eye(5, dtype=bool)
    variance = (noise.shared**2).sum(axis=-1) + noise.own**2
    np.testing.assert_allclose(
        variance[off_diagonal], matrix.raw_cltm_se[off_diagonal] ** 2
    )


def test_noise_of_aggregated_scores_is_that_of_independent_runs():
    languages = ("ca", "es", "tr")
    generator = np.random.default_rng(3)
    shape = {"single": 3, "double": 3, "pair": (3, 3)}
    mean = {"single": 0.7, "double": 0.8, "pair": 0.75}
    scores = AggregatedScores(
        ResultsSource("f.csv", "0", "gender", "macro_f1"),
        languages,
        {k: mean[k] + generator.normal(0, 0.01, size) for k, size in shape.items()},
        {k: generator.uniform(1e-4, 4e-4, size) for k, size in shape.items()},
        {k: np.full(size, 10) for k, size in shape.items()},
    )
    matrix = estimate(cell_moments(scores))
    noise = cell_noise(scores, matrix)
    off_diagonal = ~np.eye(3, dtype=bool)
    variance = (noise.shared**2).sum(axis=-1) + noise.own**2
    np.testing.assert_allclose(
        variance[off_diagonal], matrix.raw_cltm_se[off_diagonal] ** 2
    )
