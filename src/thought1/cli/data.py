"""`t1 data`: the training sets, from their public homes.

Knows what to print, not how a set is fetched or made:

    t1 data list
    t1 data get strategyqa cot_flan --to data
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from thought1.cli.command import Command
from thought1.cli.console import note, print_json, print_text, progress
from thought1.cli.options import Json
from thought1.types import Thought1Error

if TYPE_CHECKING:
    from thought1.data.public.build import BuildOutcome
    from thought1.data.public.catalogue import PublicSet

data = typer.Typer(
    no_args_is_help=True, help="Download the training sets from their original servers."
)


@data.command("list")
def list_sets(as_json: Json = False) -> None:
    """The training sets, their licences and sources."""
    from rich.console import Console
    from rich.table import Table

    from thought1.data.public.catalogue import load_catalogue

    sets = load_catalogue().values()
    if as_json:
        print_json([_as_data(public) for public in sets])
        return
    table = Table(box=None, pad_edge=False)
    for column in ("name", "what", "licence", "home"):
        table.add_column(column, overflow="fold")
    for public in sets:
        table.add_row(public.name, public.title, public.licence, public.home)
    Console().print(table)


@data.command(cls=Command)
def get(
    names: Annotated[
        list[str], typer.Argument(metavar="NAME", help="See `t1 data list`; all selects every set.")
    ],
    to: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Folder in which each set gets its own folder.")
    ] = Path("data"),
    mirror: Annotated[
        str,
        typer.Option(
            metavar="URL", help="Address of a mirror, by host and path, as made by wget --mirror."
        ),
    ] = "",
    accept_changed: Annotated[
        bool,
        typer.Option(
            "--accept-changed",
            help="Accept a set although its files differ from those used in training.",
        ),
    ] = False,
) -> None:
    """Download training sets, convert them, and check every file's hash."""
    from thought1.data.outputs import check_folder
    from thought1.data.public.catalogue import choose, load_catalogue

    chosen = choose(names, load_catalogue())
    check_folder(to)
    failed = []
    for public in chosen:
        try:
            _get(public, to, mirror, accept_changed)
        except Thought1Error as error:
            if len(chosen) == 1:
                raise
            note(f"{public.name}: {error}")
            failed.append(public.name)
    if failed:
        raise Thought1Error(f"not written, see above: {', '.join(failed)}")


def _get(public: "PublicSet", to: Path, mirror: str, accept_changed: bool) -> None:
    from thought1.data.public.build import get_set
    from thought1.data.public.download import Downloads

    with progress(public.name, None, "bytes") as bar:
        downloads = Downloads(mirror=mirror, progress=bar.update)
        outcome = get_set(public, to, downloads, accept_changed)
    if outcome.state == "already there":
        but = ", though not the files that were trained on" if outcome.differing else ""
        print_text(f"{outcome.folder}: already there{but}")
        return
    note(f"{public.name}: {public.licence}; {public.checked}")
    if outcome.state == "made":
        print_text(f"{outcome.folder}: made from {public.home}, every hash as expected")
        return
    problem = _problem(public, outcome)
    if outcome.state == "changed":
        raise Thought1Error(
            f"{problem}; kept in {outcome.folder}, and --accept-changed puts it in place"
        )
    note(f"warning: {problem}")
    print_text(f"{outcome.folder}: made from {public.home}, not the files that were trained on")


def _problem(public: "PublicSet", outcome: "BuildOutcome") -> str:
    return (
        f"not the {public.name} that was trained on ({', '.join(outcome.differing)}): upstream has "
        "changed, or the conversion is not the same"
    )


def _as_data(public: "PublicSet") -> dict[str, object]:
    return {
        "name": public.name,
        "title": public.title,
        "licence": public.licence,
        "home": public.home,
        "checked": public.checked,
        "files": dict(public.results),
    }
