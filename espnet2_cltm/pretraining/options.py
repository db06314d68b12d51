"""The options of the pretraining recipe, ``egs2/cltm/ssl1/run.sh``."""

import os
import shlex
from collections.abc import Mapping, Sequence

from espnet2_cltm.corpus.options import CODES, DATADIR, DUMPDIR
from espnet2_cltm.errors import UserError
from espnet2_cltm.files import YAML_ENDINGS
from espnet2_cltm.options import (
    DIRECTORY,
    NAME,
    POSITIVE,
    SECONDS,
    SEED,
    SHARE,
    TEXT,
    WHOLE,
    Kind,
    Option,
    above_zero,
    as_asked,
    check_stages,
    from_zero,
    help_lines,
    one_of,
    parse,
    read_values,
    stage_up_to,
)
from espnet2_cltm.registry import corpus_names, find_corpus

RATE = above_zero("a learning rate, such as 1.5e-3")
WEIGHT = from_zero("a number from 0 on, such as 0.1")


# Groups that no model depends on. The corpus's directory is a place of the caller's.
_NOT_OF_THE_MODEL = ("Flow", "Resources", "Places")


def _option(group: str, name: str, text: str, kind: Kind, default: str = "") -> Option:
    is_shown = group not in _NOT_OF_THE_MODEL and name != "corpus_dir"
    return Option(name, text, kind, default, group=group, shapes_result=is_shown)


HOURS = Option(
    "hours",
    "hours of each language to train on, of speakers drawn by the seed; left out, all",
    above_zero("a number of hours above 0, such as 0.5"),
    group="Data",
)
GROUNDING_SHARE = Option(
    "grounding_share",
    "share of the captions of each language whose pictures are shown in training, "
    "drawn by the seed; left out, all",
    SHARE,
    group="Training",
)
SSL_OPTIONS = (
    _option("Flow", "stage", "first stage", stage_up_to(8), "1"),
    _option("Flow", "stop_stage", "last stage", stage_up_to(8), "8"),
    _option("Data", "corpus", "name of the corpus", TEXT, "demo"),
    _option("Data", "corpus_dir", "its directory; left out, as db.sh says", TEXT),
    _option(
        "Data",
        "langs",
        "language codes; left out, in stage 1 those of --demo_config or all of the "
        "corpus, in later stages all that are prepared",
        CODES,
    ),
    HOURS,
    _option(
        "Data",
        "demo_config",
        "languages, speakers and prompts of the demo",
        TEXT,
        "conf/corpus.yaml",
    ),
    _option(
        "Targets", "first_clusters", "clusters of the first targets", POSITIVE, "100"
    ),
    _option(
        "Targets", "second_clusters", "clusters of the second targets", POSITIVE, "100"
    ),
    _option(
        "Targets",
        "second_layer",
        "layer of the first model that is clustered, from 1",
        POSITIVE,
        "3",
    ),
    _option(
        "Targets", "fit_frames", "frames that k-means is fitted on", POSITIVE, "300000"
    ),
    _option(
        "Targets",
        "min_seconds",
        "shortest utterance; crop_seconds of the configuration or more",
        SECONDS,
        "1.5",
    ),
    _option(
        "Training",
        "model",
        "what the first training begins with: YAML file for random weights, or hub id "
        "or directory of a checkpoint to go on with",
        TEXT,
        "conf/hubert_small.yaml",
    ),
    _option(
        "Training",
        "first_model",
        "hub id or directory of a checkpoint in the place of the first training: its "
        "layer is clustered; left out, there is a first training",
        TEXT,
    ),
    _option(
        "Training",
        "second_model",
        "what the second training begins with: first, the first model's weights, which "
        "saves time; or as --model",
        TEXT,
        "first",
    ),
    _option(
        "Training",
        "ssl_config",
        "ESPnet training configuration",
        TEXT,
        "conf/train_ssl.yaml",
    ),
    _option(
        "Training",
        "second_max_lr",
        "highest learning rate of the second training; empty for the configuration's",
        RATE,
        "1.5e-3",
    ),
    _option(
        "Training",
        "grounding_weight",
        "weight of the loss of finding pictures by captions and captions by pictures, "
        "beside 1 for that of the clusters; above 0 needs a corpus with image.scp",
        WEIGHT,
        "0",
    ),
    GROUNDING_SHARE,
    _option(
        "Training",
        "image_size",
        "width and height in pixels that pictures are scaled to",
        POSITIVE,
        "32",
    ),
    _option(
        "Training",
        "feature_weight",
        "weight of the loss of the articulatory features of the phone that is spoken, "
        "beside 1 for that of the clusters; above 0 needs a corpus with phones.ctm",
        WEIGHT,
        "0",
    ),
    _option(
        "Training", "steps_per_epoch", "steps between checkpoints", POSITIVE, "200"
    ),
    _option("Training", "first_epochs", "epochs of the first training", POSITIVE, "4"),
    _option(
        "Training", "second_epochs", "epochs of the second training", POSITIVE, "12"
    ),
    _option("Training", "seed", "seed of everything", SEED, "0"),
    _option(
        "Results",
        "dtype",
        "numbers of the checkpoint",
        one_of("float16", "float32"),
        "float16",
    ),
    _option(
        "Results",
        "probe_dump",
        "audio stores to probe on, <dumpdir>/<corpus> of another recipe that was run "
        "with absolute --datadir and --dumpdir, separated by spaces; left out, this "
        "corpus's own",
        TEXT,
    ),
    _option(
        "Results",
        "abx_dump",
        "audio store like those of --probe_dump, with times of phones, on whose test "
        "split stage 8 measures ABX; left out, none",
        TEXT,
    ),
    _option("Results", "tag", "name of the experiment; left out, ssl_<corpus>", NAME),
    _option(
        "Resources",
        "nj",
        "processes, and threads of a training; left out, the number of cores",
        POSITIVE,
    ),
    _option(
        "Resources",
        "train_processes",
        "processes that share these threads and each batch, on a CPU: 2 are faster "
        "where other programs run",
        POSITIVE,
        "1",
    ),
    _option("Resources", "ngpu", "number of GPUs, 0 for the CPU", WHOLE, "0"),
    DATADIR,
    DUMPDIR,
    _option("Places", "expdir", "experiments", DIRECTORY, "exp"),
)

