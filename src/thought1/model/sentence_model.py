"""A sentence-transformers model: its vectors, with its own prompts, and its identity.

It is a peer in evaluations, encodes the documents of an index, and is the companion of a T1. Knows
neither thoughts nor rankings. The package is imported when a model is loaded.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerBase

from thought1.data.hashing import hash_json
from thought1.model.encoder import Progress, windows
from thought1.model.identity import hash_tokenizer
from thought1.model.loading import check_modules, check_pickles, check_pointers, loading_errors
from thought1.model.place import locate
from thought1.model.prompts import uncut
from thought1.model.sentence_adapter import is_tuned, put_updates, read_base
from thought1.model.sentence_identity import folder_of, identity
from thought1.model.settings import Base
from thought1.model.tally import Tally
from thought1.types import Checkpoints, Document, Sampling, Thought, Thought1Error, Vectors

PREFIX = "st:"
"""Prefix of the name of such a model, where a T1 could be named: `st:NAME`."""
_TOKENISED = 1024
"""Texts that are tokenised at a time."""
_QUIET = {"normalize_embeddings": True, "show_progress_bar": False}


class SentenceModel:
    """Vectors of one model; the texts' cosine is the score. Build it with `load`.

    It has the verbs of a `T1` at a budget of 0, so that an index takes it.
    """

    def __init__(self, model: Any, name: str = "") -> None:
        self.model = model
        """A `sentence_transformers.SentenceTransformer`."""
        self.tokens = 0
        """Tokens of all queries so far, prompt included; 0 if the tokenizer marks none."""
        self.called = name
        self.base: Base | None = None
        """The model that it changes by low-rank updates, where it is such a one."""
        self.adapter: Any = None
        """A `peft.PeftModel`, where the updates are kept separate from the weights."""
        self.documents_read = Tally("documents")

    @classmethod
    def load(
        cls,
        name: str,
        *,
        device: Any = None,
        trust_remote_code: bool = False,
        merge: bool = True,
    ) -> "SentenceModel":
        """The model in a folder, under a hub id, or in a package (`package:NAME/FOLDER`).

        Args:
            merge: merge the updates of a fine-tuned one into the weights; else they stay separate,
                in `adapter`.

        Raises:
            Thought1Error: there is no such model, or sentence-transformers is not installed.
        """
        folder = Path(locate(name))
        if is_tuned(folder):
            return cls._tuned(name, folder, device, trust_remote_code, merge)
        try:
            from sentence_transformers import SentenceTransformer
        except ImportError as error:
            raise Thought1Error(
                f'{name} needs sentence-transformers: pip install "thought1[export]"'
            ) from error
        place = locate(name)
        check_pointers(name, Path(place))
        check_pickles(name, Path(place))
        with loading_errors(f"{name} is not a sentence-transformers model", name):
            model = SentenceTransformer(
                place, device=device and str(device), trust_remote_code=trust_remote_code
            )
        check_modules(name, model, trust_remote_code)
        return cls(model, name)

    @classmethod
    def _tuned(
        cls, name: str, folder: Path, device: Any, trust_remote_code: bool, merge: bool
    ) -> "SentenceModel":
        """The updates in a folder, in the model that they change."""
        base = read_base(name, folder)
        try:
            found = cls.load(base.model, device=device, trust_remote_code=trust_remote_code)
        except Thought1Error as error:
            raise Thought1Error(f"{name} changes another model, and needs it: {error}") from None
        if found.hash != base.hash:
            raise Thought1Error(
                f"{name} changes another model than the one at {base.model}: its weights or "
                "settings have changed since"
            )
        adapter = put_updates(name, folder, found.model)
        if merge:
            adapter.merge_and_unload()
        tuned = cls(found.model, name)
        tuned.base, tuned.adapter = base, None if merge else adapter
        return tuned

    # -- texts to vectors ------------------------------------------------------------------------

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        """Vectors (n, d), L2-normalised float32."""
        if not texts:
            return np.zeros((0, self.dim), np.float32)
        self.documents_read.add(len(texts), self._cut(texts))
        return self._normal(self.model.encode_document(list(texts), **_QUIET))

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        """Vectors (n, d), L2-normalised float32."""
        if not texts:
            return np.zeros((0, self.dim), np.float32)
        prompt = self.model.prompts.get("query") or ""
        read = self.model.preprocess([prompt + text for text in texts])
        if "attention_mask" in read:
            self.tokens += int(read["attention_mask"].sum())
        return self._normal(self.model.encode_query(list(texts), **_QUIET))

    def document_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of documents as the model reads them: prompt included, cut where too long."""
        return self._ids(texts, self._document_prompt)

    def query_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of queries as the model reads them: prompt included, cut where too long."""
        return self._ids(texts, self.model.prompts.get("query") or "")

    def _ids(self, texts: Sequence[str], prompt: str) -> list[list[int]]:
        found: list[list[int]] = []
        for start in range(0, len(texts), _TOKENISED):
            read = self.model.preprocess([prompt + t for t in texts[start : start + _TOKENISED]])
            rows = zip(read["input_ids"], read["attention_mask"].bool(), strict=True)
            found += [ids[mask].tolist() for ids, mask in rows]
        return found

    def spans(self, text: str) -> list[tuple[int, int]]:
        """The position of each token in its text, in characters (start, end)."""
        coded = self._plain.encode(text, add_special_tokens=False)
        return list(coded.offsets)

    @property
    def document_room(self) -> int:
        """Tokens that a document may have without being cut."""
        around = len(self._plain.encode(self._document_prompt, add_special_tokens=True).ids)
        return int(self.model.max_seq_length or 10**9) - around

    @property
    def _document_prompt(self) -> str:
        prompts = self.model.prompts
        return next((prompts[n] for n in ("document", "passage", "corpus") if prompts.get(n)), "")

    @cached_property
    def _plain(self) -> Tokenizer:
        """The tokenizer, which cuts nothing."""
        if self._fast is None:
            raise Thought1Error(f"{self.name} has no fast tokenizer to count tokens with")
        return uncut(self._fast)

    @property
    def _fast(self) -> PreTrainedTokenizerBase | None:
        """The tokenizer, where it is one that gives access to its tokens."""
        tokenizer = self.model.tokenizer
        fast = isinstance(tokenizer, PreTrainedTokenizerBase) and tokenizer.is_fast
        return tokenizer if fast else None

    def _cut(self, texts: Sequence[str]) -> int:
        if self._fast is None:
            return 0
        capacity = self.document_room
        coded = self._plain.encode_batch_fast(list(texts), add_special_tokens=False)
        return sum(len(one.ids) > capacity for one in coded)

    @staticmethod
    def _normal(vectors: Any) -> Vectors:
        return np.asarray(vectors, dtype=np.float32)

    # -- what it is ------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """`st:` and the folder, hub id or package it was loaded from."""
        return f"{PREFIX}{self.called}"

    @property
    def dim(self) -> int:
        """Dimension d of the vectors."""
        return int(self.model.get_embedding_dimension())

    @property
    def settings(self) -> str:
        """SHA-256 over what determines a vector besides the weights.

        Prompts, the longest text, the tokenizer, and the settings of every module, such as how
        tokens are pooled.
        """
        modules = [[type(one).__name__, one.get_config_dict()] for one in self.model]
        known: list[Any] = [dict(self.model.prompts), self.model.max_seq_length, modules]
        if self._fast is not None:
            known.append(hash_tokenizer(self._fast))
        return hash_json(known)

    @cached_property
    def identity(self) -> Mapping[str, str | int]:
        """What decides a vector, by name: the contents of its files, except for version numbers."""
        return identity(self.called)

    @property
    def folder(self) -> Path:
        """Where its files are."""
        return folder_of(self.called)

    def identities(self, index_format: int, created: str) -> list[Mapping[str, str | int]]:
        """`identity`, whenever the index was made."""
        return [self.identity]

    @property
    def hash(self) -> str:
        """SHA-256 over whatever decides its vectors, of documents and of queries."""
        return hash_json(dict(self.identity))

    # -- the verbs of a model that an index has --------------------------------------------------

    @property
    def greedy(self) -> Sampling:
        """It samples nothing."""
        return Sampling()

    @property
    def sampled(self) -> Sampling:
        """Nor several."""
        return Sampling()

    @property
    def truncated(self) -> int:
        """How many documents have been cut since this object was created."""
        return self.documents_read.cut

    def think(
        self,
        queries: Sequence[str],
        *,
        budget: int | None = None,
        sampling: Sampling | None = None,
        samples: int = 1,
        evidence: Sequence[Sequence[str]] | None = None,
        checkpoints: Checkpoints = (),
    ) -> list[Thought]:
        """The vector (d,) of each query, without a thought.

        Raises:
            Thought1Error: a budget above 0, several thoughts, evidence, or checkpoints.
        """
        if budget or samples > 1 or evidence or checkpoints:
            self.check_evidence()
        return [Thought("", (), "none", vector) for vector in self.embed_queries(queries)]

    def read_thoughts(
        self,
        queries: Sequence[str],
        thoughts: Sequence[str],
        *,
        evidence: Sequence[Sequence[str]] | None = None,
    ) -> list[Thought]:
        """Raises Thought1Error: it reads no thoughts."""
        raise Thought1Error(f"{self.name} reads no thoughts: search with a T1, or without thoughts")

    def check_evidence(self, budget: int | None = None) -> None:
        """Raises Thought1Error: it reads nothing before it thinks, since it does not think."""
        raise Thought1Error(
            f"{self.name} cannot think: search with a model that has it as its companion, or "
            "without thoughts"
        )

    def fit_evidence(
        self, queries: Sequence[str], evidence: Sequence[Sequence[str]]
    ) -> list[list[str]]:
        """None of it fits."""
        return [[] for _ in queries]

    def count_prompt_tokens(
        self, queries: Sequence[str], *, evidence: Sequence[Sequence[str]] | None = None
    ) -> int:
        """Total number of tokens of these queries."""
        return sum(len(self._plain.encode(query).ids) for query in queries)

    def encode_document(self, documents: Sequence[str]) -> Vectors:
        """Vectors (n, d) of texts; each is read once."""
        return self.embed_documents(documents)

    def encode_document_stream(
        self, documents: Iterable[Document], *, on_progress: Progress | None = None
    ) -> Iterator[tuple[list[Document], Vectors]]:
        """Documents in their order with their vectors, window by window."""
        for window in windows(documents):
            yield window, self.embed_documents([document.full_text for document in window])
            if on_progress:
                on_progress(len(window))
