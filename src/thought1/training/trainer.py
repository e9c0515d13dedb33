"""`transformers.Trainer` for a stage: the loss is a sum of named terms, each of them logged.

`terms` says what the terms of a batch are; this class adds them up, also by chunks (GradCache). It
knows the trainer's seams, no files and no recipes beyond the stage's own values.
"""

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from transformers import Trainer

from thought1.training import losses
from thought1.training.contrastive_terms import Inputs, Terms, stage_terms
from thought1.training.model.anchor import Anchor, set_rate
from thought1.training.recipe import SupervisedStage


class StageTrainer(Trainer):
    """A trainer whose model is an `Embedder`.

    With `grad_cache_chunk` a batch of pairs is encoded in chunks (GradCache): more in-batch
    negatives than fit in memory, at the price of a second forward pass.
    """

    def __init__(self, *, stage: SupervisedStage, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.stage = stage
        self.anchor: Anchor | None = getattr(self.model, "anchor", None)
        self.model_accepts_loss_kwargs = False
        self._seen: dict[str, list[Tensor]] = {}

    def compute_loss(
        self,
        model: nn.Module,
        inputs: Inputs,
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Tensor | tuple[Tensor, Any]:
        """The loss of one batch; the trainer divides it by the batches of a step."""
        queries_QD, query_language = self._encode(model, inputs, "query")
        if "document_given" in inputs:
            documents_ND, document_language = inputs["document_given"], query_language.new_zeros(())
        else:
            documents_ND, document_language = self._encode(model, inputs, "document")
        terms = stage_terms(self.stage, queries_QD, documents_ND, inputs, self.anchor)
        _, thought_language = self._encode(model, inputs, "thought")
        if any(name.endswith("_labels") for name in inputs):
            language = query_language + document_language + thought_language
            terms["language"] = self.stage.weight_language * language
        loss = self._sum(terms, queries_QD, documents_ND)
        return (loss, {}) if return_outputs else loss

    def training_step(
        self,
        model: nn.Module,
        inputs: Inputs,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Tensor:
        """Forward and backward pass of one batch; pairs by chunks where the stage says so."""
        if not self.stage.grad_cache_chunk or "positives" not in inputs:
            return super().training_step(model, inputs, num_items_in_batch)
        model.train()
        return self._by_chunks(model, self._prepare_inputs(inputs))

    def _by_chunks(self, model: nn.Module, inputs: Inputs) -> Tensor:
        accumulated = self.current_gradient_accumulation_steps
        labelled = inputs.get("query_labels", torch.zeros(0)) != losses.IGNORE_INDEX
        total = max(int(labelled.sum()), 1)
        language = torch.zeros((), device=self.args.device)

        def loss_fn(queries_QD: Tensor, documents_ND: Tensor) -> Tensor:
            documents_ND = inputs.get("document_given", documents_ND)
            terms = stage_terms(self.stage, queries_QD, documents_ND, inputs, self.anchor)
            return self._sum(terms, queries_QD, documents_ND) / accumulated

        def encode(chunk: Inputs, last: bool) -> tuple[Tensor, Tensor]:
            labels_BT = chunk.get("labels") if last else None
            with self.compute_loss_context_manager():
                vectors_BD, mean = model(chunk["ids"], chunk["segments"], labels_BT)
            if labels_BT is None:
                return vectors_BD, mean
            # The chunks' means become the mean over all labels of the batch.
            share = int((labels_BT != losses.IGNORE_INDEX).sum()) / total
            language.add_(mean.detach() * share)
            return vectors_BD, self.stage.weight_language * share * mean / accumulated

        loss = losses.grad_cache(
            encode,
            _chunks(inputs, "query", self.stage.grad_cache_chunk),
            _chunks(inputs, "document", self.stage.grad_cache_chunk),
            loss_fn,
            no_sync=partial(self.accelerator.no_sync, model),
        )
        if "query_labels" in inputs:
            self._note("language", self.stage.weight_language * language)
        return loss + self.stage.weight_language * language / accumulated

    def _encode(self, model: nn.Module, inputs: Inputs, role: str) -> tuple[Tensor, Tensor]:
        if f"{role}_ids" not in inputs:
            empty = torch.zeros(0, 1, device=self.args.device)
            return empty, empty.sum()
        vectors_MD, language = model(
            inputs[f"{role}_ids"], inputs[f"{role}_segments"], inputs.get(f"{role}_labels")
        )
        return vectors_MD, language

    def _sum(self, terms: Terms, queries_QD: Tensor, documents_ND: Tensor) -> Tensor:
        for name, term in terms.items():
            self._note(name, term)
        return total(terms, queries_QD, documents_ND)

    def _note(self, name: str, term: Tensor) -> None:
        self._seen.setdefault(name, []).append(term.detach())

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """The trainer's own, and a rate for a learnt anchor."""
        made = self.optimizer is None
        optimizer: torch.optim.Optimizer = super().create_optimizer(model)
        if made:
            set_rate(optimizer, self.anchor)
        return optimizer

    def log(self, logs: dict[str, float], *arguments: Any, **settings: Any) -> None:
        """Add the mean of each term since the last entry, and a learnt anchor."""
        found = {f"loss_{name}": float(torch.stack(v).mean()) for name, v in self._seen.items()}
        self._seen = {}
        if self.anchor is not None and self.anchor.learnt:
            found["anchor"] = self.anchor.value
        super().log({**logs, **found}, *arguments, **settings)


def total(terms: Terms, queries_QD: Tensor, documents_ND: Tensor) -> Tensor:
    """The sum of all terms, a scalar that always has a graph."""
    if not terms:  # a single text under a term that compares texts
        return 0 * (queries_QD.sum() + documents_ND.sum())
    return torch.stack(list(terms.values())).sum()


def _chunks(inputs: Inputs, role: str, size: int) -> list[Inputs]:
    """The rows of one side, some at a time."""
    names = [name for name in ("ids", "segments", "labels") if f"{role}_{name}" in inputs]
    if not names:
        return []
    parts = zip(*(inputs[f"{role}_{name}"].split(size) for name in names), strict=True)
    return [dict(zip(names, part, strict=True)) for part in parts]
