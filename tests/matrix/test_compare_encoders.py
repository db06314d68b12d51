"""Encoders side by side: differences are paired, and of the same settings only."""

import numpy as np
import pytest
from scipy.stats import ttest_rel

from benchmarks import compare_encoders
from tests.abx.written import write_abx
from tests.matrix.results_files import perf_rows, write_results

LANGUAGES, SEEDS = ("ca", "es", "tr"), (1, 2, 3, 4)
SINGLE = {"plain": 0.6, "grounded": 0.65}


def perf(encoder):
    noise = np.random.default_rng(len(encoder)).normal(0, 0.01, 10)

    def of_run(kind, tested, donor, seed):
        worth = {"single": 0 if tested == donor else -0.2, "double": 0.1, "pair": 0.05}
        return SINGLE[encoder] + 0.02 * seed + noise[seed] + worth[kind]

    return of_run


@pytest.fixture(scope="module")
def experiments(tmp_path_factory):
    """Return the arguments of two encoders' experiments, and their directory."""
    root = tmp_path_factory.mktemp("encoders")
    for encoder in SINGLE:
        (root / encoder).mkdir()
        rows = perf_rows(LANGUAGES, SEEDS, perf(encoder))
        write_results(root / encoder / "results.tsv", rows)
    return root, [f"{encoder}={root / encoder}" for encoder in SINGLE]


def rows_of(capsys, arguments):
    compare_encoders.main(arguments)
    lines = capsys.readouterr().out.splitlines()
    table = [line.strip("| ").split(" | ") for line in lines if line.startswith("|")]
    return {name: cells for name, *cells in table}


def test_perf_and_gains_differ_by_what_they_differ_seed_by_seed(experiments, capsys):
    rows = rows_of(capsys, experiments[1])
    by_seed = [
        [perf(encoder)("single", "ca", "ca", seed) for seed in SEEDS]
        for encoder in ("grounded", "plain")
    ]
    limits = ttest_rel(*by_seed).confidence_interval(0.95)
    mean, other = map(np.mean, by_seed)
    assert rows["single"] == [
        f"{other:.3f}",
        f"{mean:.3f} ({mean - other:+.3f} [{limits.low:.3f}, {limits.high:.3f}])",
    ]
    assert rows["self-gain"][0] == "0.100" and rows["cross-gain"][0] == "0.050"
    assert rows["RFD"][0] == f"{np.sqrt(6 / 9 * 0.5**2):.3f}"
    assert rows["bounded"] == ["6 of 6"] * 2


def test_abx_is_that_of_the_best_layer_and_of_the_last(experiments, capsys):
    root, named = experiments
    write_abx(root / "a", "hf", {"es": [0.10, 0.05, 0.20], "sw": [0.10, 0.08, 0.20]})
    write_abx(root / "b", "hf", {"es": [0.04, 0.08, 0.20], "sw": [0.06, 0.08, 0.10]})
    write_abx(root / "b", "log-mel", {"es": [0.01], "sw": [0.01]})
    abx = [f"{name}={root / place}" for name, place in zip(SINGLE, "ab", strict=True)]
    rows = rows_of(capsys, [*named, "--abx", *abx])
    # One speaker of four has half of the error, the others one and a half.
    plain, grounded = rows["es, lowest of all layers"]
    assert plain == "6.2, layer 1"
    assert grounded.startswith("5.0 (-1.2 [") and grounded.endswith("layer 0")
    assert rows["sw, last layer"][1].startswith("12.5 (-12.5 [")


def test_other_settings_are_not_compared(experiments, tmp_path, capsys):
    def refusal(*arguments):
        with pytest.raises(SystemExit):
            compare_encoders.main([*arguments])
        return capsys.readouterr().err

    root, named = experiments
    for path, tested in ((root / "plain", 20), (tmp_path, 21)):
        header = "task\tlanguage\tsplit\titems\n"
        (path / "data.tsv").write_text(f"{header}gender\tca\ttest\t{tested}\n")
    rows = perf_rows(LANGUAGES, SEEDS, perf("grounded"))
    write_results(tmp_path / "results.tsv", rows)
    said = refusal(named[0], f"other={tmp_path}")
    assert f"{tmp_path} test gender on other speech of ca" in said
    (tmp_path / "data.tsv").unlink()
    write_results(tmp_path / "results.tsv", perf_rows("ab", SEEDS, perf("grounded")))
    assert "Languages of plain: ca es tr; of other: a b" in refusal(
        named[0], f"other={tmp_path}"
    )
    assert "as many experiments (plain 1, other 2)" in refusal(
        named[0], f"other={root / 'grounded'},{tmp_path}"
    )
