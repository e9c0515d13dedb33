"""T1 as a retriever of LlamaIndex.

retriever = T1Retriever(index, k=5)
retriever.retrieve("Why do ice cubes crack in warm water?")
"""

import asyncio
from typing import Any

from thought1.clients.options import search_options
from thought1.clients.remote import TIMEOUT
from thought1.clients.searching import FOUND, metadata_of, open_searchable
from thought1.index import Index
from thought1.types import Thought1Error

try:
    from llama_index.core.base.base_retriever import BaseRetriever
    from llama_index.core.callbacks import CallbackManager
    from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode
except ImportError as error:
    raise Thought1Error(
        'the retriever of LlamaIndex needs llama-index-core: pip install "thought1[llama-index]"'
    ) from error


class T1Retriever(BaseRetriever):
    """Searches an index of this process (`index`) or one that `t1 serve` serves (`url`).

    Nodes have the id, the text and the score of what was found. Their metadata is the index's own,
    with `title`, and under "t1" how the document was found: `rank`, `score`, `thought` and more
    (`searching.metadata_of`). What is under "t1" is kept out of the texts that LlamaIndex writes
    for language models and embeddings.
    """

    def __init__(
        self,
        index: Index | None = None,
        *,
        url: str = "",
        index_name: str | None = None,
        token: str | None = None,
        timeout: float = TIMEOUT,
        callback_manager: CallbackManager | None = None,
        **options: Any,
    ) -> None:
        """A retriever.

        Args:
            url: the server's address.
            index_name: the index on the server; may be left out where there is one only.
            token: the bearer token, where the server asks for one.
            timeout: seconds for one answer of a server.
            options: those of `SearchOptions`, by name.

        Raises:
            Thought1Error: neither an index nor a server is named, or an option is wrong.
        """
        super().__init__(callback_manager)
        self._searched = open_searchable(index, url, index_name, token, timeout)
        self._options = search_options(options)

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        result, _ = self._searched.search(query_bundle.query_str, self._options)
        return [
            NodeWithScore(
                node=TextNode(
                    id_=hit.id,
                    text=hit.text,
                    metadata=metadata_of(result, hit),
                    excluded_embed_metadata_keys=[FOUND],
                    excluded_llm_metadata_keys=[FOUND],
                ),
                score=hit.score,
            )
            for hit in result.hits
        ]

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return await asyncio.to_thread(self._retrieve, query_bundle)
