"""T1 as a retriever of LangChain.

retriever = T1Retriever(index=index, k=5)
retriever.invoke("Why do ice cubes crack in warm water?")
"""

import asyncio
from typing import Any

from pydantic import ConfigDict, PrivateAttr, SecretStr

from thought1.clients.options import NAMES, search_options
from thought1.clients.remote import TIMEOUT
from thought1.clients.searching import Searchable, metadata_of, open_searchable
from thought1.index import Index
from thought1.search.adaptive import Adaptive
from thought1.search.options import Combination, Fusion, Mode, SearchOptions
from thought1.types import Filter, Sampling, Thought1Error

try:
    from langchain_core.callbacks import (
        AsyncCallbackManagerForRetrieverRun,
        CallbackManagerForRetrieverRun,
    )
    from langchain_core.documents import Document
    from langchain_core.retrievers import BaseRetriever
except ImportError as error:
    raise Thought1Error(
        'the retriever of LangChain needs langchain-core: pip install "thought1[langchain]"'
    ) from error


class T1Retriever(BaseRetriever):
    """Searches an index of this process (`index`) or one that `t1 serve` serves (`url`).

    Documents have the id and the text of what was found. Their metadata is the index's own, with
    `title`, and under "t1" how the document was found: `rank`, `score`, `thought` and more
    (`searching.metadata_of`).

    Beside the first five, the fields are those of `SearchOptions`. Each may be given for one call:
    `retriever.invoke(question, k=3)`.

    Raises:
        Thought1Error: neither an index nor a server is named, or options contradict each other.
        pydantic.ValidationError: a value is of the wrong type, or there is no such field.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    index: Index | None = None
    url: str = ""
    """The server's address."""
    index_name: str | None = None
    """The index on the server; may be left out where there is one only."""
    token: SecretStr | None = None
    """The bearer token, where the server asks for one."""
    timeout: float = TIMEOUT
    """Seconds for one answer of a server."""

    k: int = 10
    mode: Mode = "hybrid"
    think: int | None = None
    where: Filter | None = None
    offset: int = 0
    sampling: Sampling | None = None
    fusion: Fusion = Fusion()
    samples: int = 1
    evidence: int = 0
    rounds: int = 1
    combine: Combination = "mean"
    min_confidence: float | None = None
    checkpoints: tuple[int, ...] = ()
    adaptive: Adaptive | None = None
    group_by: str = ""
    group_best: int = 1
    neighbours: int = 0
    explain: bool = False
    rerank: str | None = None
    rerank_depth: int = 50
    rerank_weight: float = 0.5
    rerank_guided: bool = False

    _searched: Searchable = PrivateAttr()

    def model_post_init(self, context: Any, /) -> None:
        """Refuses now what every search would refuse."""
        token = None if self.token is None else self.token.get_secret_value()
        self._searched = open_searchable(self.index, self.url, self.index_name, token, self.timeout)
        self._options({})

    def _options(self, changed: dict[str, Any]) -> SearchOptions:
        return search_options({name: getattr(self, name) for name in NAMES} | changed)

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, **options: Any
    ) -> list[Document]:
        return self._documents(query, options)

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun, **options: Any
    ) -> list[Document]:
        return await asyncio.to_thread(self._documents, query, options)

    def _documents(self, query: str, changed: dict[str, Any]) -> list[Document]:
        result, _ = self._searched.search(query, self._options(changed))
        return [
            Document(hit.text, id=hit.id, metadata=metadata_of(result, hit)) for hit in result.hits
        ]
