"""Milliseconds of each step of a search over many documents, beside the libraries underneath.

    python benchmarks/search_latency.py [--documents 100000] [--queries 1000] [--json FILE]

Documents are random words from a fixed seed, their vectors random directions, and a question is
eight words of one document: sizes matter here, quality does not. Thoughts are given, with vectors,
so that no model runs. Each question is searched in every way before the next one comes, so that a
busy machine slows all of them alike:

- `t1`: an `Index`, mode hybrid, 10 hits of rankings of 100, one question at a time and 16 together;
  its steps are those of the receipt.
- `lancedb`: the same table, asked by LanceDB's own calls for ids and scores.
- `bm25s` and, where they are installed (`pip install faiss-cpu`), `faiss`: both hold everything in
  memory, neither has texts, filters or commits. For comparison alone.

p50 and p95 over questions (over batches of 16, divided by 16); memory is the growth of this
process's resident set by the index's first hundred searches.
"""

import argparse
import importlib.util
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import bm25s
import lancedb
import numpy as np
import psutil
from lancedb.query import MatchQuery
from record import exit_code, origin, write_json
from scale import write_collection

from thought1.data.formats import BeirFolder
from thought1.index import Index
from thought1.search.options import SearchOptions
from thought1.testing import FakeModel
from thought1.types import Document, Thought, Vectors

DIM = 384
DEPTH = 100
TOGETHER = 16
WARM = 100
"""Questions that are searched before anything is measured."""
CHUNK = 5_000
MB = 1e6

Times = dict[str, list[float]]
Search = Callable[[str, Vectors], object]


def directions(number: int, seed: int) -> Vectors:
    """Random vectors (number, DIM) of length 1."""
    vectors_ND = np.random.default_rng(seed).standard_normal((number, DIM), np.float32)
    return vectors_ND / np.linalg.norm(vectors_ND, axis=1, keepdims=True)


def make_index(folder: Path, documents: Sequence[Document], vectors_ND: Vectors) -> Index:
    """Stored, with its word index, compacted."""
    index = Index.create(folder, FakeModel(dim=DIM))

    def chunks() -> Iterator[tuple[Sequence[Document], Vectors]]:
        for start in range(0, len(documents), CHUNK):
            yield documents[start : start + CHUNK], vectors_ND[start : start + CHUNK]

    index.add_encoded(chunks())
    index.optimize()
    return index


def lancedb_searches(folder: Path) -> dict[str, Search]:
    """The two searches of a table by LanceDB's own calls."""
    table = lancedb.connect(str(folder)).open_table("documents")

    def dense(_text: str, vector_D: Vectors) -> object:
        search: Any = table.search(vector_D).distance_type("cosine")
        return search.select(["id", "_distance"]).limit(DEPTH).to_arrow()

    def words(text: str, _vector: Vectors) -> object:
        match = MatchQuery(text, "body")  # type: ignore[call-arg]  # its defaults are not typed
        search: Any = table.search(match, query_type="fts")
        return search.select(["id", "_score"]).limit(DEPTH).to_arrow()

    return {"lancedb, dense": dense, "lancedb, bm25": words}


def references(documents: Sequence[Document], vectors_ND: Vectors) -> dict[str, Search]:
    """The same searches in memory."""
    retriever = bm25s.BM25()
    tokens = bm25s.tokenize([one.text for one in documents], show_progress=False)
    retriever.index(tokens, show_progress=False)

    def words(text: str, _vector: Vectors) -> object:
        asked = bm25s.tokenize([text], show_progress=False)
        return retriever.retrieve(asked, k=DEPTH, show_progress=False)

    found: dict[str, Search] = {"bm25s": words}
    if importlib.util.find_spec("faiss"):
        import faiss

        flat = faiss.IndexFlatIP(DIM)
        flat.add(vectors_ND)
        found["faiss, flat"] = lambda _text, vector_D: flat.search(vector_D[None], DEPTH)
    return found


def measure(folder: Path, documents: int, queries: int) -> dict[str, Any]:
    """Build everything, search by turns."""
    write_collection(folder, documents, queries)
    beir = BeirFolder(folder)
    corpus, asked = list(beir.corpus()), [query.text for query in beir.queries()]
    vectors_ND, queries_QD = directions(documents, 0), directions(queries, 1)
    index = make_index(folder / "index", corpus, vectors_ND)
    thoughts = [Thought("", (), "none", vector=vector_D) for vector_D in queries_QD]
    options = SearchOptions(10, "hybrid")
    process = psutil.Process()
    held = process.memory_info().rss
    for place in range(min(WARM, queries)):
        index.search_many([asked[place]], options, [thoughts[place]])
    grown = (process.memory_info().rss - held) / MB
    others = lancedb_searches(folder / "index") | references(corpus, vectors_ND)
    times: Times = defaultdict(list)
    for place, text in enumerate(asked):
        searched(times, "t1", index, [text], [thoughts[place]])
        for name, search in others.items():
            began = perf_counter()
            search(text, queries_QD[place])
            times[name].append(1000 * (perf_counter() - began))
    for start in range(0, queries - TOGETHER + 1, TOGETHER):
        some = slice(start, start + TOGETHER)
        searched(times, f"t1, {TOGETHER} together", index, asked[some], thoughts[some])
    return {
        "documents": documents,
        "queries": queries,
        "memory_mb": grown,
        "milliseconds": {
            name: {"p50": float(np.percentile(spent, 50)), "p95": float(np.percentile(spent, 95))}
            for name, spent in times.items()
        },
        "lancedb_ratio": {
            kind: float(np.median(times[f"t1, {kind}"]) / np.median(times[f"lancedb, {kind}"]))
            for kind in ("dense", "bm25")
        },
    }


def searched(
    times: Times, name: str, index: Index, queries: Sequence[str], thoughts: Sequence[Thought]
) -> None:
    """Search, and keep what each step and the whole took for one question."""
    began = perf_counter()
    _, receipt = index.search_many(queries, SearchOptions(10, "hybrid"), thoughts)
    spent = 1000 * (perf_counter() - began) / len(queries)
    times[f"{name}, whole search"].append(spent)
    for step, milliseconds in receipt.milliseconds.items():
        times[f"{name}, {step}"].append(milliseconds / len(queries))


def main(arguments: list[str]) -> int:
    """Measure, print, and write the JSON file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--documents", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=1_000)
    parser.add_argument("--json", type=Path, help="write the result here too")
    options = parser.parse_args(arguments)
    if not TOGETHER <= options.queries <= options.documents:
        parser.error(f"--queries must be {TOGETHER} or more, and at most --documents")

    def work() -> None:
        with TemporaryDirectory(prefix="t1-latency-") as folder:
            result = measure(Path(folder), options.documents, options.queries)
        print("| | p50, ms | p95, ms |\n|---|---|---|")
        for name, spent in result["milliseconds"].items():
            print(f"| {name} | {spent['p50']:.2f} | {spent['p95']:.2f} |")
        ratios = ", ".join(f"{kind} {x:.2f}" for kind, x in result["lancedb_ratio"].items())
        print(f"\nt1 / lancedb: {ratios}; memory grown by {result['memory_mb']:.0f} MB")
        if options.json:
            write_json(options.json, {"origin": origin("search_latency.py", arguments), **result})

    return exit_code(work)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
