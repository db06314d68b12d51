"""Options of stages 1 and 2, and those that say where their data are."""

from espnet2_cltm.options import (
    PORTION,
    POSITIVE,
    TEXT,
    TRUTH,
    WHOLE,
    WORDS,
    Option,
)

LANGS = Option(
    "langs",
    'language codes, such as "ca es" (default: in stage 1 those that the corpus takes '
    "by default, the demo's those of --demo_config; in later stages all that are "
    "prepared)",
    WORDS,
    stages=(1, 2, 3),
    group="Data",
)
DATADIR = Option(
    "datadir",
    "directory of stage 1's data directories",
    TEXT,
    "data",
    (1, 2),
    "Places",
)
DUMPDIR = Option(
    "dumpdir", "directory of stage 2's audio", TEXT, "dump", (2, 3), "Places"
)
NJ = Option(
    "nj", "number of processes", POSITIVE, "1", (1, 2), "Resources", shapes_result=False
)

STAGE_1_OPTIONS = (
    Option(
        "corpus_dir",
        "directory of the corpus (default: the one in db.sh)",
        stages=(1,),
        group="Data",
    ),
    LANGS,
    Option(
        "demo_config",
        "the demo's languages, speakers and prompts",
        TEXT,
        "conf/demo.yaml",
        (1,),
        "Data",
    ),
    Option(
        "use_validated",
        "enlarge Common Voice's train with validated.tsv",
        TRUTH,
        "false",
        (1,),
        "Data",
    ),
    Option(
        "labels",
        "table of labels of your own, tab- or comma-separated with a header: clip or "
        "utterance id, then a column for each label; {lang} in its path is the "
        "language's code",
        stages=(1,),
        group="Data",
    ),
    Option(
        "require_labels",
        'labels without which an utterance is left out, "" for none; a language where '
        "a split has no others keeps them, for other tasks",
        WORDS,
        "gender",
        (1,),
        "Data",
    ),
    Option(
        "max_train_utts",
        "most utterances of a language in train, drawn at random with as many of each "
        "gender as there are; 0 for all",
        WHOLE,
        "0",
        (1,),
        "Data",
    ),
    Option(
        "max_test_utts",
        "most utterances of a language in dev and in test, each; 0 for all",
        WHOLE,
        "0",
        (1,),
        "Data",
    ),
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
)
