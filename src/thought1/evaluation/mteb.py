"""T1 as a model of mteb (2.26): `T1Encoder` for every task, `T1Search` for retrieval.

    import mteb
    from thought1 import T1
    from thought1.evaluation.mteb import T1Search

    model = T1Search(T1.from_pretrained(), budget=16)
    mteb.evaluate(model, mteb.get_tasks(tasks=["BrightBiologyRetrieval"]))

Both follow mteb's protocols (`EncoderProtocol`, `SearchProtocol`, mteb/models/models_protocols.py)
by their shape; they inherit nothing. Texts are written as everywhere in Thought 1: title, line
break, text (mteb's own join is a space), and thoughts are greedy, so that `t1 evaluate` finds the
same documents. Knows no metric and no data set: those are mteb's.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from tqdm.auto import tqdm

from thought1.model.encoder import WINDOW
from thought1.search.blockwise import Allowed, BlockwiseSearch
from thought1.types import Document, Run, Thought1Error, Vectors

if TYPE_CHECKING:
    from mteb.abstasks.task_metadata import TaskMetadata
    from mteb.models import ModelMeta
    from mteb.types import Array, CorpusDatasetType, PromptType, QueryDatasetType

    from thought1.t1 import T1


class T1Encoder:
    """T1 as an mteb encoder: documents are read once, everything else is a query.

    Args:
        model: encodes.
        budget: maximum tokens of a thought; None is the checkpoint's own budget, 0 does not think.
        task_prompts: a task's prompt replaces the checkpoint's instruction. A prompt that is one
            text is used for queries only, as it describes them. Without a prompt, and with False,
            the checkpoint's own instructions are used.

    Raises:
        Thought1Error: mteb is not installed.
    """

    def __init__(
        self, model: "T1", budget: int | None = None, *, task_prompts: bool = True
    ) -> None:
        _require_mteb()
        self.model = model
        self.budget = model.settings.thought.max_new_tokens if budget is None else budget
        self.task_prompts = task_prompts

    @cached_property
    def mteb_model_meta(self) -> "ModelMeta":
        """Name, revision and settings: whatever changes a vector changes what results are kept by.

        The revision is made of the hashes of the weights and of the templates.
        """
        from mteb.models.model_meta import ModelMeta, ScoringFunction

        own = self.model.name
        name = own if re.fullmatch(r"[\w.-]+/[\w.-]+", own) else f"thought1/{Path(own).name}"
        revision = f"{self.model.weights_hash[:12]}-{self.model.templates_hash[:12]}"
        facts = {
            "name": name,
            "revision": revision,
            "embed_dim": self.model.dim,
            "similarity_fn_name": ScoringFunction.COSINE,
            "use_instructions": True,
            "experiment_kwargs": {"budget": self.budget, "task_prompts": self.task_prompts},
        }
        return ModelMeta.create_empty(overwrites=facts)

    def encode(
        self,
        inputs: Iterable[Mapping[str, Any]],
        *,
        task_metadata: "TaskMetadata",
        hf_split: str,
        hf_subset: str,
        prompt_type: "PromptType | None" = None,
        **encode_kwargs: Any,
    ) -> Vectors:
        """Vectors (n, d) of the texts of a DataLoader, L2-normalised float32.

        Args:
            inputs: batches as mteb makes them: `{"text": [...], ...}`, and for documents "body"
                and, where there are titles, "title".
            task_metadata: its prompt becomes the instruction.
            hf_split: not needed.
            hf_subset: not needed.
            prompt_type: "document" reads, "query" and None (classification, ...) think.
            encode_kwargs: batch_size and show_progress_bar; float32 is the only precision.

        Raises:
            Thought1Error: another argument, or texts are missing.
        """
        options = _options(encode_kwargs)
        side = "document" if prompt_type == "document" else "query"
        return self._vectors(_texts(inputs, side), side, task_metadata, options)

    def _vectors(
        self, texts: Iterable[str], side: str, task: "TaskMetadata", options: "_Options"
    ) -> Vectors:
        """Some thousand texts at a time, so that the token ids of all never exist at once."""
        instruction = self._instruction(task, side)
        sampling = self.model.greedy
        stream, found = iter(texts), [np.zeros((0, self.model.dim), np.float32)]
        with tqdm(desc=side, unit=" texts", disable=not options.show_progress_bar) as bar:
            while window := list(islice(stream, WINDOW)):
                if side == "document":
                    vectors = self.model.encode_document(
                        window, instruction=instruction, batch_size=options.batch_size
                    )
                else:
                    vectors = self.model.encode_query(
                        window,
                        budget=self.budget,
                        sampling=sampling,
                        instruction=instruction,
                        batch_size=options.batch_size,
                    )
                found.append(np.asarray(vectors))
                bar.update(len(window))
        return np.concatenate(found)

    def _instruction(self, task: "TaskMetadata", side: str) -> str | None:
        """The task's prompt for this side; None leaves the checkpoint its own."""
        prompt = task.prompt if self.task_prompts else None
        if isinstance(prompt, str):
            prompt = {"query": prompt}
        return ((prompt or {}).get(side) or "").strip() or None

    def similarity(self, embeddings1: "Array", embeddings2: "Array") -> "Array":
        """Cosine similarities (n, m) of normalised vectors (n, d) and (m, d)."""
        return self.model.similarity(embeddings1, embeddings2)

    def similarity_pairwise(self, embeddings1: "Array", embeddings2: "Array") -> "Array":
        """Cosine similarities (n,) of rows i of normalised vectors (n, d) and (n, d)."""
        pairs = np.asarray(embeddings1) * np.asarray(embeddings2)
        similarities: npt.NDArray[np.float32] = pairs.sum(axis=1)
        return similarities


