"""A small cross-encoder for reranking: all-MiniLM-L6-v2, trained by sentence-transformers.

    python benchmarks/train_cross_encoder.py DATA/entailmentbank --split train \
        --without recipes/entailmentbank-validation.txt --output runs/cross-encoder

The questions of a collection's split, without the ones that are kept for validation. The negatives
are hard: documents that the bi-encoder it starts from ranks among its first 100 and that are not
judged relevant. Loss, optimizer and schedule are what sentence-transformers recommends for pairs
with labels: BinaryCrossEntropyLoss with the number of negatives of each positive as the weight of
positives, AdamW, linear schedule with 10 % warm-up; bf16 autocast where the processor has
instructions for it. Word vectors and the first `--frozen` layers stay as they are, which saves most
of the optimizer's work and a third of the rest. It knows no T1.
"""

import argparse
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from collection import Collection, load_collection
from datasets import Dataset
from finetune_minilm import trainer_settings
from record import exit_code, origin, write_json
from sentence_transformers import CrossEncoder
from sentence_transformers.cross_encoder import (
    CrossEncoderTrainer,
    CrossEncoderTrainingArguments,
)
from sentence_transformers.cross_encoder.losses import BinaryCrossEntropyLoss
from systems import MINILM

from thought1.model.place import locate
from thought1.model.sentence_model import SentenceModel
from thought1.search.exact import exact_run
from thought1.training.data.sources import read_ids
from thought1.types import Thought1Error, Vectors

NEGATIVES_FROM = 100
"""Places of the bi-encoder's ranking among which the negatives are."""
MAX_TOKENS = 128
"""Of a question and a document together, in training."""
RECORD = "training.json"


def labelled_pairs(
    collection: Collection, options: argparse.Namespace
) -> dict[str, list[str] | list[float]]:
    """Columns of questions, documents and labels: some positives and hard negatives of each.

    Raises:
        Thought1Error: no question is left.
    """
    held = read_ids(options.without) if options.without else frozenset()
    asked = {id_: text for id_, text in collection.queries.items() if id_ not in held}
    if not asked:
        raise Thought1Error("no question is left to train on")
    bi_encoder = SentenceModel.load(MINILM)
    documents_ND = _documents(bi_encoder, collection, options.vectors)
    run = exact_run(
        asked,
        bi_encoder.embed_queries(list(asked.values())),
        list(collection.documents),
        documents_ND,
        NEGATIVES_FROM,
    )
    rng = random.Random(options.seed)
    rows: list[tuple[str, str, float]] = []
    for id_, question in asked.items():
        grades = collection.qrels[id_]
        right = [d for d, grade in grades.items() if grade > 0 and d in collection.documents]
        wrong = [d for d in run[id_] if grades.get(d, 0) <= 0]
        right = rng.sample(right, min(options.positives, len(right)))
        wrong = rng.sample(wrong, min(options.negatives * len(right), len(wrong)))
        texts = collection.documents
        rows += [(question, texts[d], 1.0) for d in right]
        rows += [(question, texts[d], 0.0) for d in wrong]
    return {
        "question": [question for question, _, _ in rows],
        "document": [document for _, document, _ in rows],
        "label": [label for _, _, label in rows],
    }


def _documents(model: SentenceModel, collection: Collection, file: Path | None) -> Vectors:
    """Their vectors (n, d), computed or read."""
    if file is None:
        return model.embed_documents(list(collection.documents.values()))
    vectors_ND: Vectors = np.load(file)
    if vectors_ND.shape != (len(collection.documents), model.dim):
        raise Thought1Error(f"{file}: {vectors_ND.shape}, not one row for each document")
    return vectors_ND


def train(pairs: dict[str, list[str] | list[float]], options: argparse.Namespace) -> CrossEncoder:
    """The trained model; one that starts from a bi-encoder has a new head."""
    gpu = torch.cuda.is_available()
    model = CrossEncoder(locate(MINILM), num_labels=1, device="cuda" if gpu else "cpu")
    own_length, model.max_seq_length = model.max_seq_length, MAX_TOKENS
    assert model.model is not None
    for layer in (
        model.model.base_model.embeddings,
        *model.model.base_model.encoder.layer[: options.frozen],
    ):
        layer.requires_grad_(False)
    settings = CrossEncoderTrainingArguments(**trainer_settings(options))
    loss = BinaryCrossEntropyLoss(model, pos_weight=torch.tensor(float(options.negatives)))
    data = Dataset.from_dict(pairs)
    CrossEncoderTrainer(model=model, args=settings, train_dataset=data, loss=loss).train()
    model.max_seq_length = own_length
    return model


def make(options: argparse.Namespace, arguments: Sequence[str]) -> None:
    """Mine, train, save."""
    torch.manual_seed(options.seed)
    np.random.seed(options.seed)  # noqa: NPY002 - what the trainer draws from
    collection = load_collection(options.folder, options.split)
    pairs = labelled_pairs(collection, options)
    start = time.perf_counter()
    model = train(pairs, options)
    seconds = time.perf_counter() - start
    model.save_pretrained(str(options.output), create_model_card=False)
    report = {
        **origin("train_cross_encoder.py", arguments),
        "seed": options.seed,
        "pairs": len(pairs["label"]),
        "positives": int(sum(map(float, pairs["label"]))),
        "epochs": options.epochs,
        "batch_size": options.batch_size,
        "learning_rate": options.learning_rate,
        "frozen": options.frozen,
        "max_steps": options.max_steps,
        "seconds": seconds,
    }
    write_json(options.output / RECORD, report)
    print(f"{report['pairs']} pairs, {seconds:.0f} s: {options.output}")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit code: 2 where the input is wrong."""
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(description="Train a small cross-encoder on a collection.")
    parser.add_argument("folder", type=Path, help="collection in BEIR layout")
    parser.add_argument("--split", required=True, help="judgements: qrels/SPLIT.tsv")
    parser.add_argument("--without", type=Path, help="file of question ids that are left out")
    parser.add_argument(
        "--vectors", type=Path, help=".npy of all-MiniLM-L6-v2's document vectors, if there is one"
    )
    parser.add_argument("--output", type=Path, required=True, help="folder for the model")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--positives", type=int, default=2, help="of each question, at most")
    parser.add_argument("--negatives", type=int, default=4, help="for each positive")
    parser.add_argument("--epochs", type=float, default=1)
    parser.add_argument("--max-steps", type=int, default=-1, help="overrides --epochs if positive")
    parser.add_argument("--frozen", type=int, default=3, help="first layers that stay as they are")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--learning-rate", type=float, default=1e-4)
    options = parser.parse_args(arguments)
    return exit_code(lambda: make(options, arguments))


if __name__ == "__main__":
    raise SystemExit(main())
