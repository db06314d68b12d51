"""The methods paragraphs of the page: what was done, in words for a paper."""

from espnet2_cltm.matrix.estimates import IDENTIFICATION_LEVEL
from espnet2_cltm.matrix.scores import SeedScores
from espnet2_cltm.matrix.uncertainty import Analysis
from espnet2_cltm.report.page.provenance import Provenance
from espnet2_cltm.report.page.signs import with_minus_signs
from espnet2_cltm.report.summary import FALSE_DISCOVERY_RATE, seeds_text

SOURCES = (
    "Method: Buitrago, Pareras, Costa and Hernando, arXiv:2603.08231; Buitrago and "
    "Hernando, Odyssey 2026, doi 10.21437/Odyssey.2026-44. Intervals: Fieller, J. R. "
    "Stat. Soc. B 16 (1954); Hesterberg, arXiv:1411.5279. False discoveries: Benjamini "
    "and Hochberg, J. R. Stat. Soc. B 57 (1995). Matrices against distances: Mantel, "
    "Cancer Research 27 (1967)."
)


def methods_paragraphs(analysis: Analysis, provenance: Provenance) -> tuple[str, ...]:
    """Write the paragraphs: the experiment, the matrix, its uncertainty, sources."""
    matrix = with_minus_signs(_matrix(analysis))
    return (
        _experiment(analysis, provenance),
        matrix,
        _uncertainty(analysis),
        SOURCES,
    )


def _experiment(analysis: Analysis, provenance: Provenance) -> str:
    source, n = analysis.scores.source, len(analysis.matrix.languages)
    task = source.task_title
    encoder = f" {provenance.encoder} was fine-tuned" if provenance.encoder else ""
    model = f"{encoder} for each run." if encoder else " A model was trained each run."
    budget = source.budget_text
    budget = f" ({budget})" if budget else ""
    corpus = provenance.settings.get("corpus")
    of_corpus = f" of the corpus {corpus}" if corpus else ""
    return (
        f"Task: {task}, {n} languages{of_corpus}.{model} For every language i, runs "
        f"on N utterances of i (single) and on 2N (double){budget}; for every pair, "
        f"one on N of i and N of j, tested on both. {_seeds(analysis, provenance)}"
    )


def _seeds(analysis: Analysis, provenance: Provenance) -> str:
    """Say of the seeds what is known of them."""
    seeds = seeds_text(analysis.matrix)
    if not isinstance(analysis.scores, SeedScores):
        return (
            f"The results hold means and variances over seeds ({seeds}); which runs "
            "these rest on is not known here."
        )
    if not provenance.settings:
        return (
            f"Runs of one seed are taken as paired; {seeds}. No run in the results "
            "was left out for its score."
        )
    return (
        "The runs of a seed share their draws of utterances and the initial weights "
        f"of the head, so differences between them are paired; {seeds}. No run was "
        "left out for its score."
    )


def _matrix(analysis: Analysis) -> str:
    metric = analysis.scores.source.metric_title
    return (
        f"Perf is {metric} on the fixed test set of language i, averaged over "
        "seeds. CLTM[i,j] = (Perf(i+j) - Perf(i)) / (Perf(i+i) - Perf(i)); its "
        "diagonal is 1 by definition. A target counts as identified where its "
        "self-gain Perf(i+i) - Perf(i) is above 0 in a one-sided t test at level "
        f"{IDENTIFICATION_LEVEL:g}; the cells of other targets are shown grey and "
        "left out of the summary."
    )


def _uncertainty(analysis: Analysis) -> str:
    settings = analysis.uncertainty.settings
    level = f"{100 * settings.confidence:.4g}%"
    if isinstance(analysis.scores, SeedScores):
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
        f"{intervals} Each identified cell was tested against 0 (Perf(i+j) = Perf(i)) "
        "and against 1 (Perf(i+j) = Perf(i+i)) by two-sided t tests; q-values are "
        "Benjamini and Hochberg's over the matrix, and a cell is said to differ where "
        f"q < {FALSE_DISCOVERY_RATE:g}. Intervals tell how far other seeds would "
        "differ on the same test sets, not what other test sets would give."
    )
