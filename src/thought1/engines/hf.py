"""The default engine: any `AutoModelForCausalLM` of transformers, on CPU or GPU.

Token ids in, vectors and token ids out. It knows no text, no template and no store.
Vectors are the backbone's `last_hidden_state` (after the final norm), never
`hidden_states[-1]`, which some architectures return before that norm.
"""

import inspect
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from threading import get_ident

import torch
from torch import Tensor
from transformers import DynamicCache, PretrainedConfig, PreTrainedModel
from transformers.cache_utils import DynamicLayer

from thought1.engines.decoding import ThoughtBatch
from thought1.engines.last_layer import last_tokens_only
from thought1.engines.lean import lean_step, runs_lean
from thought1.engines.linear import onednn_linears
from thought1.engines.packed import PackedLinears
from thought1.engines.padding import Ids, Padded, no_row_empty, pad
from thought1.engines.precision import thought_precision
from thought1.engines.prefix import PrefixCache
from thought1.engines.running import JoinableBatch, normalized
from thought1.engines.snapshots import fork
from thought1.engines.stream import collected
from thought1.types import Generation, Sampling, Step, Thought1Error, Vectors


def has_windows(model: PreTrainedModel) -> bool:
    """Whether some layer's attention sees the last tokens only."""
    layers = DynamicCache(config=model.config).layers
    return any(type(layer) is not DynamicLayer for layer in layers)


def takes_positions(model: PreTrainedModel) -> bool:
    """Whether the model accepts the position of each token. Others count columns (ALiBi)."""
    return "position_ids" in inspect.signature(model.base_model.forward).parameters


def max_positions(config: PretrainedConfig) -> int:
    """Longest sequence a model accepts, in tokens; `sys.maxsize` where nothing limits it."""
    text = config.get_text_config(decoder=True)  # Gemma 3 and others keep it one level down
    for name in ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length"):
        found = getattr(text, name, None)
        if isinstance(found, int) and found > 0:
            return found
    return sys.maxsize


