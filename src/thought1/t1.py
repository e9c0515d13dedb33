"""T1: a causal language model that thinks before it embeds a query.

Words and habits are those of sentence-transformers: `encode_query`, `encode_document`,
`similarity`; one string or a list in, numpy float32 out. It knows no store and no ranking.

    model = T1.from_pretrained()
    vectors = model.encode_query(["Why do ice cubes crack in warm water?"])   # (1, d)
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from tqdm.auto import tqdm
from transformers import PreTrainedTokenizerBase

from thought1.contracts import Engine
from thought1.model.checkpoint import Checkpoint, with_companion
from thought1.model.checkpoint_loading import load_checkpoint
from thought1.model.checkpoint_saving import save_checkpoint
from thought1.model.documents import DocumentSide
from thought1.model.encoder import Encoder, Progress, tokens_per_forward
from thought1.model.queries import Evidence, Plan, QuerySide, checked_checkpoints
from thought1.model.reader import Reader
from thought1.model.settings import Settings, anchor_weight
from thought1.search.vectors import fused
from thought1.types import Checkpoints, Document, Generation, Sampling, Thought, Vectors, Watched


class T1:
    """One set of weights for both sides: queries are thought about, documents read once.

    Build it with `T1.from_pretrained`.

    Args:
        engine: runs the model; by default transformers, in this process.
    """

    def __init__(self, checkpoint: Checkpoint, engine: Engine | None = None) -> None:
        self.checkpoint = checkpoint
        self.engine = checkpoint.engine() if engine is None else engine
        self.encoder = Encoder(self.engine, tokens_per_forward(checkpoint.model.device.type))
        self.companion = checkpoint.companion
        """Encodes the documents and reads the thoughts, where the settings name one."""
        weight, projection = self.settings.anchor_weight, checkpoint.projection
        reader = Reader(weight, self.companion, projection, self.settings.beside)
        self.identities = checkpoint.identities
        """What decides a document's vector, for an index: `Checkpoint.identities`."""
        self.queries = QuerySide(checkpoint, self.encoder, reader)
        """Prompts, thoughts, and the vectors after them."""
        self.renderer = self.queries.renderer
        self.queries_read = self.queries.read
        self.documents = DocumentSide(checkpoint, self.queries)
        """Texts, and their vectors."""
        self.documents_read = self.documents.read

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path | None = None,
        *,
        dtype: str | torch.dtype | None = None,
        device: str | torch.device | None = None,
        padding_side: str = "right",
        trust_remote_code: bool = False,
    ) -> "T1":
        """Load a checkpoint, or any plain causal language model, which is then untrained.

        Args:
            name: a folder, GGUF file, hub id, `package:NAME/PATH` or bundled model; see
                `place.find_model`. None is the one that `T1_MODEL` names, else t1-mini-companion
                if everything it needs is installed, else t1-nano; the choice is logged.
            dtype: e.g. "bfloat16"; by default float32 on CPU and bfloat16 on a GPU.
            device: by default the first GPU, or the CPU if there is none.
            padding_side: "right" (shares the prefix among rows) or "left"; vectors are the same.
            trust_remote_code: run Python code from the model's folder, if the model needs it.

        Raises:
            Thought1Error: nothing loadable there; the message says what was tried.
        """
        loaded = load_checkpoint(
            name, dtype=dtype, device=device, trust_remote_code=trust_remote_code
        )
        return cls(loaded, loaded.engine(padding_side))

    def with_companion(
        self, name: str | Path, *, anchor: str | float = "mean", reader: str = "text"
    ) -> "T1":
        """The same model, with a companion that encodes the documents and reads the thoughts.

        Args:
            name: a sentence-transformers model: folder, hub id, or `package:NAME/FOLDER`.
            anchor: "mean", "none", or the weight of the companion's vector of the bare query; with
                the reader "both" of each one's own, in place of what this model had.
            reader: "text", the companion reads question and thought; "projection", the language
                model's vector after the thought is projected into its space, once a projection has
                been trained; or "both", this model's own vectors stand beside the companion's.

        Raises:
            Thought1Error: it cannot be loaded, or anchor or reader are something else.
        """
        anchor_weight(anchor)
        return T1(with_companion(self.checkpoint, str(name), anchor, reader), self.engine)

    def with_settings(self, settings: Settings) -> "T1":
        """The same weights with other settings for queries; document vectors do not change.

        Args:
            settings: with the same document template, document length and companion.
        """
        return T1(replace(self.checkpoint, settings=settings), self.engine)

    def save_pretrained(self, folder: str | Path, *, dtype: str | None = None) -> None:
        """Write weights (safetensors), tokenizer and `t1.json` to a folder.

        Raises:
            Thought1Error: a template of the settings breaks inside a token.
        """
        save_checkpoint(self.checkpoint, Path(folder), dtype=dtype)

    @property
    def settings(self) -> Settings:
        """The content of `t1.json`."""
        return self.checkpoint.settings

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The tokenizer, with `<emb_token>` as one special token."""
        return self.checkpoint.tokenizer

    @property
    def dim(self) -> int:
        """Dimension d of the vectors."""
        return self.documents.dim

    @property
    def name(self) -> str:
        """The folder, file, hub id or package it was loaded from, or a bundled model's name."""
        return self.checkpoint.name

    @property
    def weights_hash(self) -> str:
        """SHA-256 over names, types and contents of all stored tensors."""
        return self.checkpoint.weights_hash

    @property
    def templates_hash(self) -> str:
        """SHA-256 over everything else that determines a vector: templates, lengths, tokenizer."""
        return self.checkpoint.templates_hash

    @property
    def greedy(self) -> Sampling:
        """Greedy decoding, with the checkpoint's repetition control."""
        return replace(self.settings.thought.sampling, temperature=0.0)

    @property
    def sampled(self) -> Sampling:
        """How several thoughts for a query are sampled: as the checkpoint's settings say, or at
        temperature 0.7 and top-p 0.95 if these are greedy."""
        return self.settings.thought.several

    @property
    def truncated(self) -> int:
        """How many texts have been cut to the maximum length since this object was created."""
        return self.documents.cut + self.queries_read.cut

    def think(
        self,
        queries: str | Sequence[str],
        *,
        budget: int | None = None,
        sampling: Sampling | None = None,
        instruction: str | None = None,
        evidence: Evidence | None = None,
        samples: int = 1,
        checkpoints: Checkpoints = (),
        batch_size: int = 32,
        show_progress_bar: bool = False,
    ) -> list[Thought]:
        """The thought about each query, with the query's vector in `Thought.vector` (d,).

        Args:
            queries: n texts, or one.
            budget: maximum number of tokens of a thought; None is the checkpoint's own budget;
                with 0 no thought is written, and the vector is that of the bare query.
            sampling: temperature, top-p and seed; None is the checkpoint's own (greedy as a rule).
            instruction: replaces the checkpoint's query instruction.
            evidence: for each query, texts that the model reads before it thinks.
            samples: number of thoughts per query, returned consecutively; several are sampled, by
                default as `sampled` says, and the first is the same as with one sample.
            checkpoints: numbers of tokens at which intermediate vectors are read, such as
                `[0, 16, 32, 64]`: `Thought.checkpoints` then has the vectors of runs with those
                budgets, in ascending order. The default budget is the largest of them. `Watched`
                ones end thoughts.
            batch_size: number of thoughts that are written together; it never changes a thought.

        Raises:
            Thought1Error: prompt and budget exceed the model's positions, it cannot think, or
                several thoughts are requested greedily or with 0 tokens, or a checkpoint exceeds
                the budget.
        """
        texts = [queries] if isinstance(queries, str) else list(queries)
        if isinstance(checkpoints, Watched):
            read_at, until = checkpoints.tokens, checkpoints.until
        else:
            read_at, until = checkpoints, None
        if read_at and budget is None:
            budget = max(read_at)
        places = checked_checkpoints(read_at, budget)
        tokens = self.queries.tokens(budget, samples)
        if samples < 1:
            raise ValueError(f"samples is a number of thoughts, 1 or more, not {samples}")
        if batch_size < 1:
            raise ValueError(f"batch_size is a number of queries, 1 or more, not {batch_size}")
        prompted = self.queries.prompts(texts, instruction, evidence)
        with tqdm(total=len(texts), desc="think", disable=not show_progress_bar) as bar:
            if tokens == 0:
                return self.queries.not_thinking(prompted, batch_size, places, bar.update)
            plan = Plan(tokens, sampling, samples, places, until)
            return self.queries.think(prompted, plan, batch_size, bar.update)

    def generations(
        self,
        queries: Sequence[str],
        budget: int,
        sampling: Sampling | None = None,
        *,
        copies: int = 1,
        snapshots: Sequence[int] = (),
    ) -> Iterator[tuple[list[int], list[Generation]]]:
        """The engine's generations for the queries, batch by batch, longest prompts first.

        Args:
            copies: number of consecutive thoughts for each query.
            snapshots: numbers of tokens after which each vector is read as well.

        Returns:
            The indices of some queries, and `copies` generations for each of them.
        """
        prompted = self.queries.prompts(list(queries), None, None)
        return self.queries.generations(prompted, Plan(budget, sampling, copies, snapshots))

    def encode_query(
        self,
        queries: str | Sequence[str],
        *,
        budget: int | None = None,
        thoughts: Sequence[str | Thought] | None = None,
        sampling: Sampling | None = None,
        instruction: str | None = None,
        evidence: Evidence | None = None,
        samples: int = 1,
        batch_size: int = 32,
        convert_to_tensor: bool = False,
        show_progress_bar: bool = False,
    ) -> Vectors | torch.Tensor:
        """Vectors (n, d) of queries, L2-normalised float32; (d,) for one string.

        With `thoughts` (one per query: a `Thought`, or the text of an edited one) nothing is
        generated: each vector is read after the given thought. The other arguments are those
        of `think`; with several `samples` a query's vector is the normalised mean of theirs.
        `convert_to_tensor` returns a torch tensor instead of numpy.
        """
        texts = [queries] if isinstance(queries, str) else list(queries)
        if thoughts is None:
            own = self.think(
                texts,
                budget=budget,
                sampling=sampling,
                instruction=instruction,
                evidence=evidence,
                samples=samples,
                batch_size=batch_size,
                show_progress_bar=show_progress_bar,
            )
            vectors = np.array([t.vector for t in own], np.float32).reshape(-1, self.dim)
            if samples > 1:
                vectors = fused(vectors.reshape(len(texts), samples, self.dim))
        else:
            if samples > 1:
                raise ValueError("samples cannot be combined with given thoughts")
            if len(thoughts) != len(texts):
                raise ValueError(f"{len(texts)} queries but {len(thoughts)} thoughts")
            prompted = self.queries.prompts(texts, instruction, evidence)
            with tqdm(total=len(texts), desc="embed", disable=not show_progress_bar) as bar:
                vectors = self.queries.behind(prompted, thoughts, batch_size, bar.update)
        return _shaped(vectors, isinstance(queries, str), convert_to_tensor)

    def read_thoughts(
        self,
        queries: Sequence[str],
        thoughts: Sequence[str],
        *,
        evidence: Evidence | None = None,
    ) -> list[Thought]:
        """Texts that a person or another model wrote, one per query, as thoughts with their vectors
        (d,). Nothing is generated; an empty text gives the bare query's vector."""
        vectors_ND = self.encode_query(queries, thoughts=thoughts, evidence=evidence)
        rows = zip(thoughts, self.renderer.text(thoughts), np.asarray(vectors_ND), strict=True)
        return [Thought(text, tuple(ids), "edited", vector_D) for text, ids, vector_D in rows]

    def check_evidence(self, budget: int | None = None) -> None:
        """Raises Thought1Error if it cannot read evidence and think under `budget`."""
        self.queries.check_evidence(budget)

    def fit_evidence(self, queries: Sequence[str], evidence: Evidence) -> list[list[str]]:
        """As much of each query's evidence as fits into its prompt with the whole query."""
        return self.queries.fit_evidence(queries, evidence)

    def count_prompt_tokens(
        self,
        queries: Sequence[str],
        *,
        instruction: str | None = None,
        evidence: Evidence | None = None,
    ) -> int:
        """Total number of tokens in the prompts of these queries."""
        own = self.settings
        prompts = self.renderer.render(
            own.query,
            queries,
            own.max_query_tokens,
            instruction=instruction,
            evidence=evidence,
        )
        return sum(len(prompts.prefix) + len(row) for row in prompts.rows)

    def encode_document(
        self,
        documents: str | Sequence[str],
        *,
        instruction: str | None = None,
        batch_size: int = 256,
        convert_to_tensor: bool = False,
        show_progress_bar: bool = False,
    ) -> Vectors | torch.Tensor:
        """Vectors (n, d) of texts, L2-normalised float32; (d,) for one string.

        Each text takes one forward pass; nothing is generated. Texts longer than
        `max_document_tokens` are cut, counted in `truncated`, and a warning is logged.
        """
        texts = [documents] if isinstance(documents, str) else list(documents)
        with tqdm(total=len(texts), desc="encode", disable=not show_progress_bar) as bar:
            vectors = self.documents.encode(texts, instruction, batch_size, bar.update)
        return _shaped(vectors, isinstance(documents, str), convert_to_tensor)

    def encode_document_stream(
        self, documents: Iterable[Document], *, on_progress: Progress | None = None
    ) -> Iterator[tuple[list[Document], Vectors]]:
        """Documents in order with their vectors, window by window.

        Memory is bounded by one window, however long the stream is. Title and text are joined
        by a line break.
        """
        return self.documents.stream(documents, on_progress)

    @property
    def document_room(self) -> int:
        """Maximum number of tokens of a document that is not cut."""
        return self.documents.room

    def spans(self, text: str) -> list[tuple[int, int]]:
        """The position of each token of a document, in characters (start, end)."""
        return self.documents.spans(text)

    @staticmethod
    def similarity(a: Vectors | torch.Tensor, b: Vectors | torch.Tensor) -> torch.Tensor:
        """Cosine similarities (n, m) of normalised vectors (n, d) and (m, d); (d,) is one row."""
        a_ND, b_MD = torch.as_tensor(a).float(), torch.as_tensor(b).float()
        return a_ND.reshape(-1, a_ND.shape[-1]) @ b_MD.reshape(-1, b_MD.shape[-1]).T


def _shaped(vectors: Vectors, single: bool, convert_to_tensor: bool) -> Vectors | torch.Tensor:
    shaped = vectors[0] if single else vectors
    return torch.from_numpy(shaped) if convert_to_tensor else shaped
