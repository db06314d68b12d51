"""The pretraining corpus: nothing of the demo, which models are tested on, is in it."""

from pathlib import Path

from espnet2_cltm.corpus import espeak
from espnet2_cltm.corpus.demo_config import read_config

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / "egs2" / "cltm" / "ssl1"


def test_nothing_of_the_demo_is_in_its_data():
    demo = read_config(ROOT / "conf" / "demo.yaml")
    ours = read_config(RECIPE / "conf" / "corpus.yaml")
    assert len(ours.languages) >= 40
    assert not set(ours.languages) & {
        *demo.languages,
        "zh",
        "es-419",
        "es-mx",
        "pl",
        "ur",
    }
    assert set(ours.languages) <= set(espeak.language_files())
    assert ours.seed != demo.seed
    assert not set(ours.prompts) & set(demo.prompts)
    for gender, voices in demo.voices.items():
        assert not set(ours.voices[gender].variants) & set(voices.variants)
    for name in ("rate", "volume", "flutter", "single_formants", "intonation"):
        lowest, highest = getattr(demo, name)
        wider = getattr(ours, name)
        assert wider[0] <= lowest and highest <= wider[1], name