class HFEngine:
    """Runs a causal language model of transformers.

    Args:
        model: a model with a language head; it is put into evaluation mode.
        emb_id: token id of `<emb_token>`.
        eos_ids: ids that end a text; sampled inside a thought they become `<emb_token>`.
        padding_side: "right" shares the prefix among rows; "left" pads whole sequences.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        emb_id: int,
        eos_ids: frozenset[int],
        padding_side: str = "right",
    ) -> None:
        self.model = model.eval()
        self.emb_id = emb_id
        self.eos_ids = eos_ids - {emb_id}
        self._takes_positions = takes_positions(model)
        # A sliding window counts columns, not positions: padding in the middle would shift it.
        columns = has_windows(model) or not self._takes_positions
        self.padding_side = "left" if columns else padding_side
        self.joinable = not columns
        """Whether rows can join a batch that runs already."""
        self._prefix = PrefixCache(model)
        self._packed = PackedLinears()
        self._packed_prefix = PrefixCache(model)
        self._rounds = True

    @property
    def dim(self) -> int:
        """Dimension of the vectors: the backbone's hidden size."""
        return int(self.model.config.get_text_config(decoder=True).hidden_size)

    @property
    def max_positions(self) -> int:
        """Longest sequence the backbone accepts, in tokens."""
        return max_positions(self.model.config)

    @torch.inference_mode()
    def embed(self, prefix: Ids, rows: Sequence[Ids]) -> Vectors:
        """Vectors (n, d) at the last token of each `prefix + row`; the language head never runs.

        Raises:
            Thought1Error: a sequence is longer than the backbone's positions.
        """
        if not rows:
            return normalized(torch.zeros(0, self.dim))
        self.check_length(len(prefix) + max(map(len, rows)))
        with onednn_linears(self.model):
            cache, batch, mask_BK = self.start(*no_row_empty(prefix, rows), self._prefix)
            if self.padding_side == "left":
                return normalized(self._backbone(batch, mask_BK, cache)[:, -1])
            with last_tokens_only(self.model, cache, batch.last_B):
                hidden_BTD = self._backbone(batch, mask_BK, cache)
        if hidden_BTD.shape[1] == 1:
            return normalized(hidden_BTD[:, 0])
        rows_B = torch.arange(len(rows), device=hidden_BTD.device)
        return normalized(hidden_BTD[rows_B, batch.last_B])

    def generate(
        self,
        prefix: Ids,
        rows: Sequence[Ids],
        budgets: Sequence[int],
        sampling: Sampling,
        *,
        copies: int = 1,
        snapshots: Sequence[int] = (),
    ) -> list[Generation]:
        """A thought of at most `budgets[i]` tokens after each `prefix + rows[i]`, and its vector.

        All rows are one batch. A row leaves it with the step that reads its `<emb_token>`, which
        is one cached decode step after its last sampled token.

        Args:
            copies: how many thoughts each row gets, which read its prompt together and follow
                each other in the answer; the first is the one it gets alone.
            snapshots: numbers of tokens after which each thought's vector is read as well. They
                change no thought, and hold a second cache in memory while they are read.
        """
        steps = self.stream(prefix, rows, budgets, sampling, copies=copies, snapshots=snapshots)
        return collected(steps, snapshots)

    def stream(
        self,
        prefix: Ids,
        rows: Sequence[Ids],
        budgets: Sequence[int],
        sampling: Sampling,
        *,
        copies: int = 1,
        snapshots: Sequence[int] = (),
    ) -> Iterator[Step]:
        """`generate`, step by step; the prompts are read with the first one.

        Nothing of the model is held between two steps: other calls, other streams included, may
        come in between. Closing the iterator frees the rows and their cache.
        """
        longest = max((len(r) + n for r, n in zip(rows, budgets, strict=True)), default=-1)
        self.check_length(len(prefix) + longest + 1)
        return self._steps(prefix, rows, budgets, sampling, copies, snapshots)

    def running(self) -> JoinableBatch:
        """An empty batch that rows join and leave."""
        return JoinableBatch(self)

    def _steps(
        self,
        prefix: Ids,
        rows: Sequence[Ids],
        budgets: Sequence[int],
        sampling: Sampling,
        copies: int,
        snapshots: Sequence[int],
    ) -> Iterator[Step]:
        batch = self.running()
        batch.join(prefix, rows, budgets, sampling, copies=copies, snapshots=snapshots)
        while batch.size:
            yield batch.step()

    def thinking(self) -> AbstractContextManager[None]:
        """Inside, products are those of thoughts."""
        return onednn_linears(self.model, self._packed if self._in_bfloat16() else None)

    @contextmanager
    def unrounded(self) -> Iterator[None]:
        """Inside, thoughts are computed in the numbers of the model, whatever T1_THOUGHTS says."""
        self._rounds = False
        try:
            yield
        finally:
            self._rounds = True

    def _in_bfloat16(self) -> bool:
        if not self._rounds:
            return False
        on_cpu = self.model.device.type == "cpu" and self.model.dtype == torch.float32
        return on_cpu and thought_precision().name == "bfloat16"

    def prefill(self, prefix: Ids, rows: Sequence[Ids]) -> ThoughtBatch:
        """Everything but each prompt's last token, which the first decode step reads."""
        prefix, rows = no_row_empty(prefix, rows)
        last_B = [row[-1] for row in rows]
        lengths = [len(prefix) + len(row) - 1 for row in rows]
        heads = [row[:-1] for row in rows]
        if prefix or max(map(len, heads)):
            prefixes = self._packed_prefix if self._in_bfloat16() else self._prefix
            cache, batch, mask_BK = self.start(prefix, heads, prefixes)
            if batch.ids_BT.shape[1]:
                self._backbone(batch, mask_BK, cache)
        else:
            cache = DynamicCache(config=self.model.config)
            mask_BK = torch.zeros(len(rows), 0, dtype=torch.long, device=self.model.device)
        return ThoughtBatch(cache, mask_BK, torch.tensor(lengths), torch.tensor(last_B))

    def start(
        self, prefix: Ids, rows: Sequence[Ids], prefixes: PrefixCache
    ) -> tuple[DynamicCache, Padded, Tensor]:
        """A cache that holds the prefix, the padded rows, and the mask over both."""
        device = self.model.device
        if self.padding_side == "left":
            cache = DynamicCache(config=self.model.config)
            batch = pad([[*prefix, *row] for row in rows], left=True, device=device)
            return cache, batch, batch.mask_BT
        batch = pad(rows, left=False, device=device)
        ones = torch.ones(len(rows), len(prefix), dtype=torch.long, device=device)
        return prefixes.expanded(prefix, len(rows)), batch, torch.cat([ones, batch.mask_BT], 1)

    def _backbone(self, batch: Padded, mask_BK: Tensor, cache: DynamicCache) -> Tensor:
        """Last hidden states (B, T, D) of the new tokens; positions come from the mask."""
        positions_BK = (mask_BK.cumsum(1) - 1).clamp(min=0)
        width = batch.ids_BT.shape[1]
        # Causal attention never sees padding after a row: only padding before it is masked.
        masked = self.padding_side == "left" and batch.ragged
        outputs = self.model.base_model(
            input_ids=batch.ids_BT,
            attention_mask=mask_BK if masked else None,
            **self.positions(positions_BK[:, -width:]),
            past_key_values=cache,
            use_cache=True,
        )
        hidden_BTD: Tensor = outputs.last_hidden_state
        return hidden_BTD

    def positions(self, positions_BT: Tensor) -> dict[str, Tensor]:
        """The model's argument for positions, if it has one."""
        if not self._takes_positions:
            return {}
        return {"position_ids": positions_BT.to(self.model.device)}

    def decode_step(self, batch: ThoughtBatch) -> tuple[Tensor, Tensor]:
        """Hidden states (B, D) and logits (B, V) after one more token of each row.

        One forward then serves both: logits for rows that think on, vectors for rows that end. The
        cache and mask grow by a column.
        """
        tokens_B, positions_B = batch.tokens_B.to(self.model.device), batch.positions_B
        mask_BK = batch.grow_mask()
        if runs_lean(self.model):
            return lean_step(self.model, tokens_B, positions_B, mask_BK, batch.cache)
        with self._hidden_of_last_forward() as hidden:
            outputs = self.model(
                input_ids=tokens_B[:, None],
                attention_mask=mask_BK,
                **self.positions(positions_B[:, None]),
                past_key_values=batch.cache,
                use_cache=True,
            )
        return hidden[0][:, -1], outputs.logits[:, -1]

    def vectors_aside(self, batch: ThoughtBatch, places: Sequence[int]) -> Vectors:
        """Vectors (n, d) of some rows if each read `<emb_token>` next; the batch stays as it is."""
        emb_B1 = torch.full((len(places), 1), self.emb_id, device=self.model.device)
        mask_BK, positions_B, cache = batch.mask_BK, batch.positions_B, fork(batch.cache)
        if len(places) < batch.size:
            index = torch.tensor(places)
            mask_BK, positions_B = mask_BK[index.to(mask_BK.device)], positions_B[index]
            cache.batch_select_indices(index.to(mask_BK.device))
        outputs = self.model.base_model(
            input_ids=emb_B1,
            attention_mask=torch.cat([mask_BK, mask_BK.new_ones(len(places), 1)], 1),
            **self.positions(positions_B[:, None]),
            past_key_values=cache,
            use_cache=True,
        )
        return normalized(outputs.last_hidden_state[:, -1])

    @contextmanager
    def _hidden_of_last_forward(self) -> Iterator[list[Tensor]]:
        """A one-element list with the backbone's last hidden state (B, T, D) of each forward."""
        box: list[Tensor] = []
        thread = get_ident()

        def keep(_module: object, _inputs: object, outputs: object) -> None:
            if get_ident() == thread:  # other threads may run the same model at the same time
                box[:] = [outputs.last_hidden_state]  # type: ignore[attr-defined]

        handle = self.model.base_model.register_forward_hook(keep)
        try:
            yield box
        finally:
            handle.remove()

    def check_length(self, length: int) -> None:
        """Raises Thought1Error if a sequence of this many tokens does not fit."""
        if length > self.max_positions:
            raise Thought1Error(
                f"a sequence of {length} tokens does not fit the model's {self.max_positions} "
                "positions: use a smaller thought budget or a smaller maximum length"
            )
