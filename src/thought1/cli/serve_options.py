"""The options of `t1 serve`; what they set is described in docs/deployment.md."""

from pathlib import Path
from typing import Annotated

import typer

Indexes = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[NAME=]DIR...", help="Folders of indexes; by default named as their folders."
    ),
]
Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="Settings in TOML; flags and T1_SERVE_* variables win over it (docs/deployment.md).",
    ),
]
Host = Annotated[
    str | None,
    typer.Option("--host", metavar="ADDRESS", help="Address to listen on; 127.0.0.1 by default."),
]
Port = Annotated[
    int | None,
    typer.Option(
        "--port", min=0, max=65535, metavar="N", help="0 takes a free one; 8000 by default."
    ),
]
Tokens = Annotated[
    Path | None,
    typer.Option(
        "--tokens", metavar="FILE", help="Accept only these tokens; `t1 tokens add` makes one."
    ),
]
AllowHost = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-host",
        metavar="NAME",
        help="A host name by which clients call the server. May be repeated.",
    ),
]
NoToken = Annotated[
    bool,
    typer.Option(
        "--no-token", help="Let whoever reaches an address beyond loopback read and write."
    ),
]
SiteFolder = Annotated[
    Path | None,
    typer.Option(
        "--site",
        metavar="FOLDER",
        help="Serve the pages of a folder below /docs/, to everybody who reaches the server.",
    ),
]
MaxBatch = Annotated[
    int | None,
    typer.Option(
        "--max-batch", metavar="N", help="Thoughts that are written together at most; 32."
    ),
]
MaxRequests = Annotated[
    int | None,
    typer.Option("--max-requests", metavar="N", help="Requests at a time, 128; beyond it, 429."),
]
MaxThink = Annotated[
    int | None,
    typer.Option("--max-think", metavar="N", help="Most tokens of a thought in a request; 512."),
]
Timeout = Annotated[
    float | None,
    typer.Option(
        "--timeout", metavar="SECONDS", help="How long a request may take, 120; beyond it, 504."
    ),
]
Rerankers = Annotated[
    list[str] | None,
    typer.Option(
        "--rerank",
        metavar="[NAME=]RERANKER",
        help="A reranker that requests may name, as of t1 search --rerank; by default it goes by "
        "its first word, such as cross-encoder. May be repeated.",
    ),
]
Thinkers = Annotated[
    list[str] | None,
    typer.Option(
        "--thinker",
        metavar="[NAME=]openai:URL#MODEL",
        help="A chat model that requests may let write the thoughts; by default it goes by the "
        "name openai. May be repeated.",
    ),
]
LogRequests = Annotated[
    bool | None,
    typer.Option("--log-requests/--no-log-requests", help="A line on stderr for each request."),
]
LogFormat = Annotated[
    str | None,
    typer.Option("--log-format", metavar="text|json", help="Lines of the log; text by default."),
]
