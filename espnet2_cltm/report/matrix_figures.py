"""The figures of a matrix for papers, as PNG and PDF: heatmaps and rankings."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from espnet2_cltm.files import remove_if_there
from espnet2_cltm.matrix.languages import Language, display_order
from espnet2_cltm.matrix.uncertainty import Analysis, RatioSets
from espnet2_cltm.report.heatmap import write_heatmap
from espnet2_cltm.report.heatmap_contents import MINUS, Heatmap
from espnet2_cltm.report.ranking_figure import (
    RankedLanguage,
    RankingFigure,
    write_ranking_figure,
)
from espnet2_cltm.report.summary import (
    FALSE_DISCOVERY_RATE,
    BothNumbers,
    grey_targets,
    subtitle,
    title,
)
from espnet2_cltm.report.zero_shot_heatmap import (
    write_zero_shot_heatmap,
    zero_shot_heatmap,
)

HEATMAP_NOTE = (
    "CLTM[i, j] = (Perf(i+j) - Perf(i)) / (Perf(i+i) - Perf(i)): what N utterances of "
    "donor j add to N of target i, relative to what N more of target i add."
)


def write_figures(
    outdir: Path,
    analysis: Analysis,
    languages: Mapping[str, Language],
    numbers: BothNumbers,
) -> None:
    """Draw all figures; one that the results do not give is removed.

    Args:
        outdir: Where to.
        analysis: Of the matrix's metric.
        languages: By code.
        numbers: Summary numbers, with the strengths of donors and targets.

    Raises:
        UserError: A file cannot be written.
    """
    write_heatmap(_heatmap(analysis, languages), *_files(outdir, "heatmap"))
    zero_shot = zero_shot_heatmap(
        analysis.scores,
        languages,
        f"Zero-shot performance, {_task(analysis)}",
        _subtitle(analysis),
    )
    if zero_shot is None:
        remove_if_there(*_files(outdir, "zero_shot"))
    else:
        write_zero_shot_heatmap(zero_shot, *_files(outdir, "zero_shot"))
    rankings = _rankings(analysis, languages, numbers)
    if any(entry.value is not None for entry in rankings.donors):
        write_ranking_figure(rankings, *_files(outdir, "rankings"))
    else:
        remove_if_there(*_files(outdir, "rankings"))


def _files(outdir: Path, name: str) -> tuple[Path, Path]:
    return outdir / f"{name}.png", outdir / f"{name}.pdf"


def _task(analysis: Analysis) -> str:
    return analysis.scores.source.task_title


def _subtitle(analysis: Analysis) -> str:
    return subtitle(analysis.scores, analysis.matrix).replace(" - ", f" {MINUS} ")


def _heatmap(analysis: Analysis, languages: Mapping[str, Language]) -> Heatmap:
    matrix, uncertainty = analysis.matrix, analysis.uncertainty
    order = display_order(languages[code] for code in matrix.languages)
    index = [matrix.languages.index(language.code) for language in order]
    square = np.ix_(index, index)
    fieller = uncertainty.fieller
    return Heatmap(
        languages=tuple(order),
        values=matrix.cltm[square],
        not_identified=grey_targets(matrix)[index],
        intervals=RatioSets(
            fieller.kind[square], fieller.low[square], fieller.high[square]
        ),
        confidence=uncertainty.settings.confidence,
        q_zero=uncertainty.q_zero[square],
        false_discovery_rate=FALSE_DISCOVERY_RATE,
        title=title(analysis.scores),
        subtitle=_subtitle(analysis),
        notes=(HEATMAP_NOTE.replace(" - ", f" {MINUS} "),),
    )


def _rankings(
    analysis: Analysis, languages: Mapping[str, Language], numbers: BothNumbers
) -> RankingFigure:
    def ranked(name: str) -> tuple[RankedLanguage, ...]:
        return tuple(
            RankedLanguage(
                languages[code],
                one.strength.value,
                one.strength.low,
                one.strength.high,
            )
            for code, one in zip(
                analysis.matrix.languages,
                numbers.identified.strengths[name],
                strict=True,
            )
        )

    level = f"{100 * analysis.uncertainty.settings.confidence:.4g}%"
    return RankingFigure(
        donors=ranked("outgoing_mean"),
        targets=ranked("incoming_mean"),
        title=f"Donors and targets, {_task(analysis)}",
        subtitle=_subtitle(analysis),
        interval=f"{level} interval over seeds",
    )
