"""Published results as data: read, averaged again, and flagged where they cannot be right.

Knows the format of `benchmarks/bright.yaml` (its head says what a row is), and neither how a table
is printed nor how a figure is computed. What cannot be read is an error; what can be read and
cannot be right is a flag, because it was published so.
"""

import math
from collections import Counter
from collections.abc import Hashable, Mapping, Set
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import yaml

from thought1.moved import moved_names
from thought1.types import Thought1Error

__getattr__ = moved_names(__name__)

TOLERANCE = Decimal("0.1")
"""Between a stated average and the mean of its row. Each figure is rounded to one
decimal, so their mean is within 0.05 of the true mean; the stated average is rounded as well,
which is another 0.05. A larger difference is not rounding."""

_ROW = {"system", "track", "source", "published", "average", "ours", "command"}


@dataclass(frozen=True, slots=True)
class LeaderboardTrack:
    """Comparable rows."""

    title: str
    metric: str
    subsets: Mapping[str, str]
    """Subset -> heading of its column."""


@dataclass(frozen=True, slots=True)
class PublishedSource:
    """Where figures are published."""

    title: str
    url: str


@dataclass(frozen=True, slots=True)
class PublishedRow:
    """One system; figures are percentages as printed in the source."""

    system: str
    track: str
    source: PublishedSource
    published: Mapping[str, float] | None
    """Subset -> figure; None if only the average is known."""
    average: float
    ours: float | None
    command: str | None
    note: str = ""
    flags: tuple[str, ...] = ()
    """What cannot be right, in words."""

    def mean(self, track: LeaderboardTrack) -> Decimal | None:
        """Of the figures of all subsets, exactly; None if one is missing."""
        if self.published is None or self.published.keys() != track.subsets.keys():
            return None
        return sum(map(_exact, self.published.values()), Decimal(0)) / len(self.published)


@dataclass(frozen=True, slots=True)
class Leaderboard:
    """The content of a file."""

    benchmark: str
    tracks: Mapping[str, LeaderboardTrack]
    rows: tuple[PublishedRow, ...]

    def ranked(self, track: str) -> list[PublishedRow]:
        """The rows of a track, highest stated average first; ties by name.

        Raises:
            Thought1Error: no such track.
        """
        if track not in self.tracks:
            raise Thought1Error(f"there is no track {track!r}; known: {', '.join(self.tracks)}")
        rows = [row for row in self.rows if row.track == track]
        return sorted(rows, key=lambda row: (-row.average, row.system))


def default_file() -> Path:
    """BRIGHT's results: inside the installed package, or in a checkout of the repository.

    Raises:
        Thought1Error: neither has them.
    """
    package = Path(__file__).parents[1]
    for folder in (package / "benchmarks", package.parents[1] / "benchmarks"):
        if (folder / "bright.yaml").is_file():
            return folder / "bright.yaml"
    raise Thought1Error("this installation does not include bright.yaml: name a file of results")


def one_decimal(value: Decimal | float) -> str:
    """As tables print it; 0.05 is rounded up."""
    return str(_exact(value).quantize(Decimal("0.1"), ROUND_HALF_UP))


