"""The document side of a T1: texts in, one vector each, whoever gives it.

It knows the engine of the queries and a companion; `t1` binds both sides.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest

from thought1.model.checkpoint import Checkpoint
from thought1.model.encoder import Progress, windows
from thought1.model.queries import QuerySide
from thought1.model.reader import beside
from thought1.model.tally import Tally
from thought1.types import Document, Vectors


class DocumentSide:
    """Documents are read by the language model, by its companion, or by both.

    Args:
        queries: of the same model: documents share its engine and its tokenizer.
    """

    def __init__(self, checkpoint: Checkpoint, queries: QuerySide) -> None:
        self.checkpoint = checkpoint
        self.companion = checkpoint.companion
        self.queries = queries
        self.renderer = queries.renderer
        self.read = Tally("documents")
        self._own = checkpoint.companion is None or checkpoint.settings.beside

    @property
    def dim(self) -> int:
        """Dimension d of the vectors, those of queries included."""
        own = self.queries.engine.dim if self._own else 0
        return own + (self.companion.dim if self.companion else 0)

    @property
    def cut(self) -> int:
        """How many documents have been cut so far; of two that read them, by the one that has cut
        more."""
        return max(self.read.cut, self.companion.documents_read.cut if self.companion else 0)

    def encode(
        self,
        texts: Sequence[str],
        instruction: str | None = None,
        batch_size: int = 256,
        on_progress: Progress | None = None,
    ) -> Vectors:
        """Vectors (n, d) of texts."""
        if self._own:
            own = self._embed(texts, instruction, batch_size, on_progress)
            return own if self.companion is None else beside(own, self._companions(texts))
        vectors = self._companions(texts)
        if on_progress:
            on_progress(len(texts))
        return vectors

    def stream(
        self, documents: Iterable[Document], on_progress: Progress | None
    ) -> Iterator[tuple[list[Document], Vectors]]:
        """Documents in order with their vectors, window by window."""
        if self.companion is not None and not self._own:
            yield from self.companion.encode_document_stream(documents, on_progress=on_progress)
            return
        for window in windows(documents):
            texts = [document.full_text for document in window]
            yield window, self.encode(texts, on_progress=on_progress)

    @property
    def room(self) -> int:
        """Maximum number of tokens of a document that is not cut."""
        own = self.checkpoint.settings
        rooms = [self.companion.document_room] if self.companion else []
        if self._own:
            rooms.append(self.renderer.text_capacity(own.document, own.max_document_tokens - 1))
        return min(rooms)

    def spans(self, text: str) -> list[tuple[int, int]]:
        """The position of each token, in characters (start, end). Of two that read the text the
        n-th place is that of the earlier n-th token: what ends before it has fewer of both."""
        found = [self.companion.spans(text)] if self.companion else []
        if self._own:
            found.append(self.renderer.spans(text))
        return [min(filter(None, places)) for places in zip_longest(*found)]

    def _companions(self, texts: Sequence[str]) -> Vectors:
        assert self.companion is not None
        return self.companion.embed_documents(texts)

    def _embed(
        self,
        texts: Sequence[str],
        instruction: str | None,
        batch_size: int,
        on_progress: Progress | None,
    ) -> Vectors:
        own = self.checkpoint.settings
        limit = own.max_document_tokens - 1
        rendered = self.renderer.render(own.document, texts, limit, instruction=instruction)
        self.read.add(len(rendered.rows), rendered.truncated)
        return self.queries.embed(rendered.prefix, rendered.rows, batch_size, on_progress)
