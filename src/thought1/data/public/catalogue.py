"""Which training sets there are: where their originals are and what they are converted to.

Reads catalogue.toml, which explains its own keys. Knows neither the network nor the conversions.
"""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from thought1.types import Thought1Error

CATALOGUE = Path(__file__).with_name("catalogue.toml")


@dataclass(frozen=True, slots=True)
class Original:
    """A file at a public home."""

    name: str
    """Its place below the folder of originals."""
    address: str
    max_bytes: int
    """What is larger is refused."""
    sha256: str = ""
    """"" where the hashes of the results have to do."""


@dataclass(frozen=True, slots=True)
class PublicSet:
    """A training set: its originals, and the SHA-256 of each file that is made of them."""

    name: str
    title: str
    licence: str
    home: str
    converter: str
    checked: str
    """How far the conversion has been compared with originals, for the user."""
    originals: tuple[Original, ...]
    results: Mapping[str, str]


def load_catalogue() -> dict[str, PublicSet]:
    """Name -> set, in the order of the file."""
    tables = tomllib.loads(CATALOGUE.read_text(encoding="utf-8"))["set"]
    return {table["name"]: _public_set(table) for table in tables}


def choose(names: Sequence[str], catalogue: Mapping[str, PublicSet]) -> list[PublicSet]:
    """The sets of these names, each once; `all` is every set.

    Raises:
        Thought1Error: there is no set of that name.
    """
    for name in names:
        if name not in catalogue and name != "all":
            known = ", ".join(catalogue)
            raise Thought1Error(f"there is no training set named {name!r}; known: {known}, all")
    if "all" in names:
        return list(catalogue.values())
    return [catalogue[name] for name in dict.fromkeys(names)]


def _public_set(table: Mapping[str, Any]) -> PublicSet:
    return PublicSet(
        name=table["name"],
        title=table["title"],
        licence=table["licence"],
        home=table["home"],
        converter=table["converter"],
        checked=" ".join(table["checked"].split()),
        originals=tuple(o for source in table["sources"] for o in _originals(source)),
        results=table["results"],
    )


def _originals(source: Mapping[str, Any]) -> Iterator[Original]:
    folder = source.get("folder", "")
    for name in source["names"]:
        yield Original(
            name=f"{folder}/{name}" if folder else name,
            address=source["address"].replace("{name}", quote(name)),
            max_bytes=source["max_mib"] * 2**20,
            sha256=source.get("sha256", ""),
        )
