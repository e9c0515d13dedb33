"""A collection of a few sentences in BEIR layout, and a tiny model, for the tests of benchmarks."""

import json
from pathlib import Path

from tiny import TEXTS, make_checkpoint

QUERIES = {"q1": "Why do ice cubes crack?", "q2": "Why are roads salted?", "q3": "kettle"}
QRELS = {"q1": "0", "q2": "3", "q3": "2"}


def write_facts(made: Path) -> None:
    """The collection `facts` and the model `qwen3`, in the folder `made`."""
    facts = made / "facts"
    (facts / "qrels").mkdir(parents=True)
    rows = [json.dumps({"_id": str(i), "text": text}) for i, text in enumerate(TEXTS)]
    (facts / "corpus.jsonl").write_text("\n".join(rows) + "\n")
    asked = [json.dumps({"_id": q, "text": text}) for q, text in QUERIES.items()]
    (facts / "queries.jsonl").write_text("\n".join(asked) + "\n")
    judged = [f"{q}\t{d}\t1" for q, d in QRELS.items()]
    header = "query-id\tcorpus-id\tscore"
    (facts / "qrels" / "dev.tsv").write_text("\n".join([header, *judged]) + "\n")
    make_checkpoint(made / "qwen3")
