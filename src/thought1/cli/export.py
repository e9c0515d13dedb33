"""`t1 export`: a model in the formats of other libraries.

One command for each format:

    t1 export sentence-transformers --model models/t1-nano -o exported
"""

from pathlib import Path
from typing import Annotated

import typer

from thought1.cli.command import Command
from thought1.cli.console import print_text
from thought1.cli.models import load_model
from thought1.cli.options import BundledModel, TrustRemoteCode

export = typer.Typer(no_args_is_help=True, help="Save a model for another library.")


@export.callback()
def _root() -> None:
    """Keeps the format's name a subcommand, although there is only one."""


@export.command("sentence-transformers", cls=Command)
def sentence_transformers(
    *,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder of the exported model.")
    ],
    model: BundledModel = None,
    trust_remote_code: TrustRemoteCode = False,
) -> None:
    """A folder for SentenceTransformer: documents, and queries without a thought."""
    from thought1.data.outputs import check_folder
    from thought1.export import check_target, export_sentence_transformers

    check_target(output)
    check_folder(output)
    export_sentence_transformers(load_model(model, trust_remote_code), output)
    print_text(f"{output}: exported for sentence-transformers")
