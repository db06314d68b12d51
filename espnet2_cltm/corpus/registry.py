"""Which corpora there are.

A corpus is a module that follows :mod:`espnet2_cltm.corpus.language`. To add one,
write the module and name it here.
"""

import importlib
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from espnet2_cltm.corpus.datadir import is_id
from espnet2_cltm.errors import UserError

CORPORA = {
    "common_voice": "espnet2_cltm.corpus.common_voice",
    "demo": "espnet2_cltm.corpus.demo",
    "kaldi": "espnet2_cltm.corpus.kaldi",
}


def get_corpus(name: str) -> ModuleType:
    """Import the module of a corpus.

    Raises:
        UserError: There is no such corpus.
    """
    if name not in CORPORA:
        raise UserError(
            f"There is no corpus '{name}': choose one of {', '.join(sorted(CORPORA))}."
        )
    return importlib.import_module(CORPORA[name])


def choose_languages(
    name: str, corpus_dir: Path, langs: Sequence[str] | None = None
) -> list[str]:
    """Check languages against those that a corpus has.

    Args:
        name: Of the corpus.
        corpus_dir: Where it lies.
        langs: Languages asked for; None or nothing for all.

    Returns:
        The languages in the order asked for, each once.

    Raises:
        UserError: The corpus has not all of them, one has a name that is no language
            code, or the corpus can't be read.
    """
    corpus = get_corpus(name)
    for lang in langs or ():
        if not _is_code(lang):
            raise UserError(
                f"--langs names {lang!r}, which can't be a language code, as codes "
                "have no white space, control character or '+' (which joins the codes "
                "of a run's languages): give codes with spaces between them."
            )
    try:
        known = corpus.list_languages(Path(corpus_dir))
    except OSError as error:
        raise cannot_read(error) from error
    codes = [lang for lang in known if _is_code(lang)]
    if not langs:
        if odd := [lang for lang in known if lang not in codes]:
            raise UserError(
                f"{str(Path(corpus_dir) / odd[0])!r} can't be a language's directory, "
                "as language codes have no white space, control character or '+' "
                "(which joins the codes of a run's languages): rename it, or choose "
                "other languages with --langs."
            )
        return codes
    if unknown := [lang for lang in langs if lang not in codes]:
        raise UserError(
            f"{_name(unknown)} not in {corpus_dir} ({name}): choose from "
            f"{' '.join(sorted(codes))}."
        )
    return list(dict.fromkeys(langs))


def cannot_read(error: OSError) -> UserError:
    """Make the sentence for a corpus file that the file system refuses."""
    return UserError(
        f"{error.filename} cannot be read ({error.strerror}): correct the path or its "
        "permissions."
    )


def _is_code(lang: str) -> bool:
    return is_id(lang) and "+" not in lang


def _name(unknown: list[str]) -> str:
    if len(unknown) == 1:
        return f"Language {unknown[0]} is"
    return f"Languages {' '.join(unknown)} are"
