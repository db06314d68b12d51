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
