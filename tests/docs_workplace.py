"""A folder in which the code of the pages runs: small files by the names that the pages use."""

import gzip
import json
from pathlib import Path

import torch
from bright_files import LONG_NOTES, QUERIES, write_documents, write_examples, write_subset
from rollout_batch import batch, told
from sentence_models import make_sentence_model
from tiny import SIZES, make_checkpoint, word_piece_tokenizer
from transformers import BertConfig, BertForSequenceClassification

from thought1.data.bright import SHORT
from thought1.data.rollouts import append_rollouts
from thought1.t1 import T1

ROOT = Path(__file__).parents[1]
LINKED = ("examples", "benchmarks", "recipes", "models", "deploy")
NOTES = {
    "ice.md": "Ice cubes crack in warm water because the outside expands first.",
    "salt.md": "Salt lowers the freezing point of water, so icy roads are salted.",
    "rust.md": "Iron rusts where water and air meet.",
    "bread.md": "Yeast makes bread rise.",
    "kettle.md": "A kettle goes quiet just before it boils, as bubbles reach the surface.",
    "flask.md": "A vacuum keeps tea hot, since little heat crosses it.",
}
QUESTIONS = {
    "q1": ("Why do ice cubes crack?", "ice.md#0"),
    "q2": ("Why are roads salted in winter?", "salt.md#0"),
    "q3": ("What makes a nail go brown?", "rust.md#0"),
    "q4": ("Why does dough grow?", "bread.md#0"),
    "q5": ("Why does a thermos keep tea hot?", "flask.md#0"),
}
HEADER = "query-id\tcorpus-id\tscore\n"


def lines(path: Path, rows: list[dict[str, str]]) -> None:
    """JSON lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def write_collection(folder: Path) -> None:
    """Documents, questions and judgements, as a BEIR folder has them."""
    (folder / "qrels").mkdir(parents=True)
    documents = [{"_id": f"{name}#0", "text": text} for name, text in NOTES.items()]
    lines(folder / "corpus.jsonl", documents)
    lines(folder / "queries.jsonl", [{"_id": i, "text": q} for i, (q, _) in QUESTIONS.items()])
    judged = HEADER + "".join(f"{i}\t{d}\t1\n" for i, (_, d) in QUESTIONS.items())
    for split in ("train", "dev"):
        (folder / "qrels" / f"{split}.tsv").write_text(judged)


def write_runs(folder: Path) -> None:
    """Rankings and judgements of several subsets."""
    judged = HEADER + "".join(f"{i}\t{d}\t1\n" for i, (_, d) in QUESTIONS.items())
    run = "".join(f"{i} Q0 {d} 1 {n}.5 run\n" for n, (i, (_, d)) in enumerate(QUESTIONS.items()))
    names = ["thinking.run", "plain.run", "biology.run"]
    for subset in ("biology", "leetcode"):
        names += [f"{side}/{subset}.run" for side in "ab"]
        for place in ("a", "b", "qrels", "excluded"):
            (folder / place).mkdir(exist_ok=True)
        (folder / "qrels" / f"{subset}.tsv").write_text(judged)
    for name in names:
        (folder / name).write_text(run)
    (folder / "bm25.run.gz").write_bytes(gzip.compress(run.encode()))
    (folder / "biology.qrels").write_text(judged)
    (folder / "excluded" / "leetcode.tsv").write_text("q1 rust.md#0\n")
    lines(folder / "examples.jsonl", [{"_id": "q1", "excluded_ids": ["rust.md#0"]}])  # type: ignore[dict-item]


def write_bright(folder: Path) -> None:
    """BRIGHT's layout, all subsets, in a few sentences."""
    for subset in SHORT:
        write_subset(folder, subset)
    for subset in ("biology", "pony"):
        write_documents(folder, subset, LONG_NOTES, config="long_documents")
    for subset in SHORT:
        write_examples(folder, subset, QUERIES[:1], config="gpt4_reason")


def write_models(folder: Path) -> None:
    """A reranker, and a T1 whose documents a sentence-transformers model encodes."""
    torch.manual_seed(0)
    tokenizer = word_piece_tokenizer()
    config = BertConfig(vocab_size=len(tokenizer), num_labels=1, **SIZES)
    BertForSequenceClassification(config).save_pretrained(folder / "runs" / "cross-encoder")
    tokenizer.save_pretrained(folder / "runs" / "cross-encoder")
    peer = make_sentence_model(folder / "peer")
    model = T1.from_pretrained(make_checkpoint(folder / "plain"))
    model.with_companion(peer, anchor="mean").save_pretrained(folder / "COMPANION")


def write_workplace(folder: Path) -> None:
    """Everything that needs no command of `t1`."""
    for name in LINKED:
        (folder / name).symlink_to(ROOT / name)
    (folder / "notes").mkdir()
    for name, text in NOTES.items():
        (folder / "notes" / name).write_text(text + "\n")
    write_collection(folder)
    write_collection(folder / "FOLDER")
    lines(folder / "notes.jsonl", [{"_id": name, "text": text} for name, text in NOTES.items()])
    asked = [question for question, _ in QUESTIONS.values()]
    (folder / "questions.txt").write_text("\n".join(asked) + "\n")
    lines(folder / "thoughts.jsonl", [{"_id": i, "text": "heat"} for i in QUESTIONS])
    write_runs(folder)
    write_bright(folder / "BRIGHT")
    write_models(folder)
    rollouts = batch([[0.1, 0.2], [0.3, 0.1]], [[1, 0]] * 2, group_size=2)
    append_rollouts(folder / "rollouts.jsonl", 1, rollouts, told(rollouts))
