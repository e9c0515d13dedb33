"""The list of commands, and how `t1` ends.

Exit codes: 0 done; 1 an unexpected failure, or the output was closed; 2 the user's
input or set-up is wrong; 130 interrupted. With T1_DEBUG=1 an error shows its traceback.
"""

import io
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated

import typer

from thought1 import __version__
from thought1.cli.bright import bright
from thought1.cli.calibrate import calibrate
from thought1.cli.command import Command
from thought1.cli.compare import compare
from thought1.cli.console import note, warnings_on_stderr
from thought1.cli.data import data
from thought1.cli.delete import delete
from thought1.cli.embed import embed
from thought1.cli.env import env
from thought1.cli.evaluate import evaluate
from thought1.cli.export import export
from thought1.cli.index import index
from thought1.cli.leaderboard import leaderboard
from thought1.cli.mcp import mcp
from thought1.cli.model_list import models
from thought1.cli.replay import replay
from thought1.cli.report import report
from thought1.cli.rewards import rewards
from thought1.cli.score import score
from thought1.cli.search import search
from thought1.cli.serve import serve
from thought1.cli.think import think
from thought1.cli.tokens import tokens
from thought1.cli.train import train
from thought1.cli.worlds import worlds
from thought1.types import Thought1Error

app = typer.Typer(
    name="t1",
    help="Thought 1: retrieval with a language model that thinks before it embeds the query.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command(cls=Command)(index)
app.command(cls=Command)(delete)
app.command(cls=Command)(search)
app.command(cls=Command)(calibrate)
app.command(cls=Command)(serve)
app.command(cls=Command)(think)
app.command(cls=Command)(embed)
app.command(cls=Command)(mcp)
app.command(cls=Command)(train)
app.command(cls=Command)(evaluate)
app.command(cls=Command)(replay)
app.command(cls=Command)(score)
app.command(cls=Command)(compare)
app.command(cls=Command)(bright)
app.command(cls=Command)(leaderboard)
app.command(cls=Command)(report)
app.command(cls=Command)(rewards)
app.add_typer(export, name="export")
app.add_typer(data, name="data")
app.add_typer(models, name="models")
app.add_typer(tokens, name="tokens")
app.command(cls=Command)(worlds)
app.command(cls=Command)(env)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"thought1 {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Runs before every command; `--version` has been handled by then."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `t1` and return its exit code.

    Args:
        arguments: what follows the program's name; None takes it from the command line.
    """
    os.environ.setdefault("LANCEDB_LOG", "error")  # read when lancedb is imported
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A character that the terminal's encoding lacks must not end a search.
        sys.stdout.reconfigure(errors="replace")
    with warnings_on_stderr():
        code = _run(arguments)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        # Else the interpreter complains when it flushes once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code


def _run(arguments: Sequence[str] | None) -> int:
    try:
        app(arguments, prog_name="t1")
    except SystemExit as end:  # always: typer ends this way, and quietly after a broken pipe
        if end.code == 130:
            note("interrupted")
        return end.code if isinstance(end.code, int) else 0
    except Exception as error:
        if os.environ.get("T1_DEBUG"):
            traceback.print_exc()
        if isinstance(error, Thought1Error):
            note(f"error: {error}")
            return 2
        note(f"error: unexpected {type(error).__name__}: {error} (T1_DEBUG=1 shows where)")
        return 1
    return 0
