"""Open English WordNet as JSON lines: a synset a line, without its relations except hypernyms.

Original: the release's zip of JSON files; a file for each lexicographer file (noun.animal.json)
holds synsets by id, others hold the entries, which are not read.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from thought1.data.public.files import read_archive, write_json_lines

_ARCHIVE = "english-wordnet-2025-json.zip"
_MAX_BYTES = 64 * 2**20
_KINDS = ("adj.", "adv.", "noun.", "verb.")


def convert(originals: Path, target: Path) -> None:
    """Write the synsets, by lexicographer file and id."""
    rows = _rows(originals / _ARCHIVE)
    write_json_lines(target / "synsets.jsonl.gz", rows, ensure_ascii=False)


def _rows(archive: Path) -> Iterator[dict[str, Any]]:
    for name, content in read_archive(archive, _MAX_BYTES):
        if PurePosixPath(name).name.startswith(_KINDS) and name.endswith(".json"):
            synsets: Mapping[str, Mapping[str, Any]] = json.loads(content)
            for synset_id in sorted(synsets):
                yield _row(synset_id, synsets[synset_id])


def _row(synset_id: str, synset: Mapping[str, Any]) -> dict[str, Any]:
    examples = [e if isinstance(e, str) else e["text"] for e in synset.get("example", [])]
    return {
        "id": synset_id,
        "members": synset["members"],
        "pos": synset["partOfSpeech"],
        "definition": "; ".join(synset["definition"]),
        "examples": examples,
        "hypernyms": synset.get("hypernym", []),
    }
