"""What is left when a stream of steps has been consumed. It knows no model and no tensor."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from thought1.types import Generation, Snapshot, Step, Vectors


def collected(steps: Iterable[Step], lengths: Sequence[int] = ()) -> list[Generation]:
    """The generations of all rows, in their order, each with its snapshots at `lengths`.

    A thought that ended before a length has its final vector there. The time of a length that the
    batch never reached is that of the whole batch.
    """
    done: dict[int, Generation] = {}
    read: dict[int, dict[int, Vectors]] = {}
    seconds: dict[int, float] = {}
    whole = 0.0
    for step in steps:
        done.update(step.finished)
        whole = step.seconds
        for row, snapshot in step.snapshots.items():
            read.setdefault(snapshot.budget, {})[row] = snapshot.vector
            seconds[snapshot.budget] = snapshot.seconds

    def at(row: int, length: int) -> Snapshot:
        ended = len(done[row].token_ids) <= length
        vector = done[row].vector if ended else read[length][row]
        return Snapshot(length, vector, seconds.get(length, whole))

    order = sorted(set(lengths))
    return [
        replace(done[row], snapshots=tuple(at(row, length) for length in order))
        for row in sorted(done)
    ]
