"""What would fail in every run fails before the first."""

import pytest

from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment.run_config import build_once
from espnet2_cltm.experiment.settings import Settings
from tests.speech import TINY_GENDER


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({"optim": "adamx"}, "optim cannot be 'adamx'"),
        ({"optim_conf": {"rate": 1}}, "optim: adamw with"),
        ({"scheduler": "steplr", "scheduler_conf": {}}, "scheduler: steplr with"),
    ],
)
def test_what_would_fail_in_every_run_fails_before_the_first(extra, message):
    settings = Settings(
        "demo",
        "dump",
        {"gender": 2},
        {"gender": {"classes": ["f", "m"]}},
        train_config={"gender": {**TINY_GENDER, **extra}},
    )
    with pytest.raises(UserError, match=message):
        build_once(settings, "gender")
