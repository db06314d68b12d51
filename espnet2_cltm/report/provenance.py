"""How results were made, as far as the files beside them tell, and in words.

Stage 3 leaves ``experiment.yaml`` (the settings of all runs) and ``command.txt`` (the
command that makes the experiment) in the directory that stage 5 writes ``results.tsv``
to. Results from elsewhere have neither. The methods say the same, and how the matrix
was made of the results, in words for a paper.
"""

import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import NoneType
from typing import Any

import yaml

from espnet2_cltm import __version__
from espnet2_cltm.errors import UserError
from espnet2_cltm.files import read_mapping, read_text
from espnet2_cltm.matrix.estimates import IDENTIFICATION_LEVEL
from espnet2_cltm.matrix.scores import ResultsSource, SeedScores
from espnet2_cltm.matrix.uncertainty import FALSE_DISCOVERY_RATE, Analysis
from espnet2_cltm.report.wording import (
    FORMULA,
    level_text,
    seeds_text,
)

# A number may change with the version of one of these.
STATISTICS_PACKAGES = ("numpy", "scipy")
PACKAGES = ("espnet", "torch", "torchaudio", "transformers", *STATISTICS_PACKAGES)
REMEDY = "restore it, or run stage 3 again"

SOURCES = (
    "Method: Buitrago, Pareras, Costa and Hernando, arXiv:2603.08231; Buitrago and "
    "Hernando, Odyssey 2026, doi 10.21437/Odyssey.2026-44. Intervals: Fieller, J. R. "
    "Stat. Soc. B 16 (1954); Hesterberg, arXiv:1411.5279. False discoveries: Benjamini "
    "and Hochberg, J. R. Stat. Soc. B 57 (1995). Matrices against distances: Mantel, "
    "Cancer Research 27 (1967)."
)


@dataclass(frozen=True)
class Provenance:
    """Where results come from.

    Attributes:
        command: Command line that makes them; empty where not known.
        settings: Settings of the experiment; empty where not known.
        train_config: ESPnet training configuration of the task, encoder included.
        versions: Versions of the software and the results file, by name.
    """

    command: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    train_config: Mapping[str, Any] = field(default_factory=dict)
    versions: tuple[tuple[str, str], ...] = ()

    @property
    def configuration(self) -> str:
        """All settings as YAML; empty where not known."""
        if not self.settings:
            return ""
        content = {**self.settings, "train_config": dict(self.train_config)}
        return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)

    @property
    def encoder(self) -> str:
        """Name the HuBERT of the training configuration; empty where there is none."""
        config = self.train_config
        if not config or config.get("frontend", "hubert") != "hubert":
            return ""
        model = (config.get("frontend_conf") or {}).get("model", "")
        return model if isinstance(model, str) else "a small HuBERT with random weights"


def read_provenance(results: Path, source: ResultsSource) -> Provenance:
    """Read what lies beside a results file.

    Args:
        results: The file.
        source: What was read from it.

    Raises:
        UserError: ``experiment.yaml`` or ``command.txt`` is damaged.
    """
    settings = _settings(results.parent / "experiment.yaml")
    train_config = settings.pop("train_config", {}).get(source.task) or {}
    path = results.parent / "command.txt"
    command = read_text(path, REMEDY).strip() if path.exists() else ""
    versions = _versions(source, made_here=bool(settings))
    return Provenance(command, settings, train_config, versions)


def _settings(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        content = read_mapping(path, "the settings of an experiment", REMEDY)
    except ValueError as error:  # such as a date that does not exist
        raise UserError(f"{path} is damaged ({error}): {REMEDY}.") from error
    configs = content.get("train_config", {})
    if not isinstance(configs, dict):
        raise UserError(f"{path}: train_config is not a mapping of tasks: {REMEDY}.")
    for task, config in configs.items():
        if not isinstance(config, dict | NoneType) or not isinstance(
            (config or {}).get("frontend_conf"), dict | NoneType
        ):
            raise UserError(
                f"{path}: train_config or frontend_conf of {task} is not a mapping: "
                f"{REMEDY}."
            )
    return content


def _versions(source: ResultsSource, made_here: bool) -> tuple[tuple[str, str], ...]:
    """List versions; those of the training only of results that were made here."""
    found = [("espnet2_cltm", __version__), ("Python", platform.python_version())]
    for name in PACKAGES if made_here else STATISTICS_PACKAGES:
        try:
            found.append((name, version(name)))
        except PackageNotFoundError:
            continue
    return (*found, (source.file, f"SHA-256 {source.sha256}"))


def methods_paragraphs(analysis: Analysis, provenance: Provenance) -> tuple[str, ...]:
    """Write the paragraphs: the experiment, the matrix, its uncertainty, sources."""
    return (
        _experiment(analysis, provenance),
        _matrix(analysis),
        _uncertainty(analysis),
        SOURCES,
    )


def _experiment(analysis: Analysis, provenance: Provenance) -> str:
    source, n = analysis.scores.source, len(analysis.matrix.languages)
    model = " A model was trained for each run."
    if provenance.encoder:
        model = f" {provenance.encoder} was fine-tuned for each run."
    budget = f" ({source.budget_text})" if source.budget_text else ""
    corpus = provenance.settings.get("corpus")
    of_corpus = f" of the corpus {corpus}" if corpus else ""
    return (
        f"Task: {source.task_title}, {n} languages{of_corpus}.{model} For every "
        f"language i, runs on N utterances of i (single) and on 2N (double){budget}; "
        "for every pair, one on N of i and N of j, tested on both. "
        f"{_seeds(analysis, provenance)}"
    )


def _seeds(analysis: Analysis, provenance: Provenance) -> str:
    """Say what is known of the seeds."""
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
    return (
        f"Perf is {analysis.scores.source.metric_title} on the fixed test set of "
        f"language i, averaged over seeds. {FORMULA}; its diagonal is 1 by definition. "
        "A target counts as identified where its "
        "self-gain Perf(i+i) - Perf(i) is above 0 in a one-sided t test at level "
        f"{IDENTIFICATION_LEVEL:g}; the cells of other targets are shown grey and "
        "left out of the summary."
    )


def _uncertainty(analysis: Analysis) -> str:
    settings = analysis.uncertainty.settings
    level = level_text(settings.confidence)
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
