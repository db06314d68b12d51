"""Where the values of a transfer matrix come from: targets, donors, or pairs of them.

The model of an off-diagonal cell, rows i targets, columns j donors:

    CLTM[i,j] = mean + target_i + donor_j + pair_ij + noise_ij

Effects are fitted by least squares over the cells that are there; what target and donor
leave is pair and noise together. Shares of variance come from Henderson's method of
fitting constants (his method 3; Searle, Casella and McCulloch, *Variance Components*,
1992, ch. 5.5), which allows for missing cells; where standard errors are known, the
noise they stand for is taken out.
"""

from dataclasses import dataclass

import numpy as np

from espnet2_cltm.matrix.noise import RANK_TOLERANCE, CellNoise, additive_design


@dataclass(frozen=True)
class AdditiveFit:
    """Least-squares fit of mean + target + donor.

    Attributes:
        mean: The cell of an average target and an average donor.
        target: (n,) effects of targets, mean 0; NaN without a cell.
        donor: (n,) effects of donors, mean 0; NaN without a cell.
    """

    mean: float
    target: np.ndarray
    donor: np.ndarray

    @property
    def fitted(self) -> np.ndarray:
        """(n, n) values of the model, also where there is no cell; NaN as above."""
        return self.mean + self.target[:, None] + self.donor[None, :]


@dataclass(frozen=True)
class Decomposition:
    """Variances of the four parts of a cell, none below 0, and their shares.

    Attributes:
        target: Variance of target effects.
        donor: Variance of donor effects.
        pair: Variance of pair effects; holds the noise too where ``noise`` is None.
        noise: Mean squared standard error of the cells; None where not known.
        target_share: Share of the target effects in the first three; None where nothing
            varies.
        donor_share: Share of the donor effects.
        pair_share: Share of the pair effects.
        noise_share: Share of the noise in all four.
        n_cells: Number of cells these rest on.
    """

    target: float
    donor: float
    pair: float
    noise: float | None
    target_share: float | None
    donor_share: float | None
    pair_share: float | None
    noise_share: float | None
    n_cells: int


def fit_additive(matrix: np.ndarray) -> AdditiveFit | None:
    """Fit mean, targets and donors to the off-diagonal cells.

    Where cells fall into groups without a target or donor in common, effects are told
    apart within groups only; the smallest effects that fit are taken.

    Args:
        matrix: (n, n), NaN where not available; the diagonal does not count.

    Returns:
        None without any cell.
    """
    rows, columns, values = _cells(matrix)
    if not len(values):
        return None
    n = len(matrix)
    centre = values.mean()
    design = additive_design(rows, columns, n)
    effects = np.linalg.lstsq(design, values - centre, rcond=RANK_TOLERANCE)[0]
    target = np.where(np.isin(np.arange(n), rows), effects[:n], np.nan)
    donor = np.where(np.isin(np.arange(n), columns), effects[n:], np.nan)
    mean_target, mean_donor = np.nanmean(target), np.nanmean(donor)
    return AdditiveFit(
        mean=float(centre + mean_target + mean_donor),
        target=target - mean_target,
        donor=donor - mean_donor,
    )


def decompose(
    matrix: np.ndarray, noise: CellNoise | None = None
) -> Decomposition | None:
    """Divide the variation of the cells into that of targets, donors and pairs.

    Three sums of squares, of targets after donors, of donors after targets, and what
    both leave, are set equal to what is expected of them; an estimate below 0 becomes
    0. What noise is expected to add to each is taken out, with what cells have in
    common: the same single and double runs stand in all cells of a target.

    Args:
        matrix: (n, n), NaN where not available; the diagonal does not count.
        noise: Noise of the cells. Those whose noise is not known are left out; where it
            is known of none, noise stays in the pairs.

    Returns:
        None where the cells are too few to tell the parts apart.
    """
    if noise is not None and not np.isfinite(noise.own).any():
        noise = None
    if noise is not None:
        matrix = np.where(np.isfinite(noise.own), matrix, np.nan)
    rows, columns, values = _cells(matrix)
    shared, own = np.zeros((len(values), 0)), np.zeros(len(values))
    if noise is not None:
        shared, own = noise.shared[rows, columns], noise.own[rows, columns] ** 2
    if len(values) < 2:
        return None
    values = values - values.mean()

    n = len(matrix)
    design = additive_design(rows, columns, n)
    of_target, of_donor = design[:, :n], design[:, n:]
    both = _basis(design)
    target_only, donor_only = _basis(of_target), _basis(of_donor)
    residual_df = len(values) - both.shape[1]
    target_df = both.shape[1] - donor_only.shape[1]
    donor_df = both.shape[1] - target_only.shape[1]
    if min(residual_df, target_df, donor_df) < 1:
        return None

    # What noise adds to a sum of squares is expected to be the trace of projection
    # times covariance.
    of_both, of_targets, of_donors = (
        _explained(basis, shared) + float((basis**2).sum(axis=1) @ own)
        for basis in (both, target_only, donor_only)
    )
    noise_squares = float((shared**2).sum() + own.sum())
    explained = _explained(both, values)
    residual = values @ values - explained
    pair = max(float(residual - (noise_squares - of_both)) / residual_df, 0.0)
    target = _component(
        explained - _explained(donor_only, values),
        pair * target_df + of_both - of_donors,
        _explained(both, of_target) - _explained(donor_only, of_target),
    )
    donor = _component(
        explained - _explained(target_only, values),
        pair * donor_df + of_both - of_targets,
        _explained(both, of_donor) - _explained(target_only, of_donor),
    )
    between = target + donor + pair
    of_noise = noise_squares / len(values) if noise is not None else None
    return Decomposition(
        target=target,
        donor=donor,
        pair=pair,
        noise=of_noise,
        target_share=_share(target, between),
        donor_share=_share(donor, between),
        pair_share=_share(pair, between),
        noise_share=_share(of_noise, between + (of_noise or 0.0)),
        n_cells=len(values),
    )


def _share(part: float | None, total: float) -> float | None:
    return part / total if part is not None and total > 0 else None


def _cells(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    there = np.isfinite(matrix) & ~np.eye(len(matrix), dtype=bool)
    rows, columns = np.nonzero(there)
    return rows, columns, matrix[rows, columns]


def _basis(design: np.ndarray) -> np.ndarray:
    """Orthonormal columns that span those of ``design``."""
    basis, singular, _ = np.linalg.svd(design, full_matrices=False)
    return basis[:, singular > RANK_TOLERANCE * singular[0]]


def _explained(basis: np.ndarray, columns: np.ndarray) -> float:
    """Sum of squares of what a space explains of one or several columns."""
    return float(((basis.T @ columns) ** 2).sum())


def _component(squares: float, of_others: float, coefficient: float) -> float:
    return max(float(squares - of_others) / coefficient, 0.0)
