"""The main job on real text, offline: index 618 notes, ask five questions, measure all 184.

Run by `make demo`. Every figure it prints is computed while you watch.
"""

import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table
from transformers.utils.logging import disable_progress_bar

from thought1 import T1, Index, Receipt, SearchResult
from thought1.data.formats import BeirFolder
from thought1.evaluation.collection import evaluate_collection
from thought1.search.options import SearchOptions

COLLECTION = BeirFolder(Path(__file__).parent / "everyday-science")
QUESTIONS = ("q064", "q018", "q054", "q070", "q178")
MODEL = "t1-mini-companion"
THINK = 48
"""Thinking budget of the demo, in tokens."""
SYSTEMS = {
    "BM25": SearchOptions(k=100, mode="bm25"),
    "not thinking: all-MiniLM-L6-v2": SearchOptions(k=100, mode="dense", think=0),
    "hybrid of both": SearchOptions(k=100, mode="hybrid", think=0),
    f"thinking {THINK} tokens": SearchOptions(k=100, mode="dense", think=THINK),
}

console = Console(width=100, highlight=False)


def main() -> None:
    """Index, ask, measure."""
    disable_progress_bar()  # of loading weights
    model = T1.from_pretrained(MODEL)
    with tempfile.TemporaryDirectory() as folder:
        index = build(model, Path(folder) / "notes.index")
        ask(index)
        measure(index)


def build(model: T1, folder: Path) -> Index:
    """The index over all notes."""
    start = time.perf_counter()
    index = Index.create(folder, model)
    index.add(COLLECTION.corpus())
    index.optimize()
    seconds = time.perf_counter() - start
    console.print(f"[bold]Indexed {len(index)} notes[/] with {model.name} in {seconds:.1f} s\n")
    return index


def ask(index: Index) -> None:
    """Five questions, each without and with a thought: hits, thought and receipt."""
    queries = {query.id: query.text for query in COLLECTION.queries()}
    for query_id in QUESTIONS:
        console.print(f"[bold]{queries[query_id]}[/]")
        for budget in (0, THINK):
            options = SearchOptions(k=3, mode="dense", think=budget)
            (result,), receipt = index.search_many([queries[query_id]], options)
            if result.thought:
                console.print(f"  thought: {result.thought.text}", style="italic")
            else:
                console.print("  not thinking", style="italic")
            show_hits(result)
            show_receipt(receipt)
        console.print()


def show_receipt(receipt: Receipt) -> None:
    """What the answer cost."""
    steps = ", ".join(f"{step} {ms:.0f} ms" for step, ms in receipt.milliseconds.items())
    tokens = f"{receipt.prompt_tokens} prompt + {receipt.thought_tokens} thought tokens"
    console.print(f"    {tokens}, {receipt.forced} ending forced; {steps}", style="dim")


def show_hits(result: SearchResult) -> None:
    """Rank, score, title and the beginning of each hit."""
    for hit in result.hits:
        console.print(f"    {hit.rank}. {hit.score:.3f}  {hit.title}: {hit.text[:40]}...")


def measure(index: Index) -> None:
    """nDCG@10 and recall over all questions, for each way to search."""
    table = Table(title="everyday-science, all questions")
    for column in ("", "nDCG@10", "95 % interval", "recall@10", "seconds"):
        table.add_column(column, justify="right" if column else "left")
    for name, options in SYSTEMS.items():
        start = time.perf_counter()
        evaluation, _, _ = evaluate_collection(COLLECTION, "test", index, options)
        seconds = time.perf_counter() - start
        low, high = evaluation.to_json()["ci"]["ndcg@10"]
        ndcg, recall = evaluation.metrics["ndcg@10"], evaluation.metrics["recall@10"]
        interval = f"{low:.3f} to {high:.3f}"
        table.add_row(name, f"{ndcg:.3f}", interval, f"{recall:.3f}", f"{seconds:.1f}")
    console.print(table)


if __name__ == "__main__":
    main()
