"""`t1 delete`: documents leave an index.

Knows ids and the names of source files; how they are removed is the library's:

    t1 delete notes.index old-note "guide/install.md#3"
    t1 delete notes.index --source guide/install.md
"""

from pathlib import Path
from typing import Annotated

import typer

from thought1.cli.console import print_text
from thought1.cli.models import open_without_model
from thought1.types import Thought1Error


def delete(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the index.")],
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="ID...", help="Ids of the documents.")
    ] = None,
    source: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE",
            help="All passages of a text file, by their `source`: notes/ice.md. May be repeated.",
        ),
    ] = None,
) -> None:
    """Remove documents from an index, by id or by source file.

    Missing ids are counted; it is an error only if none of them exists.
    """
    if not ids and not source:
        raise Thought1Error("name the ids of documents to delete, or a file with --source")
    index = open_without_model(folder)
    named = list(dict.fromkeys(ids or []))
    wanted = set(source or [])
    passages = {
        identifier: metadata["source"]
        for identifier, metadata in (index.metadata().items() if wanted else ())
        if metadata.get("source") in wanted
    }
    removed = index.delete([*named, *passages])
    unknown = len(set(named) - passages.keys()) - (removed - len(passages))
    unknown += len(wanted - set(passages.values()))
    if not removed:
        raise Thought1Error(
            f"none of them is in the index at {folder}, which has {len(index)} documents"
        )
    print_text(f"{folder}: {removed} deleted, {unknown} not there; {len(index)} documents left")
