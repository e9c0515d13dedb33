"""LoRA: adapters and the row of `<emb_token>` learn, the rest stays, and nobody sees it later."""

import builtins
import copy
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from reason_recipe import (
    PAIRS,
    RECIPE,
    batch_of,
    collator,
    reason,
    references,
    tiny_model,
)
from small_recipe import recipe, weights
from torch import Tensor, nn

from thought1.model.checkpoint_loading import load_checkpoint
from thought1.model.checkpoint_saving import save_checkpoint
from thought1.t1 import T1
from thought1.training.contrastive_terms import stage_terms
from thought1.training.cross_fit import sample_thoughts
from thought1.training.data.thoughts import SampledThoughts
from thought1.training.model.adapters import add_adapters, merged
from thought1.training.model.embedder import TrainedEmbedder
from thought1.training.run import train
from thought1.training.trainer import StageTrainer
from thought1.types import Thought1Error

LORA = reason(lora_rank=2, lora_alpha=16)
TIED = {"qwen3": True, "llama": False, "bert": True}
"""Whether the language head is the embedding."""


@pytest.fixture(params=TIED)
def model(request: pytest.FixtureRequest, tmp_path: Path) -> T1:
    made = tiny_model(tmp_path, request.param)
    assert made.checkpoint.model.config.tie_word_embeddings == TIED[request.param]
    return made


def adapted(model: T1, folder: Path, steps: int = 5) -> Callable[[], object]:
    """Train adapters of `model`, SFT and contrast; returns the merge."""
    trained = add_adapters(model.checkpoint, LORA)
    embedder = TrainedEmbedder(model.checkpoint.model, language=True).train()
    trainable = [parameter for parameter in embedder.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trainable, lr=3e-2)
    own = SampledThoughts(folder)
    inputs = collator(model, own)([batch_of(["none", "reference", "none", "reference"])])
    for _ in range(steps):
        vectors, language = embedder(
            *(inputs[f"query_{name}"] for name in ("ids", "segments", "labels"))
        )
        documents, _ = embedder(inputs["document_ids"], inputs["document_segments"])
        (contrast,) = stage_terms(LORA, vectors, documents, inputs).values()
        (contrast + language).backward()
        optimizer.step()
        optimizer.zero_grad()
    model.checkpoint.model.eval()
    return lambda: merged(trained)


def parameters(model: T1) -> dict[str, Tensor]:
    state = model.checkpoint.model.state_dict()
    return {name: value.detach().clone() for name, value in state.items()}


def in_backbone_linear(model: T1) -> set[str]:
    network = model.checkpoint.model
    backbone = {id(module) for module in network.base_model.modules()}
    return {
        f"{name}.weight"
        for name, module in network.named_modules()
        if isinstance(module, nn.Linear) and id(module) in backbone
    }


def test_only_linear_layers_and_one_row_change(model: T1, tmp_path: Path) -> None:
    """After the merge the model has the tensors that it had, and nothing of peft."""
    before, linear = parameters(model), in_backbone_linear(model)
    emb_id = model.checkpoint.emb_id
    adapted(model, tmp_path)()
    after = parameters(model)
    assert after.keys() == before.keys()
    rows = set()
    for name, value in after.items():
        if name in linear:
            # An update of rank 2.
            assert torch.linalg.matrix_rank(value - before[name], tol=1e-4) == 2, name
        elif not torch.equal(value, before[name]):
            changed = (value != before[name]).any(1).nonzero().flatten().tolist()
            assert changed == [emb_id], name
            rows.add(name)
    network = model.checkpoint.model
    head, embedding = network.get_output_embeddings(), network.get_input_embeddings()
    assert isinstance(head, nn.Linear) and isinstance(embedding, nn.Embedding)
    assert torch.equal(embedding.weight[emb_id], _row(after, rows, emb_id))
    tied = head.weight is embedding.weight
    assert tied == network.config.tie_word_embeddings
    assert not any("lora" in name or "token_adapter" in name for name, _ in network.named_modules())
    assert all(type(m) is nn.Linear for m in network.modules() if isinstance(m, nn.Linear))


def _row(state: dict[str, Tensor], names: set[str], emb_id: int) -> Tensor:
    """The one new row, under however many names it goes."""
    found = {tuple(state[name][emb_id].tolist()) for name in names}
    assert len(found) == 1
    return torch.tensor(found.pop())


