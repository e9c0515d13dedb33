"""A world as a folder in BEIR's layout, with trajectories and evidence.

    corpus.jsonl     {"_id", "text"}
    queries.jsonl    {"_id", "text", "metadata": {"kind", "answer", "starts", "path"}}
    qrels/           train, test (all composed kinds), and test-KIND for each kind
    facts.jsonl      {"_id", "text"}: every fact in the words of thoughts, for language modelling,
                     without those of indexed entities
    thoughts.jsonl   {"_id", "text"}
    evidence.jsonl   {"_id", "documents"}, only for questions of the kinds evidence and reading
    world.json       settings, counts, and the version that wrote it

The same world gives the same bytes everywhere, except for the version in world.json.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from thought1 import __version__
from thought1.data.rows import show_path
from thought1.data.worlds.compositions import Question
from thought1.data.worlds.documents import relevant
from thought1.data.worlds.thoughts import statement
from thought1.data.worlds.world import World
from thought1.files.whole import write_folder
from thought1.types import Thought1Error


def check_target(folder: Path) -> None:
    """Raise Thought1Error if `folder` is a file or holds anything."""
    if folder.is_dir() and not any(folder.iterdir()):
        return
    if folder.exists() or folder.is_symlink():
        raise Thought1Error(
            f"{show_path(folder)} exists and is not an empty folder: name a new one, nothing is "
            "overwritten"
        )


def write_world(world: World, folder: Path) -> None:
    """Write the folder; it appears complete or not at all.

    Raises:
        Thought1Error: `folder` holds something.
    """
    check_target(folder)
    with write_folder(folder) as fresh:
        (fresh / "qrels").mkdir()
        _write(world, fresh)
        if folder.exists():
            folder.rmdir()  # refused where somebody has filled it meanwhile


def _write(world: World, folder: Path) -> None:
    _lines(folder / "corpus.jsonl", ({"_id": d.id, "text": d.text} for d in world.documents))
    _lines(folder / "queries.jsonl", map(_query, world.questions))
    known = world.encyclopedia.facts.items()
    facts = [fact for name, of in known if name not in world.indexed for fact in of.values()]
    stated = ({"_id": f"fact-{i:04d}", "text": statement(fact)} for i, fact in enumerate(facts))
    _lines(folder / "facts.jsonl", stated)
    thoughts = ({"_id": id, "text": text} for id, text in world.thoughts.items())
    _lines(folder / "thoughts.jsonl", thoughts)
    noted = (question for question in world.questions if question.notes)
    evidence = ({"_id": q.id, "documents": [note.text for note in q.notes]} for q in noted)
    _lines(folder / "evidence.jsonl", evidence)
    for split, questions in world.splits().items():
        _text(folder / "qrels" / f"{split}.tsv", _qrels(questions))
    about = {
        "format": 1,
        "thought1": __version__,
        "settings": asdict(world.settings),
        "counts": world.counts(),
    }
    _text(folder / "world.json", json.dumps(about, indent=2) + "\n")


def _query(question: Question) -> dict[str, Any]:
    metadata = {
        "kind": question.kind,
        "answer": question.answer,
        "starts": question.starts,
        "path": question.path,
    }
    return {"_id": question.id, "text": question.text, "metadata": metadata}


def _qrels(questions: Iterable[Question]) -> str:
    lines = ["query-id\tcorpus-id\tscore"]
    for question in questions:
        lines += (f"{question.id}\t{document}\t1" for document in relevant(question.answer))
    return "\n".join(lines) + "\n"


def _lines(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    _text(path, "".join(json.dumps(row) + "\n" for row in rows))


def _text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")
