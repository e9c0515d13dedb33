"""`t1 tokens`: who may ask a server, and who may change its documents.

t1 tokens add tokens.json laptop
t1 tokens add tokens.json nightly-import --scope write
t1 tokens list tokens.json
t1 tokens remove tokens.json laptop
"""

from pathlib import Path
from typing import Annotated, Literal

import typer

from thought1.cli.command import Command
from thought1.cli.console import note, plain, print_json, print_text
from thought1.cli.options import Json

tokens = typer.Typer(
    name="tokens",
    help="Create, list or remove the tokens that a server accepts.",
    no_args_is_help=True,
)

File = Annotated[
    Path, typer.Argument(metavar="FILE", help="The token file, which only contains hashes.")
]
Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the token in the file.")]
TokenScope = Annotated[
    Literal["read", "write"],
    typer.Option("--scope", help="read: search, embed and rerank; write: change documents too."),
]


@tokens.command(cls=Command)
def add(file: File, name: Name, scope: TokenScope = "read", as_json: Json = False) -> None:
    """Create a token and print it once: the file only contains its hash."""
    from thought1.serving.tokens import add_token

    token = add_token(file, name, scope)
    note(f"{scope} token {plain(name)!r}, shown only now: only its hash is in {file}")
    if as_json:
        print_json({"name": name, "scope": scope, "token": token})
    else:
        print_text(token)


@tokens.command("list", cls=Command)
def list_tokens(file: File, as_json: Json = False) -> None:
    """List names, scopes and dates of the tokens in a file."""
    from thought1.serving.tokens import read_entries

    entries = read_entries(file)
    if as_json:
        rows = [{"name": e.name, "scope": e.scope, "created": e.created} for e in entries]
        print_json({"tokens": rows})
        return
    for entry in entries:
        print_text(f"{plain(entry.name)}\t{entry.scope}\t{entry.created}")


@tokens.command(cls=Command)
def remove(file: File, name: Name) -> None:
    """Remove a token: a running server no longer accepts it."""
    from thought1.serving.tokens import remove_token

    remove_token(file, name)
    print_text(f"{plain(name)} removed")