class T1Search(T1Encoder):
    """T1 as an mteb search model: exact search, a window of documents at a time.

    Memory holds the queries' vectors, their best documents and one window, however many documents
    there are; each search reads the documents again. Equal scores keep the order of the documents.
    """

    _corpus: "CorpusDatasetType | None" = None

    def index(
        self,
        corpus: "CorpusDatasetType",
        *,
        task_metadata: "TaskMetadata",
        hf_split: str,
        hf_subset: str,
        encode_kwargs: Mapping[str, Any],
        num_proc: int | None = None,
    ) -> None:
        """Take the documents ("id", "text", and "title" where there are titles); nothing is read.

        The other arguments are those of `search`.
        """
        self._corpus = corpus

    def search(  # noqa: PLR0913 - the protocol's
        self,
        queries: "QueryDatasetType",
        *,
        task_metadata: "TaskMetadata",
        hf_split: str,
        hf_subset: str,
        top_k: int,
        encode_kwargs: Mapping[str, Any],
        top_ranked: Mapping[str, Sequence[str]] | None = None,
        num_proc: int | None = None,
    ) -> Run:
        """The `top_k` documents of highest cosine for each query: query id -> document id -> score.

        Args:
            queries: "id" and "text", and "instruction" where queries have one (put after it).
            task_metadata: its prompt becomes the instruction.
            hf_split: not needed.
            hf_subset: not needed.
            top_k: documents for each query.
            encode_kwargs: as for `encode`.
            top_ranked: query id -> the only documents it may find. BRIGHT's excluded documents
                come as all others. A query that is not in it finds nothing, as in mteb.
            num_proc: not needed: one process reads all.

        Raises:
            Thought1Error: no documents were indexed, `top_ranked` names an unknown one, or the
                queries are conversations.
        """
        if self._corpus is None:
            raise Thought1Error("index the documents before they are searched")
        options, corpus = _options(encode_kwargs), self._corpus
        query_ids, document_ids = list(queries["id"]), list(corpus["id"])
        allowed = None
        if top_ranked is not None:
            allowed = Allowed(query_ids, document_ids, top_ranked)
        vectors_QD = self._vectors(_query_texts(queries), "query", task_metadata, options)
        quiet = replace(options, show_progress_bar=False)
        found = BlockwiseSearch(query_ids, vectors_QD, top_k, allowed)
        bar = tqdm(desc="search", total=len(document_ids), disable=not options.show_progress_bar)
        for start in range(0, len(document_ids), WINDOW):
            ids = document_ids[start : start + WINDOW]
            texts = _document_texts(corpus[start : start + WINDOW])
            found.add(ids, self._vectors(texts, "document", task_metadata, quiet))
            bar.update(len(ids))
        bar.close()
        return found.run()


@dataclass(frozen=True, slots=True)
class _Options:
    batch_size: int
    show_progress_bar: bool


def _require_mteb() -> None:
    try:
        import mteb  # noqa: F401
    except ModuleNotFoundError as error:
        if error.name != "mteb":
            raise
        raise Thought1Error(
            'evaluation with mteb needs the package mteb: pip install "thought1[mteb]"'
        ) from error


def _options(encode_kwargs: Mapping[str, Any]) -> _Options:
    unknown = set(encode_kwargs) - {"batch_size", "show_progress_bar", "precision"}
    if unknown or encode_kwargs.get("precision", "float32") != "float32":
        raise Thought1Error(
            "T1 takes batch_size and show_progress_bar as encode_kwargs and computes float32 "
            f"vectors, but was given {dict(encode_kwargs)}"
        )
    return _Options(
        encode_kwargs.get("batch_size", 32), encode_kwargs.get("show_progress_bar", False)
    )


def _texts(inputs: Iterable[Mapping[str, Any]], side: str) -> Iterator[str]:
    for batch in inputs:
        if "text" not in batch:
            raise Thought1Error(f"T1 reads texts, and this task has only {', '.join(batch)}")
        if side == "document" and "body" in batch:
            yield from _document_texts({**batch, "text": batch["body"]})
        else:
            yield from batch["text"]


def _document_texts(columns: Mapping[str, Sequence[str]]) -> list[str]:
    titles = columns.get("title") or [""] * len(columns["text"])
    pairs = zip(titles, columns["text"], strict=True)
    return [Document("", text, title or "").full_text for title, text in pairs]


def _query_texts(queries: "QueryDatasetType") -> list[str]:
    texts = list(queries["text"])
    if not all(isinstance(text, str) for text in texts):
        raise Thought1Error("T1Search reads queries of one text: use T1Encoder for conversations")
    if "instruction" in queries.column_names:
        pairs = zip(texts, queries["instruction"], strict=True)
        texts = [f"{text} {instruction or ''}" for text, instruction in pairs]
    return texts
