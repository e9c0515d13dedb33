"""The query side of a T1: prompts, thoughts, and the vectors after them.

It knows token ids, an engine and how vectors are read; `t1` binds it to the documents.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from numbers import Integral
from time import perf_counter

from thought1.contracts import Engine
from thought1.engines.stream import watched
from thought1.model.checkpoint import Checkpoint
from thought1.model.encoder import Encoder, Progress
from thought1.model.prompts import Renderer
from thought1.model.reader import Reader, beside
from thought1.model.tally import Tally
from thought1.types import Generation, Sampling, Snapshot, Thought, Thought1Error, Until, Vectors

Evidence = Sequence[Sequence[str]]
"""For each query the retrieved texts that the model reads before it thinks."""


@dataclass(frozen=True, slots=True)
class PromptedQueries:
    """Queries, and the prompts that the language model reads."""

    texts: Sequence[str]
    prefix: Sequence[int]
    rows: Sequence[Sequence[int]]
    """Each prompt is `prefix + row`."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How thoughts are written."""

    budget: int
    """Maximum number of tokens of each, 1 or more."""
    sampling: Sampling | None = None
    """None is the checkpoint's own."""
    samples: int = 1
    """Thoughts about each query."""
    checkpoints: Sequence[int] = ()
    """Numbers of tokens at which intermediate vectors are read, in ascending order."""
    until: Until | None = None
    """Chooses the thoughts that end at a checkpoint; with None, none does."""


def checked_checkpoints(given: Sequence[int], budget: int | None) -> list[int]:
    """Distinct checkpoints in ascending order.

    Raises:
        Thought1Error: one is not a number of tokens up to the budget.
    """
    for n in given:
        whole = isinstance(n, Integral) and not isinstance(n, bool)
        if not whole or n < 0 or (budget is not None and n > budget):
            limit = "" if budget is None else f" up to the budget of {budget}"
            raise Thought1Error(f"vectors are read at whole numbers from 0{limit}, not at {n}")
    return sorted({int(n) for n in given})


@dataclass(frozen=True, slots=True)
class _Watch:
    """Reads the thoughts of one batch at their checkpoints, and lets `until` choose which end."""

    reader: Reader
    queries: Sequence[str]
    """Of each row."""
    numbers: Sequence[int]
    """Of each row's thought."""
    until: Until
    decode: Callable[[Sequence[int]], str]

    def __call__(self, tokens: int, so_far: Mapping[int, Generation]) -> Collection[int]:
        if not so_far:
            return ()
        rows = list(so_far)
        read = self.reader.read(
            [self.queries[row] for row in rows], list(so_far.values()), (), self.decode
        )
        vectors = {self.numbers[row]: one.vector for row, one in zip(rows, read, strict=True)}
        ending = set(self.until(tokens, vectors))
        return [row for row in rows if self.numbers[row] in ending]


@dataclass(frozen=True, slots=True)
class _Writing:
    """The thoughts of one batch, about to be written."""

    engine: Engine
    prefix: Sequence[int]
    rows: Sequence[Sequence[int]]
    budgets: Sequence[int]
    sampling: Sampling

    def whole(self, copies: int, snapshots: Sequence[int]) -> list[Generation]:
        """Each to its end."""
        return self.engine.generate(
            self.prefix, self.rows, self.budgets, self.sampling, copies=copies, snapshots=snapshots
        )

    def watched(self, copies: int, snapshots: Sequence[int], watch: _Watch) -> list[Generation]:
        """Each until `watch` ends it."""
        batch = self.engine.running()
        batch.join(
            self.prefix, self.rows, self.budgets, self.sampling, copies=copies, snapshots=snapshots
        )
        return watched(batch, snapshots, watch)