_HELP = """\
Usage: ./run.sh [--stage 1] [--stop_stage 8] [--option value ...]

Pretrains a HuBERT by masked prediction of k-means clusters. Without options it makes
a small multilingual one from synthetic speech.

Stages: 1 prepare each language              2 decode audio
        3 clusters of MFCC                   4 first training
        5 clusters of a layer of the first model   6 second training
        7 export                             8 probe
Each may be run again alone; it does only what is missing.

Corpora: """


def resolve_ssl(arguments: Sequence[str], environment: Mapping[str, str]) -> str:
    """Return the recipe's options as bash assignments, checked and completed.

    Args:
        arguments: Arguments of ``egs2/cltm/ssl1/run.sh``.
        environment: Environment variables, those of db.sh among them.

    Raises:
        UserError: An option is wrong.
    """
    options = {option.name: option for option in SSL_OPTIONS}
    texts = parse(arguments, options)
    values = read_values(texts, options)
    check_stages(values)
    if texts["first_model"].endswith(YAML_ENDINGS):
        raise UserError(
            f"--first_model {texts['first_model']} describes random weights, whose "
            "layers have nothing to cluster: give a checkpoint, or the file as --model."
        )
    texts["command"] = " ".join(["./run.sh", *as_asked(texts, options)])
    for name in ("grounding_weight", "feature_weight"):
        if not values[name]:
            texts[name] = "0"  # in one spelling
    corpus = find_corpus(texts["corpus"])
    directory = corpus.choose_directory(texts["corpus_dir"], environment)
    texts["corpus_dir"] = str(directory)
    texts["nj"] = texts["nj"] or str(len(os.sched_getaffinity(0)))
    texts["tag"] = texts["tag"] or f"ssl_{corpus.name}"
    return "".join(f"{name}={shlex.quote(text)}\n" for name, text in texts.items())


def ssl_help() -> str:
    """Return the recipe's help."""
    groups = dict.fromkeys(option.group for option in SSL_OPTIONS)
    lines = help_lines(SSL_OPTIONS, tuple(groups))
    return f"{_HELP}{', '.join(corpus_names())}.\n" + "\n".join(lines) + "\n"
