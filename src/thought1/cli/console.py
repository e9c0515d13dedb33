"""What is printed, and where: results on stdout, everything else on stderr.

Knows results as plain data, not how they were computed.
"""

import csv
import json
import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text
from tqdm import tqdm

from thought1.model.tally import Tally
from thought1.types import Hit, Receipt, SearchResult, Thought

_SNIPPET = 160
"""Characters of a document's text that a table shows."""


def note(message: str) -> None:
    """One line on stderr, above a progress bar where there is one."""
    tqdm.write(message, file=sys.stderr)


def progress(description: str, total: int | None, unit: str) -> Any:
    """A tqdm bar on stderr; none if stderr is not a terminal."""
    return tqdm(total=total, desc=description, unit=f" {unit}", disable=None, leave=False)


def print_json(content: Any) -> None:
    """One JSON object on stdout, on one line."""
    sys.stdout.write(json.dumps(content, allow_nan=False) + "\n")
    sys.stdout.flush()


def print_text(text: str) -> None:
    """One line on stdout, as it is."""
    sys.stdout.write(text + "\n")


def show_means(content: Mapping[str, Any]) -> None:
    """The table of an evaluation's "metrics" and "ci"."""
    table = Table(box=None, pad_edge=False)
    for header in ("measure", "mean", "95% interval"):
        table.add_column(header, justify="left" if header == "measure" else "right")
    for name, value in content["metrics"].items():
        low, high = content["ci"][name]
        table.add_row(name, f"{value:.5f}", f"{low:.4f} to {high:.4f}")
    Console(highlight=False, markup=False).print(table)


class _Warnings(logging.Handler):
    """Log records as plain lines; each kind of warning once, however many batches raise it.

    A record with a tally is shown at the end, when the totals are known.
    """

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()
        self.counted: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        values = record.args if isinstance(record.args, tuple) else ()
        if any(isinstance(value, Tally) for value in values):
            self.counted.append(record)
        elif record.levelno < logging.WARNING:
            note(record.getMessage())
        elif record.msg not in self.seen:
            self.seen.add(record.msg)
            note(f"warning: {record.getMessage()}")

    def tell_totals(self) -> None:
        """Each tally once, by its numbers now."""
        for message in dict.fromkeys(record.getMessage() for record in self.counted):
            note(f"warning: {message}")


@contextmanager
def warnings_on_stderr() -> Iterator[None]:
    """Show the log of thought1, and of nothing else, while the command runs."""
    logger = logging.getLogger("thought1")
    handler = _Warnings()
    level, propagate = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield
    finally:
        handler.tell_totals()
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagate


def plain(text: str) -> str:
    """A text on one line, without what could steer the terminal."""
    line = " ".join(text.split())
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line)


