"""A sentence-transformers model as a peer: its vectors, with its own prompts, and its identity.

Knows neither documents nor rankings. The package is imported when a model is loaded.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from transformers import PreTrainedTokenizerBase

from thought1.data.hashing import hash_file
from thought1.evaluation.provenance import hash_json
from thought1.identity import hash_tokenizer
from thought1.loading import check_modules, check_pointers, loading_errors
from thought1.types import Thought1Error, Vectors


class SentenceModel:
    """Vectors of one model; the texts' cosine is the score. Build it with `load`."""

    def __init__(self, model: Any) -> None:
        self.model = model
        """A `sentence_transformers.SentenceTransformer`."""
        self.tokens = 0
        """Tokens of all queries so far, prompt included; 0 where the tokenizer marks none."""

    @classmethod
    def load(cls, name: str, *, trust_remote_code: bool = False) -> "SentenceModel":
        """The model in a folder or under a hub id.

        Raises:
            Thought1Error: there is no such model, or sentence-transformers is not installed.
        """
        try:
            from sentence_transformers import SentenceTransformer
        except ImportError as error:
            raise Thought1Error(
                'a system st:... needs sentence-transformers: pip install "thought1[export]"'
            ) from error
        check_pointers(name, Path(name))
        with loading_errors(f"{name} is no sentence-transformers model", name):
            model = SentenceTransformer(name, trust_remote_code=trust_remote_code)
        check_modules(name, model, trust_remote_code)
        return cls(model)

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        """Vectors (n, d), L2-normalised float32."""
        return self._normal(self.model.encode_document(list(texts), **_QUIET))

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        """Vectors (n, d), L2-normalised float32."""
        prompt = self.model.prompts.get("query") or ""
        read = self.model.preprocess([prompt + text for text in texts])
        if "attention_mask" in read:
            self.tokens += int(read["attention_mask"].sum())
        return self._normal(self.model.encode_query(list(texts), **_QUIET))

    @property
    def settings(self) -> str:
        """SHA-256 over what decides a vector beside the weights.

        Prompts, the longest text, the tokenizer, and the settings of every module, such as how
        tokens are pooled.
        """
        modules = [[type(one).__name__, one.get_config_dict()] for one in self.model]
        known = [dict(self.model.prompts), self.model.max_seq_length, modules]
        tokenizer = self.model.tokenizer
        if isinstance(tokenizer, PreTrainedTokenizerBase) and tokenizer.is_fast:
            known.append(hash_tokenizer(tokenizer))
        return hash_json(known)

    @staticmethod
    def _normal(vectors: Any) -> Vectors:
        return np.asarray(vectors, dtype=np.float32)


_QUIET = {"normalize_embeddings": True, "show_progress_bar": False}


def weights_of(name: str) -> str | None:
    """SHA-256 over the weight files of a folder, or of the snapshot of a hub id in the cache.

    None where there are neither safetensors nor .bin files.
    """
    folder = Path(name)
    if not folder.is_dir():
        from huggingface_hub import snapshot_download

        folder = Path(snapshot_download(name, local_files_only=True))
    # Modules after the transformer, such as a projection, have folders of their own.
    files = [path for end in ("safetensors", "bin") for path in folder.rglob(f"*.{end}")]
    hashes = {str(path.relative_to(folder)): hash_file(path) for path in files}
    return hash_json(hashes) if hashes else None
