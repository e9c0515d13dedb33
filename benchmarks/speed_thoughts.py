"""Thoughts of T1 beside transformers.generate and llama.cpp, in turn in one run, on one thread.

    python benchmarks/speed_thoughts.py [--model DIR] [--tokens N] [--llama] [--json FILE]

One question alone and 32 together, each with a thought of exactly N tokens, greedy. The peer is
transformers.generate on the same weights, then what reads the vector: a second forward pass, or the
companion. T1 runs in float32, and in bfloat16 where the processor has it; for the latter the share
of equal tokens and the cosine of the vectors are told. With --llama, llama-cpp-python (to be
installed apart) runs the model's base, a GGUF file with its own quantised weights: as many tokens
for one question, its prompt included, no adapter and no vector. Ratios are above 1 where T1 is
faster: processor time, the median over the repeats with the smallest and the largest.
"""

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from record import exit_code, origin, write_json
from speed_queries import Peer, never_likely
from speed_texts import Length, write_texts
from timing import Comparison, Times, interleaved
from transformers.utils import logging as transformers_logging

from thought1 import T1
from thought1.engines.packed import bfloat16_exists
from thought1.engines.precision import VARIABLE
from thought1.engines.route import processor
from thought1.model.place import find_model
from thought1.types import Sampling, Thought1Error, Vectors

Written = tuple[list[list[int]], Vectors]
"""Token ids of the thoughts, and the vectors (n, d) behind them."""


@dataclass(frozen=True, slots=True)
class Result:
    """One way of thinking beside the peer."""

    name: str
    batch: int
    comparison: Comparison
    milliseconds_per_query: float
    peer_milliseconds_per_query: float
    equal_tokens: float | None
    """Share of places with the peer's token."""
    cosine: float | None
    """Smallest cosine to the peer's vector."""


class Questions:
    """The same questions for both sides."""

    def __init__(self, model: T1, number: int, tokens: int) -> None:
        self.model, self.tokens = model, tokens
        self.texts = write_texts(model, number, Length(12, 24), seed=2)
        settings = model.settings
        self.prompts = model.renderer.render(settings.query, self.texts, settings.max_query_tokens)
        whole = [[*self.prompts.prefix, *row] for row in self.prompts.rows]
        self.peer_model = Peer(model, whole, [tokens] * number)

    def ours(self, dtype: str) -> Written:
        """Written and read by T1."""
        os.environ[VARIABLE] = dtype
        prefix, rows = self.prompts.prefix, self.prompts.rows
        budgets = [self.tokens] * len(rows)
        done = self.model.engine.generate(prefix, rows, budgets, Sampling())
        thoughts = [list(one.token_ids) for one in done]
        own = np.stack([one.vector for one in done])
        return thoughts, self._read(thoughts, own)

    def peer(self) -> Written:
        """Written by transformers.generate, and read."""
        if self.model.companion is None:
            return self.peer_model()
        thoughts = self.peer_model.write()
        return thoughts, self._read(thoughts, None)

    def _read(self, thoughts: list[list[int]], own: Vectors | None) -> Vectors:
        companion = self.model.companion
        if companion is None:
            assert own is not None
            return own
        pairs = zip(self.texts, map(self.model.queries.decode, thoughts), strict=True)
        return companion.embed_queries([f"{text} {thought}" for text, thought in pairs])


@contextmanager
def _as_it_was() -> Iterator[None]:
    """T1_THOUGHTS is afterwards what it was."""
    before = os.environ.get(VARIABLE)
    try:
        yield
    finally:
        os.environ.pop(VARIABLE, None)
        if before is not None:
            os.environ[VARIABLE] = before


def llama_writer(model: T1, questions: Questions) -> Callable[[], object]:
    """llama.cpp on the base's GGUF file, one question, no cache of an earlier run.

    Weights repacked for AMX stay off: with them version 0.3.36 crashed on a virtual machine.

    Raises:
        Thought1Error: llama-cpp-python is not installed, or the base is no GGUF file.
    """
    try:
        import llama_cpp.llama_cpp as library
        from llama_cpp import Llama
    except ImportError:
        raise Thought1Error("--llama needs llama-cpp-python: pip install it") from None
    base = model.checkpoint.base
    file = find_model(base.model).file if base else None
    if file is None:
        raise Thought1Error("--llama needs a model whose base is a GGUF file")
    parameters = library.llama_model_default_params

    def without_repacking() -> Any:
        found = parameters()
        found.use_extra_bufts = False
        return found

    library.llama_model_default_params = without_repacking
    try:
        llama = Llama(str(file), n_ctx=512, n_threads=1, n_threads_batch=1, verbose=False)
    finally:
        library.llama_model_default_params = parameters
    prompt = [*questions.prompts.prefix, *questions.prompts.rows[0]]

    def write() -> int:
        llama.reset()
        count = 0
        for count, _ in enumerate(llama.generate(prompt, temp=0.0, reset=True), 1):
            if count == questions.tokens:
                break
        return count

    return write


