"""Speed of T1 beside its peers, measured in turn in one run, one thread each, float32 on CPU.

    python benchmarks/speed.py [--model DIR] [--json FILE] [--repeats N] [--quick]

Documents against SentenceTransformer on the export of the same checkpoint, queries against
transformers.generate with a second forward pass, and the share of the machine's rate of matrix
products that document encoding reaches. Ratios are above 1 where T1 is faster: the median over
the repeats, with the smallest and the largest. Processor time is the figure to read on a machine
that has other work; wall time stands beside it. What a processor gains from oneDNN
(`thought1.engines.route`) is in the ratios: the first lines name processor, instruction set, route
and the rate of both routes. T1_LINEAR=torch measures without that gain.
"""

import argparse
import os
import sys
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from record import origin, write_json
from sentence_transformers import SentenceTransformer
from speed_documents import DocumentResult, DocumentTask, measure_documents
from speed_matmul import SIZES, matmul_rates
from speed_queries import QueryResult, QueryTask, measure_queries
from speed_texts import Length
from transformers.utils import logging as transformers_logging

from thought1 import T1
from thought1.engines.route import linear_route, processor
from thought1.export import export_sentence_transformers
from thought1.types import Thought1Error

GIGA = 1e9
SHORT, LONG = Length(12, 40), Length(200, 500)


def document_tasks(model: T1, which: str, quick: bool) -> list[DocumentTask]:
    """Short and long texts.

    Raises:
        Thought1Error: the model reads too little of a document for long texts.
    """
    template = model.renderer.render(model.settings.document, [""], 10_000)
    used = len(template.prefix) + len(template.rows[0]) + 1
    room = model.settings.max_document_tokens - used
    if room <= LONG.low:
        raise Thought1Error(f"this model reads {room} tokens of a document: too few for long texts")
    long = Length(LONG.low, min(LONG.high, room))
    short_number, long_number = (16, 2) if quick else (256, 48)
    return [
        DocumentTask(f"short, {which} instruction", SHORT, short_number, goal=1.5),
        DocumentTask(f"long, {which} instruction", long, long_number, goal=1.0),
    ]


def without_instruction(model: T1) -> T1:
    """The same weights with an empty instruction for documents."""
    document = replace(model.settings.document, instruction="")
    settings = replace(model.settings, document=document)
    return T1(replace(model.checkpoint, settings=settings))


def query_task(quick: bool) -> QueryTask:
    """One batch of questions with thoughts of very different lengths."""
    if quick:
        return QueryTask(4, Length(12, 24), Length(4, 8), 1.5)
    return QueryTask(32, Length(12, 24), Length(8, 96), 1.5)


def show_documents(result: DocumentResult, machine: float) -> None:
    """One line for people."""
    task, comparison = result.task, result.comparison
    print(
        f"{task.name:24} {task.length!s:>8} {comparison.cpu!s:>18} {comparison.wall!s:>18} "
        f"{task.goal:5.1f} {result.documents_per_second:8.0f} "
        f"{result.peer_documents_per_second:8.0f} {result.peer_batch_size:6} "
        f"{result.operations_per_second / machine:6.0%}",
        flush=True,
    )


def show_queries(result: QueryResult) -> None:
    """One line for people."""
    task, comparison = result.task, result.comparison
    print(
        f"{f'thoughts, batch of {task.number}':24} {task.thought!s:>8} {comparison.cpu!s:>18} "
        f"{comparison.wall!s:>18} {task.goal:5.1f} {1000 / result.milliseconds_per_query:8.1f} "
        f"{1000 / result.peer_milliseconds_per_query:8.1f}",
        flush=True,
    )


def measure(model: T1, repeats: int, quick: bool) -> dict[str, Any]:
    """Everything, printed while it is measured."""
    route, rates = linear_route(), matmul_rates((256,) if quick else SIZES)
    machine = max(rates.values())
    instructions = torch.backends.cpu.get_cpu_capability()
    shown = ", ".join(f"{rate / GIGA:.0f} GFLOP/s through {name}" for name, rate in rates.items())
    print(
        f"{processor()}, {instructions}\n{model.name}: {shown}; "
        f"route: few rows {route.few}, many {route.many} ({route.kept})\n"
        f"{'':24} {'tokens':>8} {'faster, processor':>18} {'faster, wall':>18}  goal "
        f"{'T1/s':>8} {'peer/s':>8} {'batch':>6} {'share':>6}"
    )
    documents = []
    for which, variant in (("own", model), ("empty", without_instruction(model))):
        with tempfile.TemporaryDirectory() as folder:
            export_sentence_transformers(variant, Path(folder))
            peer = SentenceTransformer(folder, device="cpu", trust_remote_code=False)
        for task in document_tasks(variant, which, quick):
            documents.append(measure_documents(variant, peer, task, repeats))
            show_documents(documents[-1], machine)
    queries = measure_queries(model, query_task(quick), repeats)
    show_queries(queries)
    return {
        "processor": processor(),
        "instructions": instructions,
        "route": asdict(route),
        "matmul_operations_per_second": rates,
        "documents": [asdict(result) for result in documents],
        "queries": asdict(queries),
    }


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="t1-nano", help="folder or hub id")
    parser.add_argument("--json", type=Path, help="write the result here too")
    parser.add_argument("--repeats", type=int, default=7, help="rounds of each comparison")
    parser.add_argument("--quick", action="store_true", help="does it run? The numbers mean little")
    options = parser.parse_args(arguments)
    if options.repeats < 1:
        parser.error("--repeats must be 1 or more")
    return options


def main(arguments: list[str]) -> int:
    """Measure, print, and write the JSON file; 2 where the model cannot be measured."""
    options = parse(arguments)
    torch.set_num_threads(1)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    transformers_logging.disable_progress_bar()
    try:
        model = T1.from_pretrained(options.model, dtype="float32", device="cpu")
        result = measure(model, 1 if options.quick else options.repeats, options.quick)
    except Thought1Error as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if options.json:
        write_json(options.json, {"origin": origin("speed.py", arguments), **result})
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
