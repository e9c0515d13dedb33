"""StrategyQA's facts as a collection for measuring: a BEIR folder outside the repository.

    python benchmarks/strategyqa.py --data DATA --output FOLDER
    t1 evaluate FOLDER --split measured --model t1-mini-companion

The corpus is the facts of all 2,061 train questions (eladsegal/strategyqa, MIT), near-duplicates
merged: of facts that say the same in almost the same words, the first one in the file stays. The
questions of recipes/strategyqa-measured.txt are the split `measured`, all others `train`; the facts
that the annotators of a question wrote are relevant to it. `thoughts.jsonl` holds each question's
decomposition, for `t1 evaluate --thoughts`. It knows no model and measures nothing.
"""

import argparse
import json
import random
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from record import ROOT, exit_code, write_lines

from thought1.data.outputs import whole_file
from thought1.training.data.sources import read_ids
from thought1.types import Thought1Error

MEASURED = ROOT / "recipes" / "strategyqa-measured.txt"
ALIKE = 0.8
"""Facts are near-duplicates whose words overlap by more (Jaccard), with the same numbers in both.
By eye: every pair of the set above it says the same, and the first ones below do not."""


@dataclass(frozen=True, slots=True)
class Question:
    """One question, as far as it is used."""

    id: str
    text: str
    facts: tuple[str, ...]
    steps: tuple[str, ...]
    """Its decomposition."""


def read_questions(path: Path) -> list[Question]:
    """The questions of StrategyQA's `train.json`.

    Raises:
        Thought1Error: no such file, or it is something else.
    """
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        return [_question(row) for row in rows]
    except OSError as error:
        raise Thought1Error(
            f"{path} cannot be read ({error.strerror}): `t1 data get strategyqa` fetches it"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise Thought1Error(f"{path} is not StrategyQA's train.json ({error!r})") from None


def _question(row: Mapping[str, Any]) -> Question:
    question = Question(
        row["qid"], row["question"].strip(), _texts(row["facts"]), _texts(row["decomposition"])
    )
    if not question.facts:
        raise ValueError(f"the question {question.id} has no facts")
    return question


def _texts(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(text for text in (value.strip() for value in values) if text)


class Facts:
    """Documents by id, each once, whatever the number of questions that state it."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.merged: list[tuple[str, str]] = []
        """What was left out, and the id of what stands for it; verbatim repetitions too."""
        self._words: dict[str, frozenset[str]] = {}
        self._by_word: defaultdict[str, list[str]] = defaultdict(list)

    def add(self, text: str) -> str:
        """The id of a fact, or of the first one that says the same."""
        words = frozenset(_words(text))
        shared = Counter(id_ for word in words for id_ in self._by_word[word])
        alike = [id_ for id_, n in shared.items() if self._alike(words, id_, n)]
        if alike:
            first = min(alike)
            self.merged.append((text, first))
            return first
        id_ = f"fact-{len(self.texts) + 1:04}"
        self.texts[id_], self._words[id_] = text, words
        for word in words:
            self._by_word[word].append(id_)
        return id_

    def _alike(self, words: frozenset[str], id_: str, shared: int) -> bool:
        other = self._words[id_]
        overlap = shared / (len(words) + len(other) - shared)
        return overlap > ALIKE and _numbers(words) == _numbers(other)


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())


def _numbers(words: Iterable[str]) -> frozenset[str]:
    return frozenset(word for word in words if any(c.isdigit() for c in word))


def draw(questions: Sequence[Question], number: int = 200, seed: int = 29) -> list[str]:
    """How recipes/strategyqa-measured.txt was chosen; texts that two questions share were not."""
    texts = Counter(question.text for question in questions)
    ids = sorted(question.id for question in questions if texts[question.text] == 1)
    return sorted(random.Random(seed).sample(ids, number))


def build(questions: Sequence[Question], measured: frozenset[str], folder: Path) -> Facts:
    """Write the folder; returns its documents.

    Raises:
        Thought1Error: a measured question is missing, or the folder cannot be written.
    """
    lost = sorted(measured - {question.id for question in questions})
    if lost:
        raise Thought1Error(
            f"{len(lost)} of the {len(measured)} questions to be measured are missing, such as "
            f"{lost[0]}: this is another train.json"
        )
    facts = Facts()
    relevant = {q.id: dict.fromkeys(map(facts.add, q.facts)) for q in questions}
    write_lines(folder / "corpus.jsonl", ({"_id": i, "text": t} for i, t in facts.texts.items()))
    write_lines(folder / "queries.jsonl", ({"_id": q.id, "text": q.text} for q in questions))
    steps = ({"_id": q.id, "text": " ".join(q.steps)} for q in questions if q.steps)
    write_lines(folder / "thoughts.jsonl", steps)
    for split in ("measured", "train"):
        lines = ["query-id\tcorpus-id\tscore\n"]
        for question, documents in relevant.items():
            if (question in measured) == (split == "measured"):
                lines += [f"{question}\t{document}\t1\n" for document in documents]
        with whole_file(folder / "qrels" / f"{split}.tsv") as stream:
            stream.write("".join(lines).encode())
    return facts


def run(options: argparse.Namespace) -> None:
    """Read, check, write, tell."""
    output = options.output.resolve()
    if output.is_relative_to(ROOT):
        raise Thought1Error(
            f"{options.output} lies in the repository, where texts of others do not belong: name "
            "a folder outside"
        )
    questions = read_questions(options.data / "strategyqa" / "train.json")
    facts = build(questions, read_ids(MEASURED), output)
    stated = sum(len(question.facts) for question in questions)
    near = [(text, id_) for text, id_ in facts.merged if _words(text) != _words(facts.texts[id_])]
    print(
        f"{len(questions)} questions, {stated} facts, {len(facts.texts)} documents: "
        f"{len(facts.merged)} facts merged, {len(near)} of them in other words"
    )
    for text, id_ in near if options.show else []:
        print(f"{facts.texts[id_]}\n  {text}")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit code: 2 where the input is wrong."""
    parser = argparse.ArgumentParser(description="StrategyQA's facts as a BEIR folder.")
    parser.add_argument(
        "--data", type=Path, required=True, help="folder of the data sets, with strategyqa in it"
    )
    parser.add_argument("--output", type=Path, required=True, help="folder that is written")
    parser.add_argument("--show", action="store_true", help="show which facts were merged")
    options = parser.parse_args(sys.argv[1:] if arguments is None else arguments)
    return exit_code(lambda: run(options))


if __name__ == "__main__":
    raise SystemExit(main())