class QuerySide:
    """Prompts in, thoughts and query vectors out.

    Args:
        encoder: of the engine that thinks.
        reader: what makes query vectors of the engine's.
    """

    def __init__(self, checkpoint: Checkpoint, encoder: Encoder, reader: Reader) -> None:
        self.checkpoint = checkpoint
        self.encoder = encoder
        self.renderer = Renderer(checkpoint.tokenizer)
        self.reader = reader
        self.read = Tally("queries")
        self.evidence_read = Tally("lists of evidence")

    @property
    def engine(self) -> Engine:
        """Runs the language model."""
        return self.encoder.engine

    def tokens(self, budget: int | None, samples: int = 1) -> int:
        """Most tokens of a thought under `budget`; None is the checkpoint's own.

        Raises:
            Thought1Error: it cannot think, a thought does not fit its positions, or several
                thoughts are to have 0 tokens.
        """
        found = self.checkpoint.thought_tokens(budget)
        if found == 0 and samples > 1:
            self.checkpoint.thought_tokens(1)  # what cannot think at all says so
            raise Thought1Error(
                f"{samples} thoughts on each query need a thinking budget of 1 token or more"
            )
        return found

    def sampling(self, wanted: Sampling | None, samples: int = 1) -> Sampling:
        """How thoughts are sampled; None is the checkpoint's own.

        Raises:
            Thought1Error: several thoughts are to be greedy, hence all the same.
        """
        own = self.checkpoint.settings.thought
        found = wanted or (own.sampling if samples == 1 else own.several)
        if samples > 1 and found.temperature == 0:
            raise Thought1Error(
                f"{samples} thoughts on a query need a temperature above 0: greedy ones are "
                "all the same"
            )
        return found

    def check_evidence(self, budget: int | None) -> None:
        """Refuse evidence that would never be read.

        Raises:
            Thought1Error: the template has no place for it, nothing is thought under `budget`, or
                the model cannot think.
        """
        name, pattern = self.checkpoint.name, self.checkpoint.settings.query.pattern
        if self.tokens(budget) == 0:
            self.checkpoint.thought_tokens(1)  # what cannot think at all says so
            raise Thought1Error(
                "evidence is read before thinking, which needs a thinking budget of 1 token or more"
            )
        if "{evidence}" not in pattern:
            raise Thought1Error(
                f"{name} cannot read evidence: its query template {pattern!r} has no slot "
                "{evidence}; search without evidence"
            )

    def fit_evidence(self, texts: Sequence[str], evidence: Evidence) -> list[list[str]]:
        """The evidence as far as it fits with the whole queries; what is cut is counted."""
        own = self.checkpoint.settings
        shown, cut = self.renderer.fit(own.query, texts, own.max_query_tokens, evidence)
        self.evidence_read.add(len(shown), cut)
        return shown

    def prompts(
        self, texts: list[str], instruction: str | None, evidence: Evidence | None
    ) -> PromptedQueries:
        """The prompts of queries; one that is too long is cut, and counted in `read`."""
        own = self.checkpoint.settings
        prompts = self.renderer.render(
            own.query, texts, own.max_query_tokens, instruction=instruction, evidence=evidence
        )
        self.read.add(len(prompts.rows), prompts.truncated)
        return PromptedQueries(texts, prompts.prefix, prompts.rows)

    def bare(
        self,
        prompted: PromptedQueries,
        batch_size: int,
        on_progress: Progress | None = None,
    ) -> Vectors:
        """Vectors (n, d) of queries without a thought."""
        if self.reader.both:
            left, right = self._halves()
            return beside(
                left.bare(prompted, batch_size, on_progress), right.bare(prompted, batch_size)
            )
        if self.reader.companion is None:
            return self.embed(prompted.prefix, prompted.rows, batch_size, on_progress)
        vectors = self.reader.companion.embed_queries(prompted.texts)
        if on_progress:
            on_progress(len(prompted.texts))
        return vectors

    def not_thinking(
        self,
        prompted: PromptedQueries,
        batch_size: int,
        checkpoints: Sequence[int],
        on_progress: Progress | None,
    ) -> list[Thought]:
        """An empty thought about each query, with the bare query's vector, also at checkpoint 0."""
        start = perf_counter()
        vectors = self.bare(prompted, batch_size, on_progress)
        seconds = perf_counter() - start
        return [
            Thought(
                "", (), "none", vector, tuple(Snapshot(n, vector, seconds) for n in checkpoints)
            )
            for vector in vectors
        ]

    def behind(
        self,
        prompted: PromptedQueries,
        thoughts: Sequence[str | Thought],
        batch_size: int,
        on_progress: Progress | None,
    ) -> Vectors:
        """Vectors (n, d) of queries after given thoughts."""
        if self.reader.both:
            left, right = self._halves()
            return beside(
                left.behind(prompted, thoughts, batch_size, on_progress),
                right.behind(prompted, thoughts, batch_size, None),
            )
        if self.reader.companion is not None:
            bare = self.bare(prompted, batch_size, on_progress)
            if self.reader.projection is not None:
                ids = [self._ids(thought) for thought in thoughts]
                rows = [[*row, *one] for row, one in zip(prompted.rows, ids, strict=True)]
                own = self.embed(prompted.prefix, rows, batch_size, None)
                return self.reader.projected(list(map(bool, ids)), bare, own)
            written = [t if isinstance(t, str) else self.decode(t.token_ids) for t in thoughts]
            return self.reader.vectors(prompted.texts, written, bare, bare)
        pairs = zip(prompted.rows, thoughts, strict=True)
        rows = [[*row, *self._ids(thought)] for row, thought in pairs]
        own = self.embed(prompted.prefix, rows, batch_size, on_progress)
        if self.reader.plain:
            return own
        bare = self.bare(prompted, batch_size)
        return self.reader.vectors(prompted.texts, [""] * len(rows), bare, own)

    def _halves(self) -> "tuple[QuerySide, QuerySide]":
        """What gives each half of the vectors; prompts and counts stay shared."""
        left, right = copy(self), copy(self)
        left.reader, right.reader = self.reader.halves
        return left, right

    def embed(
        self,
        prefix: Sequence[int],
        rows: Sequence[Sequence[int]],
        batch_size: int,
        on_progress: Progress | None,
    ) -> Vectors:
        """Vectors (n, d) at the `<emb_token>` put after each `prefix + row`."""
        ended = [[*row, self.checkpoint.emb_id] for row in rows]
        return self.encoder.encode(prefix, ended, batch_size=batch_size, on_progress=on_progress)

    def generations(
        self, prompted: PromptedQueries, plan: Plan, batch_size: int = 32
    ) -> Iterator[tuple[list[int], list[Generation]]]:
        """The engine's generations with query vectors: indices of some of the texts, and
        `plan.samples` generations for each of them."""
        sampling = self.sampling(plan.sampling)
        # Longest first, so that a prompt that does not fit fails at once.
        order = sorted(range(len(prompted.rows)), key=lambda i: -len(prompted.rows[i]))
        wanted = self.reader.needed(plan.checkpoints)
        for start in range(0, len(order), batch_size):
            places = order[start : start + batch_size]
            rows, budgets = [prompted.rows[i] for i in places], [plan.budget] * len(places)
            writing = _Writing(self.engine, prompted.prefix, rows, budgets, sampling)
            queries = [prompted.texts[i] for i in places for _ in range(plan.samples)]
            if plan.until is None:
                done, reader = writing.whole(plan.samples, wanted), self.reader
            else:
                numbers = [i * plan.samples + n for i in places for n in range(plan.samples)]
                reader = self.reader.remembering()
                watch = _Watch(reader, queries, numbers, plan.until, self.decode)
                done = writing.watched(plan.samples, wanted, watch)
            yield places, reader.read(queries, done, plan.checkpoints, self.decode)

    def think(
        self,
        prompted: PromptedQueries,
        plan: Plan,
        batch_size: int,
        on_progress: Progress | None = None,
    ) -> list[Thought]:
        """`plan.samples` consecutive thoughts for each query, with their vectors.

        Raises:
            Thought1Error: several thoughts are to be greedy, hence all the same.
        """
        samples, sampling = plan.samples, self.sampling(plan.sampling, plan.samples)
        thoughts: dict[int, list[Thought]] = {}
        plan = replace(plan, sampling=sampling)
        for places, done in self.generations(prompted, plan, max(1, batch_size // samples)):
            shown = list(map(self.thought, done))
            for number, place in enumerate(places):
                thoughts[place] = shown[number * samples : (number + 1) * samples]
            if on_progress:
                on_progress(len(places))
        return [thought for place in range(len(prompted.rows)) for thought in thoughts[place]]

    def thought(self, done: Generation) -> Thought:
        """A generation with its text."""
        text = self.decode(done.token_ids)
        return Thought(text, done.token_ids, done.finish_reason, done.vector, done.snapshots)

    def decode(self, token_ids: Sequence[int]) -> str:
        """The text of a thought."""
        return str(self.renderer.tokenizer.decode(list(token_ids), skip_special_tokens=True))

    def _ids(self, thought: str | Thought) -> Sequence[int]:
        return self.renderer.text([thought])[0] if isinstance(thought, str) else thought.token_ids
