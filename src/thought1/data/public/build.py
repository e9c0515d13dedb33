"""A training set from its public home: fetch, convert, compare, put in place.

Knows the steps, not how a set is converted. A set appears whole or not at all: it is made in a
temporary folder next to the target, which is renamed at the end and always removed.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from thought1.data.public import entailmentbank, textbooks, wordnet
from thought1.data.public.catalogue import PublicSet
from thought1.data.public.download import Downloads, fetch_all
from thought1.data.public.files import content_hash
from thought1.types import Thought1Error

Converter = Callable[[Path, Path, PublicSet], None]
"""Makes the set's files in the second folder from the originals in the first."""


def _copy(originals: Path, target: Path, public: PublicSet) -> None:
    for original in public.originals:
        os.replace(originals / original.name, target / original.name)


def _names(public: PublicSet) -> list[str]:
    return [original.name for original in public.originals]


CONVERTERS: Mapping[str, Converter] = {
    "copy": _copy,
    "entailmentbank": lambda originals, target, _: entailmentbank.convert(originals, target),
    "openstax": lambda originals, target, public: textbooks.convert_openstax(
        originals, target, _names(public)
    ),
    "wordnet": lambda originals, target, _: wordnet.convert(originals, target),
    "books": lambda originals, target, public: textbooks.convert_books(
        originals, target, _names(public)
    ),
}


@dataclass(frozen=True, slots=True)
class BuildOutcome:
    """What became of a set."""

    state: Literal["already there", "made", "changed", "accepted"]
    """changed: kept aside in `folder`; accepted: put in its place although it differs."""
    folder: Path
    differing: tuple[str, ...] = ()
    """The files, originals among them, whose hashes are not those of the catalogue."""


def get_set(
    public: PublicSet, to: Path, downloads: Downloads, accept_changed: bool = False
) -> BuildOutcome:
    """Make the folder TO/NAME, unless it exists with the right hashes.

    With other hashes than the catalogue's it becomes TO/NAME.changed instead; `accept_changed`
    puts it in place anyway, and accepts an existing folder as the set if no file is missing.

    Raises:
        Thought1Error: something else is in the place, an original cannot be had or has another
            form, or nothing can be written.
    """
    place = to / public.name
    try:
        if place.exists():
            return BuildOutcome(
                "already there", place, _check_present(public, place, accept_changed)
            )
        to.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{public.name}.", suffix=".part", dir=to))
        try:
            return _make(public, place, work, downloads, accept_changed)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    except OSError as error:
        raise Thought1Error(f"{place} cannot be written: {error.strerror or error}") from error


def _check_present(public: PublicSet, place: Path, accept_changed: bool) -> tuple[str, ...]:
    differing = _differing(public, place)
    complete = all((place / name).is_file() for name in public.results)
    if differing and not (accept_changed and complete):
        raise Thought1Error(
            f"{place} exists, but not with the files of {public.name} ({differing[0]} differs): "
            "move it away, or choose another folder to put it in"
        )
    return differing


def _make(
    public: PublicSet, place: Path, work: Path, downloads: Downloads, accept_changed: bool
) -> BuildOutcome:
    originals, made = work / "originals", work / "made"
    originals.mkdir()
    made.mkdir()
    fetch_all(public.originals, originals, downloads)
    known = [original for original in public.originals if original.sha256]
    changed = [o.name for o in known if content_hash(originals / o.name) != o.sha256]
    _convert(public, originals, made)
    differing = (*changed, *_differing(public, made))
    aside = place.with_name(f"{public.name}.changed")
    shutil.rmtree(aside, ignore_errors=True)
    if not differing or accept_changed:
        os.replace(made, place)
        return BuildOutcome("accepted" if differing else "made", place, differing)
    os.replace(made, aside)
    return BuildOutcome("changed", aside, differing)


def _convert(public: PublicSet, originals: Path, made: Path) -> None:
    try:
        CONVERTERS[public.converter](originals, made, public)
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        raise Thought1Error(
            f"the originals of {public.name} have another form than the conversion knows "
            f"({type(error).__name__}: {error}): upstream has changed"
        ) from error


def _differing(public: PublicSet, folder: Path) -> tuple[str, ...]:
    """The files of the catalogue that are missing in `folder` or have another hash."""
    return tuple(
        name
        for name, sha256 in public.results.items()
        if not (folder / name).is_file() or content_hash(folder / name) != sha256
    )
