"""A corpus with pictures and some times of phones, ready for a training."""

import pytest
import yaml
from PIL import Image

from espnet2_cltm.bin import hubert_pictures, hubert_pretrain, hubert_targets
from espnet2_cltm.corpus.datadir import read_table
from espnet2_cltm.pretraining.model import MaskedPredictionModel
from tests.pretraining.test_espnet_task import CONFIG
from tests.speech import write_dump

SIZE = 16
SPOKEN = "es-f00-00"
# a, a diphthong without features, a pause, and a vowel in one character.
CTM = f"""\
{SPOKEN} 1 0.0100 0.0300 a
{SPOKEN} 1 0.0400 0.0300 ei
{SPOKEN} 1 0.0700 0.0300 sil
{SPOKEN} 1 0.1000 0.0500 \N{LATIN SMALL LETTER A WITH TILDE} 0.9
"""
COLOURS = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]


@pytest.fixture(scope="session")
def captioned(tmp_path_factory):
    """Two languages; half of the utterances are captions, some shorter than a crop."""
    root = tmp_path_factory.mktemp("grounding")
    dump = root / "dump" / "demo"
    write_dump(dump, ["es", "tr"], {"train": 2, "dev": 1})
    paths = []
    for number, colour in enumerate(COLOURS):
        paths.append(root / f"{number}.png")
        Image.new("RGB", (20, 30), colour).save(paths[-1])
    for lang in ("es", "tr"):
        for split in ("train", "dev"):
            utts = list(read_table(dump / lang / split / "wav.scp"))[::2]
            lines = [f"{utt} {paths[n % 3]}\n" for n, utt in enumerate(utts)]
            (dump / lang / split / "image.scp").write_text("".join(lines))
    (dump / "es" / "train" / "phones.ctm").write_text(CTM, encoding="utf-8")
    hubert_targets.main(
        [
            *("--dump", str(dump), "--num_clusters", "8", "--min_seconds", "0.32"),
            *("--outdir", str(root / "targets"), "--segments", "true"),
        ]
    )
    hubert_pictures.main(
        [
            *("--dump", str(dump), "--image_size", str(SIZE)),
            *("--outdir", str(root / "pictures")),
        ]
    )
    return root


def train(captioned, outdir, weight, steps=100, pictures=True):
    """Return a training's directory, and of each step the loss and what it was of.

    A weight of None is a training that knows of no captions.
    """
    conf = {**CONFIG["model_conf"]}
    if weight is not None:
        conf["grounding_weight"] = weight
        conf["grounding_conf"] = {"size": 8, "image_encoder_conf": {"channels": 4}}
    changes = {"model_conf": conf, "max_epoch": 1, "num_iters_per_epoch": steps}
    changes["scheduler_conf"] = {"max_lr": 3.0e-3, "total_steps": steps}
    config = outdir.with_suffix(".yaml")
    config.write_text(yaml.safe_dump({**CONFIG, **changes}))
    options = ["--config", str(config), "--seed", "1", "--output_dir", str(outdir)]
    shape = "utt2num_samples.captions" if weight else "utt2num_samples"
    for mode, split in (("train", "train"), ("valid", "dev")):
        directory = captioned / "targets" / split
        for table, name, kind in (
            ("wav.scp", "speech", "kaldi_ark"),
            ("target.scp", "target", "kaldi_ark"),
            ("other_wav.scp", "other_speech", "kaldi_ark"),
            ("other_target.scp", "other_target", "kaldi_ark"),
            ("utt2spk", "speaker", "text_int"),
        ):
            options += [f"--{mode}_data_path_and_name_and_type"]
            options += [f"{directory}/{table},{name},{kind}"]
        options += [f"--{mode}_shape_file", f"{directory}/{shape}"]
    options += ["--batch_groups", str(captioned / "targets" / "train" / "utt2lang")]
    if pictures and weight is not None:
        options += ["--pictures", str(captioned / "pictures")]
    seen = []
    forward = MaskedPredictionModel.forward

    def recording(self, **batch):
        loss, stats, size = forward(self, **batch)
        if self.training:
            seen.append((float(loss.detach()), "picture" in batch, sorted(stats)))
        return loss, stats, size

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MaskedPredictionModel, "forward", recording)
        hubert_pretrain.main(options)
    return outdir, seen


@pytest.fixture(scope="session")
def grounded(captioned, tmp_path_factory):
    """A training whose captions are grounded, and its steps."""
    return train(captioned, tmp_path_factory.mktemp("grounded") / "exp", 0.5)