def compared(
    name: str, batch: int, ours: Written, peer: Written, times: dict[str, Times]
) -> Result:
    """One line of the result."""
    pairs = [
        pair for both in zip(ours[0], peer[0], strict=True) for pair in zip(*both, strict=True)
    ]
    milliseconds = {who: float(1000 * np.median(each.cpu) / batch) for who, each in times.items()}
    return Result(
        name,
        batch,
        Comparison.of(times[name], times["peer"]),
        milliseconds[name],
        milliseconds["peer"],
        float(np.mean([one == other for one, other in pairs])),
        float((ours[1] * peer[1]).sum(1).min()),
    )


def measure(model: T1, batch: int, tokens: int, repeats: int, llama: bool) -> list[Result]:
    """All ways for one size of batch.

    Raises:
        Thought1Error: float32 writes something else than the peer, or reads it otherwise.
    """
    questions = Questions(model, batch, tokens)
    names = ["float32", *(["bfloat16"] if bfloat16_exists() else [])]
    ways: dict[str, Callable[[], object]] = {"peer": questions.peer}
    ways |= {name: lambda name=name: questions.ours(name) for name in names}  # type: ignore[misc]
    with never_likely(model, [model.checkpoint.emb_id, *model.checkpoint.eos_ids]):
        peer = questions.peer()
        written = {name: questions.ours(name) for name in names}
        if llama and batch == 1:
            ways["llama.cpp"] = llama_writer(model, questions)
            ways["llama.cpp"]()
        times = interleaved(ways, repeats)
    results = [compared(name, batch, written[name], peer, times) for name in names]
    if (results[0].equal_tokens or 0) < 0.9:  # rounding may tip a tie, and what follows it
        raise Thought1Error(f"float32 writes something else than transformers: {results[0]}")
    if "llama.cpp" in times:
        median = float(1000 * np.median(times["llama.cpp"].cpu))
        ratio = Comparison.of(times["llama.cpp"], times["peer"])
        milliseconds = results[0].peer_milliseconds_per_query
        results.append(Result("llama.cpp", 1, ratio, median, milliseconds, None, None))
    return results


def main(arguments: Sequence[str]) -> None:
    """Measure, print, and write the JSON file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="models/t1-mini-companion", help="folder or hub id")
    parser.add_argument("--tokens", type=int, default=48, help="tokens of each thought")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 32], help="sizes of batches")
    parser.add_argument("--repeats", type=int, default=5, help="rounds of each comparison")
    parser.add_argument("--llama", action="store_true", help="llama-cpp-python too")
    parser.add_argument("--json", type=Path, help="write the result here too")
    options = parser.parse_args(arguments)
    if min(options.tokens, options.repeats, *options.batches) < 1:
        parser.error("--tokens, --repeats and --batches must be 1 or more")
    torch.set_num_threads(1)
    transformers_logging.disable_progress_bar()
    model = T1.from_pretrained(options.model, dtype="float32", device="cpu")
    if model.settings.beside:
        parser.error(f"{model.name} has two vectors beside each other, and the peer gives one")
    print(f"{processor()}\n{model.name}, thoughts of {options.tokens} tokens, one thread")
    results = []
    with _as_it_was():
        for batch in options.batches:
            for one in measure(model, batch, options.tokens, options.repeats, options.llama):
                results.append(one)
                print(
                    f"batch {one.batch:3} {one.name:10} {one.comparison.cpu!s:>18} times faster, "
                    f"{one.milliseconds_per_query:7.0f} ms a query"
                    + (f", equal tokens {one.equal_tokens:.3f}" if one.equal_tokens else "")
                    + (f", cosine {one.cosine:.4f}" if one.cosine else ""),
                    flush=True,
                )
    if options.json:
        content = {"processor": processor(), "results": [asdict(one) for one in results]}
        write_json(
            options.json, {"origin": origin("speed_thoughts.py", list(arguments)), **content}
        )


if __name__ == "__main__":
    sys.exit(exit_code(lambda: main(sys.argv[1:])))
