"""Options of stages 1 and 2, and those that say where their data are."""

from espnet2_cltm.language_codes import CODE_RULE, find_alike, is_language_code
from espnet2_cltm.options import (
    CONF_FILE,
    DIRECTORY,
    PORTION,
    POSITIVE,
    SECONDS,
    TEXT,
    TRUTH,
    WHOLE,
    WORDS,
    Kind,
    Option,
    distinct,
    one_of,
)


def _read_codes(text: str) -> tuple[str, ...]:
    codes = tuple(distinct(text.split()))
    if not all(map(is_language_code, codes)) or find_alike(codes):
        raise ValueError
    return codes


CODES = Kind(
    _read_codes,
    f"language codes separated by spaces ({CODE_RULE}), each once, whatever the case",
    (),
)
LANGS = Option(
    "langs",
    "language codes, such as 'ca es'; left out, the demo's are those of "
    "--demo_config; of other corpora stage 1 takes all, and the stages behind it the "
    "same, or all that are prepared",
    CODES,
    stages=(1, 2, 3),
    group="Data",
)
DATADIR = Option("datadir", "data directories", DIRECTORY, "data", (1, 2), "Places")
DUMPDIR = Option("dumpdir", "audio store", DIRECTORY, "dump", (2, 3), "Places")
NJ = Option("nj", "processes", POSITIVE, "1", (1, 2), "Resources", False)


def _of_stage_1(name: str, help_text: str, kind: Kind, default: str = "") -> Option:
    return Option(name, help_text, kind, default, (1,), "Data")


STAGE_1_OPTIONS = (
    _of_stage_1(
        "corpus_dir", "directory of the corpus; left out, the one in db.sh", TEXT
    ),
    LANGS,
    _of_stage_1(
        "demo_config",
        "a demo's languages, speakers and prompts; left out, conf/demo.yaml, or "
        "conf/demo_words.yaml of demo_words",
        CONF_FILE,
    ),
    _of_stage_1(
        "use_validated",
        "enlarge Common Voice's train with validated.tsv",
        TRUTH,
        "false",
    ),
    _of_stage_1(
        "labels",
        "table of labels of your own, tab- or comma-separated with a header: clip or "
        "utterance id, then a column for each label; {lang} in its path is the "
        "language's code",
        TEXT,
    ),
    _of_stage_1(
        "require_labels",
        'labels that an utterance must have, "" for none; a language where no '
        "utterance of a split has them keeps all, for other tasks",
        WORDS,
        "gender",
    ),
    _of_stage_1(
        "max_train_utts",
        "most utterances of a language in train, drawn at random with as many of each "
        "gender as there are; 0 for all",
        WHOLE,
        "0",
    ),
    _of_stage_1(
        "max_test_utts",
        "most utterances of a language in dev and in test, each; 0 for all",
        WHOLE,
        "0",
    ),
)
DECODE = Option(
    "decode",
    "what stage 2 decodes: drawn (dev and test, and what the seeds draw from train; "
    "all where the call ends with stage 2 and gives no N) or all",
    one_of("drawn", "all"),
    "drawn",
    (),
    "Data",
    False,
)
STAGE_2_OPTIONS = (
    LANGS,
    Option(
        "max_rejected",
        "share of a language's recordings that may be unusable",
        PORTION,
        "0.05",
        (2,),
        "Data",
    ),
    Option(
        "max_seconds",
        "longest utterance in seconds; longer ones are left out, as the memory that a "
        "run needs grows with the square of the longest",
        SECONDS,
        "60",
        (2,),
        "Data",
    ),
    Option(
        "allow_pipes",
        "run commands that wav.scp of a Kaldi directory gives in place of audio files",
        TRUTH,
        "true",
        (2,),
        "Data",
    ),
)