def read_leaderboard(path: Path) -> Leaderboard:
    """Read a file, average every row again, and flag what cannot be right.

    Raises:
        Thought1Error: the file cannot be read or a row is malformed; the message names it.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # a SafeLoader
    except (OSError, UnicodeDecodeError) as error:
        raise Thought1Error(f"{path} cannot be read: {error}") from None
    except yaml.YAMLError as error:
        raise Thought1Error(f"{path} is not valid YAML: {error}") from None
    where = str(path)
    _check_keys(content, {"benchmark", "tracks", "sources", "rows"}, where)
    tracks = {
        name: _read_track(track, f"{where}: track {name!r}")
        for name, track in _mapping(content["tracks"], f"{where}: tracks").items()
    }
    sources = {
        name: _read_source(source, f"{where}: source {name!r}")
        for name, source in _mapping(content["sources"], f"{where}: sources").items()
    }
    if not isinstance(content["rows"], list):
        raise Thought1Error(f"{where}: rows must be a list")
    rows = [
        _read_row(row, tracks, sources, f"{where}: row {number}")
        for number, row in enumerate(content["rows"], start=1)
    ]
    times = Counter((row.track, row.system) for row in rows)
    flagged = tuple(_flagged(row, tracks[row.track], times[row.track, row.system]) for row in rows)
    return Leaderboard(_text(content["benchmark"], f"{where}: benchmark"), tracks, flagged)


def _flagged(row: PublishedRow, track: LeaderboardTrack, times: int) -> PublishedRow:
    flags = []
    if times > 1:
        flags.append(f"listed {times} times in this track")
    figures = {**(row.published or {}), "average": row.average}
    for name, figure in figures.items():
        if not 0 <= figure <= 100:
            flags.append(f"{name} is {figure:g}, not between 0 and 100")
    missing = [] if row.published is None else [s for s in track.subsets if s not in row.published]
    if missing:
        flags.append(f"lacks {', '.join(missing)}: not averaged again")
    mean = row.mean(track)
    if mean is not None and abs(mean - _exact(row.average)) > TOLERANCE:
        flags.append(f"states the average {row.average:g}, but its figures give {mean:.2f}")
    return replace(row, flags=tuple(flags))


def _read_track(content: Any, where: str) -> LeaderboardTrack:
    _check_keys(content, {"title", "metric", "subsets"}, where)
    subsets = _mapping(content["subsets"], f"{where}: subsets")
    headings = {name: _text(title, f"{where}: subset {name!r}") for name, title in subsets.items()}
    return LeaderboardTrack(
        _text(content["title"], where), _text(content["metric"], where), headings
    )


def _read_source(content: Any, where: str) -> PublishedSource:
    _check_keys(content, {"title", "url"}, where)
    return PublishedSource(_text(content["title"], where), _text(content["url"], where))


def _read_row(
    content: Any,
    tracks: Mapping[str, LeaderboardTrack],
    sources: Mapping[str, PublishedSource],
    where: str,
) -> PublishedRow:
    if isinstance(content, dict) and isinstance(content.get("system"), str):
        where = f"{where} ({content['system']})"
    _check_keys(content, _ROW, where, optional={"note"})
    for key, known in (("track", tracks), ("source", sources)):
        if content[key] not in known:
            names = ", ".join(known)
            raise Thought1Error(f"{where}: {key} {content[key]!r} is not one of: {names}")
    published = content["published"]
    if published is not None:
        _check_keys(published, set(), where, optional=set(tracks[content["track"]].subsets))
        published = {name: _number(value, f"{where}: {name}") for name, value in published.items()}
    ours, command = content["ours"], content["command"]
    return PublishedRow(
        system=_text(content["system"], where),
        track=content["track"],
        source=sources[content["source"]],
        published=published,
        average=_number(content["average"], f"{where}: average"),
        ours=None if ours is None else _number(ours, f"{where}: ours"),
        command=None if command is None else _text(command, f"{where}: command"),
        note=_text(content.get("note", ""), f"{where}: note"),
    )


def _check_keys(
    content: Any, needed: set[str], where: str, optional: Set[str] = frozenset()
) -> None:
    keys = _mapping(content, where).keys()
    if missing := sorted(needed - keys):
        raise Thought1Error(f"{where} lacks {', '.join(missing)}")
    if unknown := sorted(map(str, keys - needed - optional)):
        known = ", ".join(sorted(needed | optional))
        raise Thought1Error(f"{where} has {', '.join(unknown)}, which is unknown; known: {known}")


def _mapping(content: Any, where: str) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise Thought1Error(f"{where} must be a mapping of names to values")
    return content


def _text(content: Any, where: str) -> str:
    if not isinstance(content, str):
        raise Thought1Error(f"{where} must be text, not {content!r}")
    return content


def _number(content: Any, where: str) -> float:
    if isinstance(content, bool) or not isinstance(content, int | float):
        raise Thought1Error(f"{where} must be a number, not {content!r}")
    if not math.isfinite(content):
        raise Thought1Error(f"{where} must be a finite number, not {content!r}")
    return float(content)


def _exact(value: Decimal | float) -> Decimal:
    """The number that is printed: 0.1 is a tenth."""
    return value if isinstance(value, Decimal) else Decimal(str(value))


class _Loader(yaml.SafeLoader):  # type: ignore[misc] # yaml has no types
    """A SafeLoader that refuses a key that is given twice, where YAML would keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        found: dict[Hashable, Any] = super().construct_mapping(node, deep=deep)
        for key, times in Counter(keys).items():
            if times > 1:
                raise yaml.constructor.ConstructorError(
                    None, None, f"{key!r} is given {times} times", node.start_mark
                )
        return found
