"""What is left when a stream of steps has been consumed. It knows no model and no tensor."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from thought1.contracts import RunningBatch
from thought1.types import Generation, Snapshot, Step, Vectors

Watch = Callable[[int, Mapping[int, Generation]], Collection[int]]
"""Called where snapshots were read: with the number of tokens, and what each row that thinks on has
written by then, its vector and the snapshots before. Returns the rows whose thoughts end there."""


class _Collector:
    """Takes the steps of one batch."""

    def __init__(self) -> None:
        self.done: dict[int, Generation] = {}
        self.read: dict[int, dict[int, Vectors]] = {}
        """Number of tokens -> row -> vector."""
        self.seconds: dict[int, float] = {}
        self.whole = 0.0
        self._written: dict[int, list[int]] = {}

    def take(self, step: Step) -> None:
        self.done.update(step.finished)
        self.whole = step.seconds
        for row, token in step.tokens.items():
            self._written.setdefault(row, []).append(token)
        for row, snapshot in step.snapshots.items():
            self.read.setdefault(snapshot.budget, {})[row] = snapshot.vector
            self.seconds[snapshot.budget] = snapshot.seconds

    def so_far(self, step: Step) -> dict[int, Generation]:
        """What the rows that think on are if they end at the snapshot that they have just got."""
        return {
            row: Generation(
                tuple(self._written[row][: shot.budget]),
                "settled",
                shot.vector,
                snapshots=tuple(self.at(row, n) for n in sorted(self.read) if row in self.read[n]),
            )
            for row, shot in step.snapshots.items()
            if row in step.tokens
        }

    def at(self, row: int, length: int) -> Snapshot:
        ended = row in self.done and len(self.done[row].token_ids) <= length
        vector = self.done[row].vector if ended else self.read[length][row]
        return Snapshot(length, vector, self.seconds.get(length, self.whole))


def collected(steps: Iterable[Step], lengths: Sequence[int] = ()) -> list[Generation]:
    """The generations of all rows, in their order, each with its snapshots at `lengths`.

    A thought that ended before a length has its final vector there. The time of a length that the
    batch never reached is that of the whole batch.
    """
    found = _Collector()
    for step in steps:
        found.take(step)
    return _finished(found, lengths)


def watched(batch: RunningBatch, lengths: Sequence[int], watch: Watch) -> list[Generation]:
    """`collected` from a batch of rows that have just joined, with snapshots at `lengths` requested
    for; thoughts may end at each of them, as "settled"."""
    found = _Collector()
    while batch.size:
        step = batch.step()
        found.take(step)
        if step.snapshots:
            so_far = found.so_far(step)
            ending = watch(next(iter(step.snapshots.values())).budget, so_far)
            found.done.update({row: so_far[row] for row in ending})
            batch.leave(list(ending))
    return _finished(found, lengths)


def _finished(found: _Collector, lengths: Sequence[int]) -> list[Generation]:
    order = sorted(set(lengths))
    return [
        replace(found.done[row], snapshots=tuple(found.at(row, length) for length in order))
        for row in sorted(found.done)
    ]
