#!/usr/bin/env python3
"""One run of the gender experiment, as a plain script would make it.

Fine-tunes a HuBERT with mean pooling, projection and classifier by transformers'
``Trainer`` on one list of utterances, predicts another, and writes the macro F1. A list
is a table ``audio label`` without header; kaldiio reads the audio.
``benchmarks/whole_experiment.py`` starts this script once for every ordered pair of
languages, as the published framework does; it uses nothing of this project.

    benchmarks/plain_trainer.py --model DIR --train train.tsv --test test.tsv \
        --output_dir out --seed 42 --learning_rate 1e-3
"""

import argparse
import json
from pathlib import Path

import kaldiio
import numpy as np
import torch
from sklearn.metrics import f1_score
from transformers import (
    EvalPrediction,
    HubertModel,
    Trainer,
    TrainingArguments,
    Wav2Vec2FeatureExtractor,
    set_seed,
)

LABELS = {"f": 0, "m": 1}


class GenderClassifier(torch.nn.Module):
    """HuBERT, mean over time, projection, linear layer."""

    def __init__(self, model: str):
        super().__init__()
        self.hubert = HubertModel.from_pretrained(model)
        self.projection = torch.nn.Linear(self.hubert.config.hidden_size, 256)
        self.classifier = torch.nn.Linear(256, len(LABELS))

    def forward(
        self, input_values: torch.Tensor, labels: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """Return loss and logits, in the form that Trainer takes."""
        frames = self.hubert(input_values).last_hidden_state
        logits = self.classifier(self.projection(frames.mean(dim=1)))
        loss = torch.nn.functional.cross_entropy(logits, labels)
        return {"loss": loss, "logits": logits}


class Utterances(torch.utils.data.Dataset):
    """The utterances of a list, read from disk on access."""

    def __init__(self, path: Path):
        lines = path.read_text(encoding="utf-8").splitlines()
        self.rows = [line.split("\t") for line in lines]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict:
        audio, label = self.rows[index]
        _, samples = kaldiio.load_mat(audio)
        return {"speech": samples.astype(np.float32) / 32768, "label": LABELS[label]}


def main() -> None:
    """Train, predict, write the score."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, help="hub id or directory")
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--output_dir", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--learning_rate", type=float, default=1e-5)
    args = parser.parse_args()

    set_seed(args.seed)
    extractor = Wav2Vec2FeatureExtractor.from_pretrained(args.model)
    model = GenderClassifier(args.model)

    def collate(examples: list[dict]) -> dict[str, torch.Tensor]:
        batch = extractor(
            [example["speech"] for example in examples],
            sampling_rate=16000,
            padding=True,
            return_tensors="pt",
        )
        labels = torch.tensor([example["label"] for example in examples])
        return {**batch, "labels": labels}

    def macro_f1(prediction: EvalPrediction) -> dict[str, float]:
        hypothesis = prediction.predictions.argmax(axis=1)
        score = f1_score(prediction.label_ids, hypothesis, average="macro")
        return {"macro_f1": score}

    trainer = Trainer(
        model=model,
        args=TrainingArguments(
            output_dir=str(args.output_dir),
            per_device_train_batch_size=1,
            per_device_eval_batch_size=1,  # or padding would enter group norm and mean
            num_train_epochs=1,
            learning_rate=args.learning_rate,
            lr_scheduler_type="constant",
            weight_decay=0.0,
            max_grad_norm=1.0,
            seed=args.seed,
            save_strategy="no",
            report_to="none",
            use_cpu=not torch.cuda.is_available(),
            remove_unused_columns=False,
        ),
        train_dataset=Utterances(args.train),
        data_collator=collate,
        compute_metrics=macro_f1,
    )
    trainer.train()
    score = trainer.predict(Utterances(args.test)).metrics["test_macro_f1"]
    (args.output_dir / "score.json").write_text(json.dumps({"macro_f1": score}))


if __name__ == "__main__":
    main()
