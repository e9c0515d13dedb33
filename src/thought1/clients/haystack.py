"""T1 as a retriever of Haystack.

retriever = T1Retriever(index, top_k=5)
retriever.run("Why do ice cubes crack in warm water?")["documents"]
"""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from thought1.clients.haystack_filters import where_of
from thought1.clients.options import as_json, search_options
from thought1.clients.remote import TIMEOUT
from thought1.clients.searching import metadata_of, open_searchable, thought_of
from thought1.index import Index
from thought1.types import Thought1Error

try:
    from haystack import Document, component, default_to_dict
    from haystack.utils import Secret
    from haystack.utils.auth import deserialize_secrets_inplace
except ImportError as error:
    raise Thought1Error(
        'the retriever of Haystack needs haystack-ai: pip install "thought1[haystack]"'
    ) from error


@component
class T1Retriever:
    """Searches an index of this process (`index`) or one that `t1 serve` serves (`url`).

    Documents have the id, the text (`content`) and the score of what was found. Their `meta` is the
    index's own metadata, with `title`, and under "t1" how the document was found: `rank`, `score`,
    `thought` and more (`searching.metadata_of`).

    A retriever over a server can be saved with its pipeline, one over an index of this process
    cannot.
    """

    def __init__(
        self,
        index: Index | None = None,
        *,
        url: str = "",
        index_name: str | None = None,
        token: Secret | None = None,
        timeout: float = TIMEOUT,
        top_k: int = 10,
        filters: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        """A retriever.

        Args:
            url: the server's address.
            index_name: the index on the server; may be left out where there is one only.
            token: the bearer token, where the server asks for one.
            timeout: seconds for one answer of a server.
            top_k: most documents.
            filters: in Haystack's syntax, or in that of `SearchOptions.where`.
            options: those of `SearchOptions` by name, but for `k` and `where`.

        Raises:
            Thought1Error: neither an index nor a server is named, or an option is wrong.
        """
        for theirs, ours in (("top_k", "k"), ("filters", "where")):
            if ours in options:
                raise Thought1Error(f"{ours} is called {theirs} here")
        self._index = index
        self._server = {"url": url, "index_name": index_name, "token": token, "timeout": timeout}
        self._options = search_options({**options, "k": top_k, "where": where_of(filters)})
        secret = None if token is None else token.resolve_value()
        self._searched = open_searchable(index, url, index_name, secret, timeout)

    @component.output_types(documents=list[Document], thought=str, receipt=dict[str, Any])
    def run(
        self, query: str, top_k: int | None = None, filters: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Searches.

        Args:
            top_k: most documents of this search; None as the retriever was made.
            filters: of this search; None as the retriever was made.

        Returns:
            `documents`, best first; the `thought` that was searched with, "" where nothing was
            thought; and the `receipt`: tokens, and milliseconds by step.

        Raises:
            Thought1Error: a value is out of range, or the index or its server cannot answer.
        """
        options = self._options
        if top_k is not None:
            options = replace(options, k=top_k)
        if filters is not None:
            options = replace(options, where=where_of(filters))
        result, receipt = self._searched.search(query, options)
        documents = [
            Document(id=hit.id, content=hit.text, meta=metadata_of(result, hit), score=hit.score)
            for hit in result.hits
        ]
        return {
            "documents": documents,
            "thought": thought_of(result),
            "receipt": receipt.model_dump(),
        }

    @component.output_types(documents=list[Document], thought=str, receipt=dict[str, Any])
    async def run_async(
        self, query: str, top_k: int | None = None, filters: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """`run`, in a thread."""
        return await asyncio.to_thread(self.run, query, top_k, filters)

    def to_dict(self) -> dict[str, Any]:
        """As a pipeline is saved.

        Raises:
            Thought1Error: it searches an index of this process.
            ValueError: the token is no variable of the environment (Haystack's own error).
        """
        if self._index is not None:
            raise Thought1Error(
                "a retriever over an Index of this process cannot be saved; serve the index with "
                "`t1 serve` and give the address (url=)"
            )
        options = as_json(self._options)
        top_k, filters = self._options.k, options.pop("where", None)
        options.pop("k", None)
        parameters = {**self._server, "top_k": top_k, "filters": filters, **options}
        return default_to_dict(self, **parameters)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "T1Retriever":
        """From what `to_dict` returned."""
        parameters = dict(data["init_parameters"])
        deserialize_secrets_inplace(parameters, ["token"])
        return cls(**parameters)
