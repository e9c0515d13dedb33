"""Times of several candidates in one run, in turn, so that a busy machine disturbs all alike.

It knows callables and clocks, nothing of what they run.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from statistics import median

Candidates = Mapping[str, Callable[[], object]]


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds of each repeat. Processor time does not count while others have the processor."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def add(self, run: Callable[[], object]) -> None:
        """Run once, and keep how long it took."""
        wall, cpu = time.perf_counter(), time.process_time()
        run()
        self.cpu.append(time.process_time() - cpu)
        self.wall.append(time.perf_counter() - wall)


@dataclass(frozen=True, slots=True)
class Spread:
    """Median, smallest and largest value over the repeats."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: list[float]) -> "Spread":
        """The spread of at least one value."""
        return cls(median(values), min(values), max(values))

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.low:.2f}-{self.high:.2f})"


@dataclass(frozen=True, slots=True)
class Comparison:
    """How many times faster one candidate is than another, repeat by repeat."""

    cpu: Spread
    wall: Spread

    @classmethod
    def of(cls, ours: Times, peer: Times) -> "Comparison":
        """Both must have been measured in turn."""

        def ratios(slow: list[float], fast: list[float]) -> Spread:
            return Spread.of([a / b for a, b in zip(slow, fast, strict=True)])

        return cls(ratios(peer.cpu, ours.cpu), ratios(peer.wall, ours.wall))


def interleaved(candidates: Candidates, repeats: int) -> dict[str, Times]:
    """Times of all candidates, each run `repeats` times, in turn.

    Every other round goes backwards, so that no candidate always follows the same one.
    """
    times = {name: Times() for name in candidates}
    for number in range(repeats):
        for name in list(candidates)[:: 1 if number % 2 == 0 else -1]:
            times[name].add(candidates[name])
    return times


def fastest(run: Callable[[], object], repeats: int) -> float:
    """The smallest processor time over some repeats, in seconds."""
    return min(interleaved({"": run}, repeats)[""].cpu)
