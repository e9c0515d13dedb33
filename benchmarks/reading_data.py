"""Training data for a thinker that reads first: what a search shows, and thoughts of what it lacks.

    python benchmarks/reading_data.py DATA --model t1-mini-companion --output runs/reading-data

For each training question of EntailmentBank the first documents of a search with the bare question
(`evidence.jsonl`), and a thought of its answer and of those facts that are not among them
(`missing.jsonl`); beside them links to the data sets, so that the folder is the `data` of
`recipes/mini-reading.toml`.
"""

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from record import exit_code, write_lines

from thought1.data.formats import BeirFolder
from thought1.index import Index
from thought1.search.options import SearchOptions
from thought1.search.pipeline import search_in_batches
from thought1.t1 import T1
from thought1.training.data.jsonl_templates import objects

LINKED = ("entailmentbank", "cot_flan")


def missing(thought: dict[str, Any], shown: Sequence[str]) -> dict[str, Any]:
    """The thought without the facts that are shown, whose case and spaces differ there."""
    read = {letters(text) for text in shown}
    facts = [fact for fact in thought["facts"] if letters(fact) not in read]
    return {"_id": thought["_id"], "answer": thought["answer"], "facts": facts}


def letters(text: str) -> str:
    """What tells two facts apart."""
    return "".join(re.findall(r"\w", text.lower()))


def make(options: argparse.Namespace) -> None:
    """Search, and write the folder."""
    folder = BeirFolder(options.data / "entailmentbank")
    questions = {q.id: q.text for q in folder.queries() if q.id.startswith("train:")}
    index = Index.create(
        options.output / "facts.index", T1.from_pretrained(options.model), overwrite=True
    )
    for name in LINKED:
        link = options.output / name
        if link.is_symlink():  # of an earlier run, perhaps with other data
            link.unlink()
        if not link.exists():
            link.symlink_to((options.data / name).resolve())
    index.add(folder.corpus())
    bare = SearchOptions(k=options.evidence, mode="dense", think=0)
    results, _ = search_in_batches(index, list(questions.values()), bare)
    shown = {
        id_: [hit.text for hit in result.hits]
        for id_, result in zip(questions, results, strict=True)
    }
    thoughts = (fields for _, fields in objects(folder.path / "thoughts.jsonl"))
    wanted = [missing(one, shown[one["_id"]]) for one in thoughts if one["_id"] in shown]
    evidence = ({"_id": id_, "documents": texts} for id_, texts in shown.items())
    write_lines(options.output / "evidence.jsonl", evidence)
    write_lines(options.output / "missing.jsonl", wanted)
    facts = sum(len(one["facts"]) for one in wanted)
    print(f"{len(shown)} questions, {facts / len(wanted):.1f} facts each that are not shown")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit code: 2 where the input is wrong."""
    parser = argparse.ArgumentParser(description="Training data for a thinker that reads first.")
    parser.add_argument("data", type=Path, help="the folder of the data sets")
    parser.add_argument("--model", required=True, help="what searches: a name or a folder")
    parser.add_argument("--evidence", type=int, default=5, help="documents that are shown")
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args(sys.argv[1:] if arguments is None else arguments)
    return exit_code(lambda: make(options))


if __name__ == "__main__":
    raise SystemExit(main())
