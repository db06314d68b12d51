"""What the tests of experiments share."""

import pytest


@pytest.fixture(scope="module")
def store(request, tmp_path_factory):
    """Languages as stage 2 leaves them: the module's ``DUMP``, or es and tr."""
    from tests.speech import write_dump  # imports torch, which --fast leaves out

    root = tmp_path_factory.mktemp("store")
    dump = getattr(request.module, "DUMP", {"languages": ["es", "tr"]})
    write_dump(root / "demo", **dump)
    return root


@pytest.fixture(scope="module")
def bilingual(tmp_path_factory):
    """The same people in ca and es, others in tr, with tests across languages."""
    from espnet2_cltm.experiment.settings import Settings
    from tests.speech import TINY_GENDER, TINY_SPEAKER, write_dump

    root = tmp_path_factory.mktemp("bilingual")
    speakers = {"train": 3, "dev": 2, "test": 2}
    write_dump(root / "kaldi", ["ca", "es"], speakers)
    write_dump(root / "kaldi", ["tr"], {"train": 3, "dev": 4, "test": 2})
    return Settings(
        "kaldi",
        str(root),
        {"gender": 4, "speaker": 8},
        options={"speaker": {"cross_language_trials": True}},
        train_config={"gender": TINY_GENDER, "speaker": TINY_SPEAKER},
    )
