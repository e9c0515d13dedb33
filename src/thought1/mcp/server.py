"""The tools search, think and fetch over one index, as a Model Context Protocol server.

It only reads: no tool changes the index, and no argument of a tool reaches the file system. It
knows an index and its model; transports are the business of `mcp` itself and of `http`.

    tools_server(index, model).run("stdio")
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import Annotated, Any

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import ToolAnnotations
from pydantic import Field

from thought1 import __version__
from thought1.index import Index
from thought1.mcp.answers import Fetched, SearchAnswer, Written
from thought1.search.options import Mode, SearchOptions
from thought1.t1 import T1
from thought1.types import Thought1Error

MAX_QUERY_CHARS = 8_000
"""Longest question; the model reads its first tokens, BM25 all of it."""
MAX_K = 100
"""Most hits of one search."""
MAX_THINK = 1_024
"""Most tokens of one thought."""
SNIPPET_CHARS = 600
"""Characters of each hit that a search shows by default."""
MAX_CHARS = 20_000
"""Most characters of a document in one answer."""
USUAL_THOUGHT = 64
"""Tokens of a thought of `think` by a model whose own budget is 0."""

INSTRUCTIONS = (
    "Searches one collection of documents. `search` first: a question in plain language finds "
    "documents that help to answer it, also where they share no word with it, because the model "
    "thinks about the question before it searches. Hits show the beginning of each document; "
    "`fetch` reads the whole of one. `think` shows what the model thinks about a question."
)

Question = Annotated[
    str,
    Field(min_length=1, max_length=MAX_QUERY_CHARS, description="A question in plain language."),
]
Budget = Annotated[
    int | None,
    Field(
        ge=0,
        le=MAX_THINK,
        description="Most tokens of the thought; leave it out for the model's own, 0 is quicker.",
    ),
]
Where = Annotated[
    dict[str, Any] | None,
    Field(
        description="Conditions on metadata, all of which must hold: "
        '{"lang": "en", "year": {"gte": 1990}}. Operators: eq, ne, gt, gte, lt, lte, in, nin.'
    ),
]


@dataclass(slots=True)
class Tools:
    """The tools. Calls may come from several threads; the model works for one at a time."""

    index: Index
    thinker: T1 | None
    """None if the index's model does not think."""
    _model: Lock = field(default_factory=Lock)

    def search(
        self,
        query: Question,
        k: Annotated[int, Field(ge=1, le=MAX_K, description="Most hits.")] = 10,
        mode: Annotated[
            Mode,
            Field(description="dense: by meaning; bm25: by words; hybrid: both."),
        ] = "hybrid",
        think: Budget = None,
        where: Where = None,
        chars: Annotated[
            int,
            Field(ge=0, le=MAX_CHARS, description="Characters of each document to show."),
        ] = SNIPPET_CHARS,
    ) -> SearchAnswer:
        """Find documents that help to answer a question. The best ones come first."""
        with _as_tool_errors():
            options = SearchOptions(k, mode, think, where)
            with self._model:
                (result,), receipt = self.index.search_many([query], options)
        return SearchAnswer.of(result.hits, result.thought, receipt, chars)

    def think(
        self,
        query: Question,
        budget: Annotated[
            int | None,
            Field(ge=1, le=MAX_THINK, description="Most tokens; by default the model's own."),
        ] = None,
    ) -> Written:
        """Write what the search model thinks about a question before it searches."""
        thinker = self.thinker
        assert thinker is not None  # otherwise it is not a tool
        most = budget or thinker.settings.thought.max_new_tokens or USUAL_THOUGHT
        with _as_tool_errors(), self._model:
            (thought,) = thinker.think([query], budget=most)
        return Written.of(thought)

    def fetch(
        self,
        id: Annotated[str, Field(min_length=1, description="The id of a hit of `search`.")],
        start: Annotated[int, Field(ge=0, description="First character to read.")] = 0,
    ) -> Fetched:
        """Read a document, in parts of 20,000 characters where it is longer than that."""
        with _as_tool_errors():
            found = self.index.get([id]).get(id)
        if found is None:
            raise ToolError(f"there is no document {id!r}: take an id that `search` has returned")
        return Fetched.of(found, start, MAX_CHARS)

    @property
    def all(self) -> list[Callable[..., Any]]:
        """Those that this index's model can serve."""
        return [self.search, self.fetch, *([] if self.thinker is None else [self.think])]


def tools_server(index: Index, thinker: T1 | None) -> MCPServer:
    """A server with the tools of one index.

    Args:
        thinker: the index's model where it thinks.
    """
    server: MCPServer = MCPServer(
        "thought1", instructions=INSTRUCTIONS, version=__version__, log_level="WARNING"
    )
    reads = ToolAnnotations(read_only_hint=True, open_world_hint=False)
    for tool in Tools(index, thinker).all:
        server.add_tool(tool, annotations=reads)
    return server


def thinking(model: object) -> T1 | None:
    """The model, where it is one that thinks."""
    return model if isinstance(model, T1) and not model.checkpoint.random_head else None


@contextmanager
def _as_tool_errors() -> Iterator[None]:
    """What is wrong with the arguments reaches the agent, which can correct them."""
    try:
        yield
    except Thought1Error as error:
        raise ToolError(str(error)) from error
