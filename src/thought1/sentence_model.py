"""A sentence-transformers model: its vectors, with its own prompts, and its identity.

It is a peer in evaluations, encodes the documents of an index, and is the companion of a T1. Knows
neither thoughts nor rankings. The package is imported when a model is loaded.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerBase

from thought1.data.hashing import hash_file, hash_json
from thought1.encoder import Progress, windows
from thought1.identity import hash_tokenizer
from thought1.loading import check_modules, check_pointers, loading_errors
from thought1.place import locate
from thought1.prompts import uncut
from thought1.tally import Tally
from thought1.types import Document, Sampling, Thought, Thought1Error, Vectors

PREFIX = "st:"
"""What such a model is called by, where a T1 could stand: `st:NAME`."""
_QUIET = {"normalize_embeddings": True, "show_progress_bar": False}


class SentenceModel:
    """Vectors of one model; the texts' cosine is the score. Build it with `load`.

    It has the verbs of a `T1` at a budget of 0, so that an index takes it.
    """

    def __init__(self, model: Any, name: str = "") -> None:
        self.model = model
        """A `sentence_transformers.SentenceTransformer`."""
        self.tokens = 0
        """Tokens of all queries so far, prompt included; 0 where the tokenizer marks none."""
        self.called = name
        self.documents_read = Tally("documents")

    @classmethod
    def load(
        cls, name: str, *, device: Any = None, trust_remote_code: bool = False
    ) -> "SentenceModel":
        """The model in a folder, under a hub id, or in a package (`package:NAME/FOLDER`).

        Raises:
            Thought1Error: there is no such model, or sentence-transformers is not installed.
        """
        try:
            from sentence_transformers import SentenceTransformer
        except ImportError as error:
            raise Thought1Error(
                f'{name} needs sentence-transformers: pip install "thought1[export]"'
            ) from error
        place = locate(name)
        check_pointers(name, Path(place))
        with loading_errors(f"{name} is no sentence-transformers model", name):
            model = SentenceTransformer(
                place, device=device and str(device), trust_remote_code=trust_remote_code
            )
        check_modules(name, model, trust_remote_code)
        return cls(model, name)

    # -- texts to vectors ------------------------------------------------------------------------

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        """Vectors (n, d), L2-normalised float32."""
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

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Where each token of a text stands in it, in characters (start, end)."""
        coded = self._plain.encode(text, add_special_tokens=False)
        return list(coded.offsets)

    @property
    def document_room(self) -> int:
        """Tokens that a document may have without being cut."""
        prompts = self.model.prompts
        prompt = next((prompts[n] for n in ("document", "passage", "corpus") if prompts.get(n)), "")
        around = len(self._plain.encode(prompt, add_special_tokens=True).ids)
        return int(self.model.max_seq_length or 10**9) - around

    @cached_property
    def _plain(self) -> Tokenizer:
        """The tokenizer, which cuts nothing."""
        if self._fast is None:
            raise Thought1Error(f"{self.name} has no fast tokenizer to count tokens with")
        return uncut(self._fast)

    @property
    def _fast(self) -> PreTrainedTokenizerBase | None:
        """The tokenizer, where it is one that tells its tokens."""
        tokenizer = self.model.tokenizer
        fast = isinstance(tokenizer, PreTrainedTokenizerBase) and tokenizer.is_fast
        return tokenizer if fast else None

    def _cut(self, texts: Sequence[str]) -> int:
        if self._fast is None:
            return 0
        room = self.document_room
        coded = self._plain.encode_batch_fast(list(texts), add_special_tokens=False)
        return sum(len(one.ids) > room for one in coded)

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
        """SHA-256 over what decides a vector beside the weights.

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
        """What decides a vector, by name: the contents of its files, but for version numbers."""
        return _identity(self.called)

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
    def truncated(self) -> int:
        """How many documents have been cut since this object exists."""
        return self.documents_read.cut

    def think(
        self, queries: Sequence[str], *, budget: int | None = None, sampling: Sampling | None = None
    ) -> list[Thought]:
        """The vector (d,) of each query, behind no thought.

        Raises:
            Thought1Error: a budget above 0.
        """
        if budget:
            raise Thought1Error(
                f"{self.name} cannot think: search with a model that has it as its companion, or "
                "with a thinking budget of 0"
            )
        return [Thought("", (), "none", vector) for vector in self.embed_queries(queries)]

    def count_prompt_tokens(self, queries: Sequence[str]) -> int:
        """Tokens of these queries together."""
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


def hash_files(name: str) -> str:
    """`SentenceModel.hash` of a model that is not loaded.

    Raises:
        Thought1Error: there is no such package.
    """
    return hash_json(dict(_identity(name)))


def _identity(name: str) -> Mapping[str, str | int]:
    folder = _folder(name)
    return {"weights": _weights(folder), "encoder settings": _settings(folder)}


def weights_of(name: str) -> str | None:
    """SHA-256 over the weight files of a folder, or of the snapshot of a hub id in the cache.

    None where there are neither safetensors nor .bin files.
    """
    folder = _folder(name)
    # Modules after the transformer, such as a projection, have folders of their own.
    files = [path for end in ("safetensors", "bin") for path in folder.rglob(f"*.{end}")]
    hashes = {str(path.relative_to(folder)): hash_file(path) for path in files}
    return hash_json(hashes) if hashes else None


def _folder(name: str) -> Path:
    folder = Path(locate(name))
    if folder.is_dir():
        return folder
    from huggingface_hub import snapshot_download

    return Path(snapshot_download(name, local_files_only=True))


def _parts(folder: Path) -> list[Path]:
    """The folders of its modules, in their order; the first is the transformer's."""
    listed = folder / "modules.json"
    if not listed.is_file():
        return [folder]
    modules = json.loads(listed.read_text(encoding="utf-8"))
    return list(dict.fromkeys([folder, *(folder / str(module["path"]) for module in modules)]))


def _weights(folder: Path) -> str:
    """SHA-256 over the weight files of all modules, whatever else lies in the folder."""
    hashes: dict[str, str] = {}
    for part in _parts(folder):
        files = sorted(part.glob("*.safetensors")) or sorted(part.glob("pytorch_model*.bin"))
        hashes |= {file.relative_to(folder).as_posix(): hash_file(file) for file in files}
    return hash_json(hashes)


def _settings(folder: Path) -> str:
    """SHA-256 over the JSON files of all modules and the tokenizer, without version numbers."""
    found = {}
    for part in _parts(folder):
        for file in sorted(part.glob("*.json")):
            content = json.loads(file.read_text(encoding="utf-8"))
            found[file.relative_to(folder).as_posix()] = _lasting(content)
    vocabularies = [file for name in ("vocab.txt", "*.model") for file in folder.glob(name)]
    return hash_json([found, {file.name: hash_file(file) for file in sorted(vocabularies)}])


def _lasting(content: Any) -> Any:
    """JSON data without what names a version of a library."""
    if not isinstance(content, dict):
        return content
    return {
        key: _lasting(value)
        for key, value in content.items()
        if not key.strip("_").endswith("version")
    }
