"""The methods in words for a paper: the experiment, the matrix, its uncertainty."""

from espnet2_cltm.matrix.estimates import IDENTIFICATION_LEVEL
from espnet2_cltm.matrix.scores import SeedScores
from espnet2_cltm.matrix.uncertainty import FALSE_DISCOVERY_RATE
from espnet2_cltm.report.contents import Report
from espnet2_cltm.report.wording import FORMULA

SOURCES = (
    "Method: Buitrago, Pareras, Costa and Hernando, arXiv:2603.08231; Buitrago and "
    "Hernando, Odyssey 2026, doi 10.21437/Odyssey.2026-44. Intervals: Fieller, J. R. "
    "Stat. Soc. B 16 (1954); Hesterberg, arXiv:1411.5279. False discoveries: Benjamini "
    "and Hochberg, J. R. Stat. Soc. B 57 (1995). Matrices against distances: Mantel, "
    "Cancer Research 27 (1967)."
)


_STEPS = {
    "data": "All runs trained for the same number of epochs, so that double and pair "
    "runs took twice the optimiser steps of single runs: gains are of data and steps.",
    "equal": "All runs took the same number of optimiser steps, on the same schedule "
    "of learning rates and in batches of equal size: gains are of data alone.",
}


def methods_paragraphs(report: Report) -> tuple[str, ...]:
    """Write the paragraphs: the experiment, the matrix, its uncertainty, sources."""
    return (_experiment(report), _matrix(report), _uncertainty(report), SOURCES)


def _experiment(report: Report) -> str:
    source, provenance = report.source, report.provenance
    n = len(report.matrix.languages)
    model = " A model was trained for each run."
    if provenance.encoder:
        model = f" {provenance.encoder} was fine-tuned for each run."
    budget = f", {source.budget_text}" if source.budget_text else ""
    corpus = provenance.settings.get("corpus")
    of_corpus = f" of the corpus {corpus}" if corpus else ""
    return (
        f"Task: {source.task_title}, {n} languages{of_corpus}.{model} For every "
        f"language i, runs on N {source.items} of i (single) and on 2N (double)"
        f"{budget}; for every pair, one on N of i and N of j, tested on both. "
        f"{_STEPS[source.steps]} {_seeds(report)}"
    )


def _seeds(report: Report) -> str:
    """Say what is known of the seeds."""
    seeds = report.seeds_text
    if not isinstance(report.scores, SeedScores):
        return (
            f"The results hold means and variances over seeds ({seeds}); which runs "
            "these rest on is not known here."
        )
    if not report.provenance.settings:
        return (
            f"Runs of one seed are taken as paired; {seeds}. No run in the results "
            "was left out for its score."
        )
    return (
        "The runs of a seed share their draws of utterances and the initial weights "
        f"of the head, so differences between them are paired; {seeds}. No run was "
        "left out for its score."
    )


def _matrix(report: Report) -> str:
    return (
        f"Perf is {report.source.metric_title} on the fixed test set of "
        f"language i, averaged over seeds. {FORMULA}; its diagonal is 1 by definition. "
        "A target counts as identified where its "
        "self-gain Perf(i+i) - Perf(i) is above 0 in a one-sided t test at level "
        f"{IDENTIFICATION_LEVEL:g}; the cells of other targets are shown grey and "
        "left out of the summary."
    )


def _uncertainty(report: Report) -> str:
    settings, level = report.uncertainty.settings, report.level
    if isinstance(report.scores, SeedScores):
        intervals = (
            f"Intervals of cells ({level}) are Fieller's sets for the ratio of paired "
            "means, which may be unbounded, and expanded percentile intervals of a "
            f"paired bootstrap over seeds ({settings.resamples:,} resamples, seed "
            f"{settings.bootstrap_seed})."
        )
    else:
        intervals = (
            f"Intervals of cells ({level}) are Fieller's sets for the ratio of means, "
            "which may be unbounded; the file holds means and variances only, so runs "
            "count as independent (Welch and Satterthwaite's degrees of freedom)."
        )
    return (
        f"{intervals} Two-sided t tests asked of every pair whether the donor adds "
        "anything (Perf(i+j) = Perf(i)), of every target whether more of its own data "
        "does (Perf(i+i) = Perf(i)), and of every cell of an identified target "
        "whether the donor is worth as much as the target (Perf(i+j) = Perf(i+i)); "
        "q-values are Benjamini and Hochberg's, over all tests of a kind, and a "
        f"difference is told where q < {FALSE_DISCOVERY_RATE:g}. {_test_noise(report)}"
    )


def _test_noise(report: Report) -> str:
    """Say whether the noise of the test sets is in the intervals."""
    groups = report.main.moments.n_groups
    if not groups.any():
        return (
            "Intervals tell how far other seeds would differ on the same test sets, "
            "not what other test sets would give."
        )
    known = groups[groups > 0]
    counts = f"{known.min()}"
    if known.max() > known.min():
        counts += f" to {known.max()}"
    return (
        "Intervals and tests tell how far other seeds and other test speakers would "
        "differ: to the variance over seeds that is added which all seeds share, by a "
        f"jackknife over {counts} groups of test speakers a language (two-way "
        "clusters; Cameron, Gelbach and Miller, J. Bus. Econ. Stat. 29 (2011)), with "
        "Satterthwaite's degrees of freedom."
    )
