"""Files and directories of an experiment, below ``exp/<tag>/``.

::

    experiment.yaml             what every run has in common, encoder included
    encoders.json               identity of each pretrained encoder
    command.txt                 the call of run.sh that makes the experiment
    plan.tsv                    one line per run
    data/<task>/<lang>/         the seeds' subsets, dev and test lists, trials
    data/<task>/left_out.tsv    languages that cannot take part, and why
    data/<task>/<lang>~<lang>/  test list and trials across languages
    runs/<run>/                 train.yaml, train.log, predictions/, metrics.json, and
                                model.zip if the model is kept, layers.npz with --layers
    claims                      locks of the runs being made
    logs/                       output of each worker process
    progress.json               progress of stage 4, to watch from another terminal
    slurm/                      job arrays: jobs.txt, scripts, output of each job
    results.tsv                 one line per run, test language and metric
    confusion.tsv               label tasks: counts by reference and predicted label
    held_out.tsv                results without each group of test speakers in turn
    data.tsv                    what is trained, validated and tested on, by language
    curves.tsv                  loss and validation by epoch, means over runs
    costs.tsv                   time, memory and energy of each run
    scores.tsv                  means of metrics, spread of scores and probabilities
    layers.tsv                  what runs did to each layer of the encoder
    cltm/<task>/                matrix, figures, report; strategies.tsv
    cltm/<task>/<strategy>/     the same of each strategy but the first
    regime/<task>/              learning curves: the dynamic regime
"""

from dataclasses import dataclass
from pathlib import Path

from espnet2_cltm.results_format import (
    COSTS,
    CURVES,
    DATA,
    HELD_OUT,
    LAYERS,
    LEFT_OUT,
    POOLS,
    SCORES,
)


class _Below:
    """A path below the experiment's directory."""

    def __init__(self, name: str):
        self._name = name

    def __get__(self, experiment: "ExperimentDir", _: type) -> Path:
        return experiment.root / self._name


@dataclass(frozen=True)
class ExperimentDir:
    """Paths of one experiment; what lies there is said above.

    Attributes:
        root: ``exp/<tag>``.
    """

    root: Path

    settings = _Below("experiment.yaml")
    encoders = _Below("encoders.json")
    command = _Below("command.txt")
    plan = _Below("plan.tsv")
    claims = _Below("claims")
    results = _Below("results.tsv")
    confusion = _Below("confusion.tsv")
    held_out = _Below(HELD_OUT)
    data = _Below(DATA)
    curves = _Below(CURVES)
    scores = _Below(SCORES)
    costs = _Below(COSTS)
    layer_table = _Below(LAYERS)
    runs = _Below("runs")
    progress = _Below("progress.json")
    slurm = _Below("slurm")
    logs = _Below("logs")

    def train_list(self, task: str, lang: str, seed: int) -> Path:
        """Return the list of utterances that a seed draws from a language."""
        return self.root / "data" / task / lang / f"train.s{seed}.tsv"

    def left_out(self, task: str) -> Path:
        """Return the file of the languages that a task cannot take, with reasons."""
        return self.root / LEFT_OUT.format(task=task)

    def pools(self, task: str) -> Path:
        """Return the table of the donors of targets without data."""
        return self.root / POOLS.format(task=task)

    def utterance_list(self, task: str, name: str, split: str) -> Path:
        """Return the list of a language's dev or test utterances."""
        return self.root / "data" / task / name / f"{split}.tsv"

    def test_data(self, task: str, name: str, split: str, suffix: str) -> Path:
        """Return the file of test data besides the dev or test utterances."""
        return self.root / "data" / task / name / f"{split}{suffix}"

    def run(self, name: str) -> Path:
        """Return a run's directory."""
        return self.runs / name

    def predictions(self, name: str, test_language: str, suffix: str) -> Path:
        """Return the file of a run's predictions on a language."""
        return self.run(name) / "predictions" / f"{test_language}{suffix}"

    def model(self, name: str) -> Path:
        """Return the file of a run's model, if it is kept."""
        return self.run(name) / "model.zip"

    def layers(self, name: str) -> Path:
        """Return the file of the views of a run's layers, if they are measured."""
        return self.run(name) / "layers.npz"

    def log(self, name: str) -> Path:
        """Return the log of a run's training."""
        return self.run(name) / "train.log"

    def failure(self, name: str) -> Path:
        """Return the file that says why a run failed."""
        return self.run(name) / "failed.txt"

    def metrics(self, name: str) -> Path:
        """Return the file whose existence marks a run as done."""
        return self.run(name) / "metrics.json"
