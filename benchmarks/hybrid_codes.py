"""Search for part numbers, error codes and invented names among the documents of a collection.

    python benchmarks/hybrid_codes.py examples/everyday-science --split test --model t1-nano

120 sentences with a code each are added to the collection; every second code is asked for twice,
alone and within a question, without a thought. BM25 finds them all; how much of that hybrid search
keeps where the vectors find less is what this shows: nDCG@10, and the share of questions whose
document is among the first five.
"""

import argparse
import random
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from collection import load_collection
from record import exit_code, origin, write_json

from thought1.evaluation.collection import run_of
from thought1.evaluation.statistics.protocol import evaluate
from thought1.index import Index
from thought1.model.place import locate
from thought1.search.options import Mode, SearchOptions
from thought1.search.pipeline import search_in_batches
from thought1.t1 import T1
from thought1.types import Document

MODES: tuple[Mode, ...] = ("bm25", "dense", "hybrid")
MEASURE = "ndcg@10"
CODES = 120
SENTENCES = (
    "The {} is the gasket of the main pump; order it with the seals.",
    "Error {} means that the cache is full: restart the service.",
    "Ticket {}: login fails after the password was changed.",
    "Article {} of the contract sets the notice period to three months.",
    "{} was measured at the north gate in the morning.",
    "Use {} for the door, it fits all frames.",
)
QUESTIONS = ("What is {}?", "Why do I see {} today?", "Where is {} described?")


def code(rng: random.Random) -> str:
    """A part number, an address, a version or a name."""
    return rng.choice(
        [
            f"{rng.choice('KTXQ')}{rng.choice('ABZ')}-{rng.randint(1000, 9999)}{rng.choice('BCD')}",
            f"0x{rng.randint(0x80000000, 0x8FFFFFFF):08x}",
            f"E{rng.randint(100, 999)}.{rng.randint(10, 99)}",
            f"{rng.choice(['lumo', 'veri', 'zanta', 'kropi'])}{rng.choice(['mab', 'cil', 'dox'])}"
            f"{rng.choice(['ine', 'ol', 'um', 'is'])}{rng.randint(1, 9)}",
        ]
    )


def run_benchmark(options: argparse.Namespace, arguments: Sequence[str]) -> None:
    """Index, ask, print, write."""
    rng = random.Random(options.seed)
    codes = list(dict.fromkeys(code(rng) for _ in range(CODES)))
    documents = [
        Document(f"code {one}", SENTENCES[number % len(SENTENCES)].format(one))
        for number, one in enumerate(codes)
    ]
    around = load_collection(options.folder, options.split).documents
    asked = [(one, form) for one in codes[::2] for form in ("{}", rng.choice(QUESTIONS))]
    qrels = {str(number): {f"code {one}": 1} for number, (one, _) in enumerate(asked)}
    report = {}
    with tempfile.TemporaryDirectory() as folder:
        index = Index.create(folder, T1.from_pretrained(locate(options.model)), overwrite=True)
        index.add([*documents, *(Document(id_, text) for id_, text in around.items())])
        texts = [form.format(one) for one, form in asked]
        for mode in MODES:
            found, _ = search_in_batches(index, texts, SearchOptions(mode=mode, think=0))
            ndcg = evaluate(run_of(qrels, found), qrels, [MEASURE]).metrics[MEASURE]
            first = fmean(
                any(hit.id in wanted for hit in one.hits[:5])
                for wanted, one in zip(qrels.values(), found, strict=True)
            )
            report[mode] = {MEASURE: ndcg, "among the first five": first}
            print(f"{mode:8} {ndcg:.3f} {first:.2f}")
    if options.json:
        write_json(options.json, {**origin("hybrid_codes.py", arguments), "modes": report})


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit code: 2 where the input is wrong."""
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(description="Codes and names in hybrid search.")
    parser.add_argument("folder", type=Path, help="collection in BEIR layout, around the codes")
    parser.add_argument("--split", required=True, help="judgements: qrels/SPLIT.tsv")
    parser.add_argument("--model", required=True, help="a name or a folder")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="write the result here")
    options = parser.parse_args(arguments)
    return exit_code(lambda: run_benchmark(options, arguments))


if __name__ == "__main__":
    raise SystemExit(main())