def print_csv(results: Sequence[SearchResult]) -> None:
    """A header and one row for each hit; metadata is JSON."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["query", "rank", "id", "score", "title", "text", "metadata"])
    for result in results:
        for hit in result.hits:
            metadata = json.dumps(dict(hit.metadata), ensure_ascii=False)
            row = [result.query, hit.rank, hit.id, hit.score, hit.title, hit.text, metadata]
            writer.writerow(row)
    sys.stdout.flush()


def show_thoughts(console: Console, query: str, thoughts: Sequence[Thought]) -> None:
    """The question, and below it what was thought about it."""
    console.print(Text(plain(query), style="bold"), soft_wrap=True)
    for thought in thoughts:
        ending = "" if not thought.forced else f", ended by {thought.finish_reason}"
        console.print(
            Text(plain(thought.text), style="italic"),
            Text(f"({len(thought.token_ids)} tokens{ending})", style="dim"),
            soft_wrap=True,
        )


def show_result(console: Console, result: SearchResult) -> None:
    """One question, the thoughts about it, and the table of hits."""
    show_thoughts(console, result.query, result.thoughts)
    for line in round_lines(result):
        console.print(Text(line, style="dim"), soft_wrap=True)
    if result.evidence and not result.rounds:
        read = plain(", ".join(result.evidence))
        console.print(Text(f"after reading {read}", style="dim"), soft_wrap=True)
    if result.confidence is not None:
        instead = ", too low: searched by words as well" if result.fell_back else ""
        console.print(Text(f"confidence {result.confidence:.2f}{instead}", style="dim"))
    for stage in result.stages:
        first = plain(", ".join(id_ for id_, _ in stage.ranking[:5]))
        text = f"at {stage.budget} tokens, {stage.milliseconds:.0f} ms: {first}"
        console.print(Text(text, style="dim"), soft_wrap=True)
    for one in result.left_out:
        console.print(Text(plain(f"without {one.step}: {one.reason}"), style="dim"), soft_wrap=True)
    if not result.hits:
        console.print("nothing found")
        return
    table = Table(box=None, pad_edge=False)
    table.add_column("#", justify="right")
    table.add_column("score", justify="right")
    table.add_column("title or id")
    table.add_column("text", ratio=1)
    for hit in result.hits:
        snippet = plain(hit.text)
        if len(snippet) > _SNIPPET:
            snippet = snippet[: _SNIPPET - 3] + "..."
        name = Text(plain(hit.title or hit.id), style="bold")
        table.add_row(str(hit.rank), f"{hit.score:.4f}", name, Text(snippet))
    console.print(table)
    for hit in result.hits:
        for line in [*surrounding_lines(hit), *explanation_lines(hit)]:
            console.print(Text(line, style="dim"), soft_wrap=True)


def round_lines(result: SearchResult) -> list[str]:
    """What was read, thought and found, round by round; empty where there is one alone."""
    lines = []
    for number, one in enumerate(result.rounds, 1):
        lines.append(plain(f"round {number}, after reading {', '.join(one.evidence) or 'nothing'}"))
        lines += [f"  {plain(hop.text)} -> {plain(', '.join(hop.documents))}" for hop in one.hops]
        lines += [] if one.hops else [f"  {plain(one.thought)}"]
    return lines


def surrounding_lines(hit: Hit) -> list[str]:
    """What stands before and after a hit in its text, where that was requested."""
    around = [*(("before", one) for one in hit.before), *(("after", one) for one in hit.after)]
    return [f"{hit.rank} {where} {plain(one.id)}: {plain(one.text)}" for where, one in around]


def explanation_lines(hit: Hit) -> list[str]:
    """Why a hit was found, in words; empty where that was not asked for."""
    found = hit.explanation
    if found is None:
        return []
    lines = [f"{hit.rank} {plain(hit.title or hit.id)}"]
    if found.highlight is not None:
        start, end = found.highlight.start, found.highlight.end
        score = found.highlight.score
        lines.append(f"  nearest sentence ({score:.3f}): {plain(hit.text[start:end])}")
    lines += [f"  thought {part.effect:+.3f}: {plain(part.text)}" for part in found.parts]
    if found.words:
        shares = ", ".join(f"{plain(word)} {score:.2f}" for word, score in found.words)
        lines.append(f"  words: {shares}")
    return lines


def receipt_line(receipt: Receipt) -> str:
    """What a search cost, in words; where no model ran, without its tokens."""
    steps = ", ".join(f"{step} {time:.1f} ms" for step, time in receipt.milliseconds.items())
    if receipt.rerank_calls:
        steps += f"; {receipt.rerank_calls} calls and {receipt.rerank_tokens} tokens of reranking"
    if receipt.cached:
        steps += f"; {receipt.cached} thoughts from the cache"
    if receipt.left_out:
        steps += f"; {receipt.left_out} questions without a step that failed"
    if not receipt.prompt_tokens:
        return steps
    return (
        f"{receipt.prompt_tokens} prompt tokens, {receipt.thought_tokens} thought tokens, "
        f"{receipt.forced} forced; {steps}"
    )