def test_a_tied_head_is_tied_while_it_learns(tmp_path: Path) -> None:
    """The logit of `<emb_token>` comes from the row that is being trained."""
    model = tiny_model(tmp_path)
    adapted(model, tmp_path)
    network, emb_id = model.checkpoint.model, model.checkpoint.emb_id
    with torch.no_grad():
        row = network.get_input_embeddings()(torch.tensor([emb_id]))[0]
        outputs = network(input_ids=torch.tensor([[5, 9, emb_id]]))
        hidden = network.base_model(input_ids=torch.tensor([[5, 9, emb_id]])).last_hidden_state
    torch.testing.assert_close(outputs.logits[0, :, emb_id], hidden[0] @ row, rtol=1e-4, atol=1e-4)
    fresh = T1.from_pretrained(tmp_path, dtype="float32", device="cpu").checkpoint.model
    old = fresh.get_input_embeddings()(torch.tensor([emb_id]))[0]
    assert not torch.allclose(old, row, atol=1e-3)


def vectors(model: T1) -> list[np.ndarray[Any, Any]]:
    texts = [pair.query for pair in PAIRS[1:]]
    thoughts = list(references(model).values())
    return [
        np.asarray(model.encode_document([text for pair in PAIRS for text in pair.positives])),
        np.asarray(model.encode_query(texts, budget=0)),
        np.asarray(model.encode_query(texts, thoughts=thoughts)),
        np.stack([t.vector for t in sample_thoughts(model, PAIRS, LORA, 3).values()]),  # type: ignore[misc]
    ]


@pytest.mark.numerics
def test_the_merged_checkpoint_needs_no_peft(
    model: T1, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = vectors(model)
    merge = adapted(model, tmp_path)
    expected = vectors(model)
    assert all(float((a * b).sum(1).min()) < 0.99 for a, b in zip(plain, expected, strict=True))
    merge()
    save_checkpoint(model.checkpoint, tmp_path / "merged")
    assert not list((tmp_path / "merged").glob("adapter*"))
    for name in [name for name in sys.modules if name.partition(".")[0] == "peft"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", without_peft(builtins.__import__))
    loaded = T1(load_checkpoint(tmp_path / "merged", dtype="float32", device="cpu"))
    for found, wanted in zip(vectors(loaded), expected, strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-5)


def without_peft(usual: Callable[..., Any]) -> Callable[..., Any]:
    def found(name: str, *positional: Any, **named: Any) -> Any:
        if name.partition(".")[0] == "peft":
            raise ImportError(name)
        return usual(name, *positional, **named)

    return found


def test_without_peft_one_sentence_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny_model(tmp_path)
    before = copy.deepcopy(parameters(model))
    monkeypatch.setattr(builtins, "__import__", without_peft(builtins.__import__))
    with pytest.raises(Thought1Error, match=r'pip install "thought1\[train\]"'):
        add_adapters(model.checkpoint, LORA)
    assert parameters(model).keys() == before.keys()
    add_adapters(model.checkpoint, replace(LORA, lora_rank=0))
    assert all(parameter.requires_grad for parameter in model.checkpoint.model.parameters())


# -- in a training -------------------------------------------------------------------------------

SETTINGS = ("stages.0.lora_rank=2", "stages.0.save_minutes=0", "stages.0.learning_rate=1e-2")


def test_an_interrupted_training_goes_on_with_its_adapters(
    room: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bit for bit, with own thoughts sampled by the adapted model."""
    whole = train(recipe(room, tmp_path / "whole", *SETTINGS, text=RECIPE))
    step = StageTrainer.training_step

    def interrupted(self: StageTrainer, *positional: Any, **named: Any) -> Tensor:
        if self.state.global_step == 4:
            raise KeyboardInterrupt
        return step(self, *positional, **named)

    cut = recipe(room, tmp_path / "cut", *SETTINGS, text=RECIPE)
    with monkeypatch.context() as patch:
        patch.setattr(StageTrainer, "training_step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(cut)
    found = weights(train(cut))
    expected = weights(whole)
    base = weights(room / "qwen3")
    assert found.keys() == expected.keys()
    assert all(torch.equal(value, expected[name]) for name, value in found.items())
    changed = {n for n, v in found.items() if n not in base or not torch.equal(v, base[n])}
    assert len(changed) == 3 * 7 + 1  # linear layers of three blocks, and the embedding
    for number in (0, 1, 2):
        name = f"own-thoughts-{number}.jsonl"
        assert (whole.parent / name).read_text() == (tmp_path / "cut/1-think" / name).read_text()
