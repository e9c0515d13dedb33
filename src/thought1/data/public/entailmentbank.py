"""EntailmentBank as a BEIR folder: questions, facts as documents, judgements, reference thoughts.

Originals: task_1/{train,dev,test}.jsonl, one tree a line, and the table of WorldTree's facts. A
fact of a tree is joined with the first document of the same words and digits; where the table has
none, the fact becomes a document of its own (EBX). Of the test split only such facts are read, in
the order of the file, because the corpus holds them among its documents; no question, answer,
hypothesis or judgement of it is written.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from thought1.data.public.files import write_json_lines

_TABLE = "worldtree_corpus_sentences_extended.json"
_DUMMY = "ET_addon:0"
_WORDS = re.compile(r"[a-z0-9]+")
_CONCLUSION = re.compile(r"-> int\d+: (.*?);(?= (?:sent|int)\d|$)")

Tree = Mapping[str, Any]


class _Documents:
    """The corpus: the first id of each wording."""

    def __init__(self, table: Mapping[str, str]) -> None:
        self.texts: dict[str, str] = {}
        self._ids: dict[tuple[str, ...], str] = {}
        self._extra = 0
        for name, text in table.items():
            if name != _DUMMY:
                self._add(name, text)

    def _add(self, name: str, text: str) -> str:
        words = tuple(_WORDS.findall(text.lower()))
        known = self._ids.setdefault(words, name)
        if known == name:
            self.texts[name] = text
        return known

    def of_fact(self, fact: str) -> str:
        """The document of a tree's fact, which becomes one where there is none."""
        name = f"EBX:{self._extra}"
        known = self._add(name, fact)
        self._extra += known == name
        return known


def convert(originals: Path, target: Path) -> None:
    """Write corpus, queries, qrels and thoughts of the train and dev splits."""
    table = json.loads((originals / _TABLE).read_text(encoding="utf-8"))
    documents = _Documents(table)
    queries, thoughts = [], []
    (target / "qrels").mkdir()
    for split in ("train", "dev"):
        lines = ["query-id\tcorpus-id\tscore\n"]
        for tree in _trees(originals / f"{split}.jsonl"):
            query, facts = f"{split}:{tree['id']}", _facts(tree)
            queries.append({"_id": query, "text": tree["question"]})
            thoughts.append(_thought(query, tree, facts))
            relevant = dict.fromkeys(documents.of_fact(fact) for fact in facts)
            lines.extend(f"{query}\t{document}\t1\n" for document in relevant)
        (target / "qrels" / f"{split}.tsv").write_text(
            "".join(lines), encoding="utf-8", newline="\n"
        )
    for tree in _trees(originals / "test.jsonl"):
        for fact in _facts(tree):
            documents.of_fact(fact)
    rows = ({"_id": name, "title": "", "text": text} for name, text in documents.texts.items())
    write_json_lines(target / "corpus.jsonl", rows)
    write_json_lines(target / "queries.jsonl", queries)
    write_json_lines(target / "thoughts.jsonl", thoughts)


def _trees(path: Path) -> Iterator[Tree]:
    for line in path.read_text(encoding="utf-8").split("\n"):
        if line.strip():
            yield json.loads(line)


def _facts(tree: Tree) -> list[str]:
    """The leaves, sent1 first."""
    leaves: Mapping[str, str] = tree["meta"]["triples"]
    return [leaves[name] for name in sorted(leaves, key=lambda n: int(n.removeprefix("sent")))]


def _thought(query: str, tree: Tree, facts: list[str]) -> dict[str, Any]:
    proof = tree["proof"].strip()
    return {
        "_id": query,
        "answer": tree["answer"],
        "hypothesis": tree["hypothesis"],
        "conclusions": _CONCLUSION.findall(proof),
        "facts": facts,
        "proof": proof,
    }
