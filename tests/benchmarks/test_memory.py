"""benchmarks/memory.py: its arithmetic against real tiny models, and what must grow with what."""

import importlib
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
import torch
from tiny import make_checkpoint
from transformers import Qwen3Config, Qwen3ForCausalLM

from thought1 import T1
from thought1.training.model.adapters import add_adapters
from thought1.training.recipe import (
    ModelConfig,
    ReasonStage,
    ReinforceConfig,
    ReinforceStage,
    RewardConfig,
    StageConfig,
    load_recipe,
)

ROOT = Path(__file__).resolve().parents[2]
MODEL = ModelConfig("Qwen/Qwen3-0.6B", max_query_tokens=64, max_document_tokens=64)
REASON = ReasonStage("reason", (), tokens_per_batch=512, max_thought_tokens=16)
REINFORCE = ReinforceStage(
    "reinforce",
    (),
    max_thought_tokens=16,
    epochs=10.0,
    reinforce=ReinforceConfig((RewardConfig("ndcg"),), pool="index", index_steps=25),
)
GB = 1e9


def memory() -> ModuleType:
    return importlib.import_module("memory")


def tiny_model(layers: int = 3) -> Qwen3ForCausalLM:
    config = Qwen3Config(
        vocab_size=100,
        hidden_size=64,
        intermediate_size=160,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=24,
        tie_word_embeddings=True,
    )
    return Qwen3ForCausalLM(config)


def tiny_sizes(layers: int = 3) -> object:
    return memory().Sizes(layers, 64, 4, 2, 160, vocab=100, head_dim=24)


def test_the_parameters_are_those_of_a_real_model() -> None:
    assert tiny_sizes().parameters == tiny_model().num_parameters()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("name", "billions", "without_embedding"),
    [("0.6B", 0.6, 0.44), ("1.7B", 1.7, 1.4), ("4B-Instruct-2507", 4.0, 3.6)],
)
def test_the_parameters_are_those_of_the_model_cards(
    name: str, billions: float, without_embedding: float
) -> None:
    sizes = memory().MODELS[f"Qwen/Qwen3-{name}"]
    digits = 1 if without_embedding > 1 else 2
    assert round(sizes.parameters / 1e9, 1) == billions
    assert round(sizes.matrices / 1e9, digits) == without_embedding


def test_low_rank_updates_are_counted_as_peft_makes_them(tmp_path: Path) -> None:
    checkpoint = T1.from_pretrained(make_checkpoint(tmp_path / "qwen3"), dtype="float32").checkpoint
    stage = replace(REASON, lora_rank=4)
    add_adapters(checkpoint, stage)
    config = checkpoint.model.config
    sizes = memory().Sizes(
        config.num_hidden_layers,
        config.hidden_size,
        config.num_attention_heads,
        config.num_key_value_heads,
        config.intermediate_size,
        config.vocab_size,
        config.head_dim,
    )
    found = sum(p.numel() for p in checkpoint.model.parameters() if p.requires_grad)
    assert memory().trained(sizes, stage) == found


def kept(model: Qwen3ForCausalLM, tokens: int) -> int:
    """Bytes that autograd keeps of a forward pass in bf16 autocast, each storage once."""
    storages: dict[int, torch.UntypedStorage] = {}
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            storages[storage.data_ptr()] = storage
        return tensor

    hooks = torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor)
    with hooks, torch.autocast("cpu", dtype=torch.bfloat16):
        model.model(input_ids=torch.zeros(1, tokens, dtype=torch.long), use_cache=False)
    return sum(storage.nbytes() for storage in storages.values())


def test_a_layer_keeps_about_as_much_of_a_token_as_autograd_does() -> None:
    # Differences of lengths and of depths: casts of weights, embedding and last norm fall out.
    shallow, deep = tiny_model(1), tiny_model(3)
    grown = [kept(model, 256) - kept(model, 128) for model in (shallow, deep)]
    found = (grown[1] - grown[0]) / 2 / 128
    assert found == pytest.approx(tiny_sizes().layer_bytes, rel=0.15)  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["0.6B", "1.7B", "4B-Instruct-2507"])
def test_what_saves_memory_saves_it_and_what_needs_more_needs_more(name: str) -> None:
    sizes = memory().MODELS[f"Qwen/Qwen3-{name}"]

    def total(stage: StageConfig = REASON, gpus: int = 1, **longer: int) -> float:
        return float(memory().memory(sizes, replace(MODEL, **longer), stage, gpus).total)

    for less in (
        replace(REASON, gradient_checkpointing=True),
        replace(REASON, grad_cache_chunk=16),
        replace(REASON, lora_rank=8),
        replace(REASON, weight_sft=0.0),
    ):
        assert total(less) < total()
    for more in (
        replace(REASON, queries_per_batch=128),
        replace(REASON, positives_per_query=8),
        replace(REASON, negatives_per_query=2),
        replace(REASON, max_thought_tokens=32),
    ):
        assert total(more) > total()
    assert total(max_document_tokens=128) > total()
    assert total(gpus=8) == pytest.approx(total() + 4 * sizes.parameters)


def test_the_cache_of_rollouts_is_that_of_a_real_model() -> None:
    cache = tiny_model()(torch.zeros(2, 7, dtype=torch.long), use_cache=True).past_key_values
    found = sum(part.nbytes for layer in cache.layers for part in (layer.keys, layer.values))
    assert tiny_sizes().cache_bytes(2 * 7) == found  # type: ignore[attr-defined]


def config(**values: object) -> ReinforceStage:
    return replace(REINFORCE, reinforce=replace(REINFORCE.reinforce, **values))  # type: ignore[arg-type]


def test_what_takes_memory_in_stage_3() -> None:
    sizes = memory().MODELS["Qwen/Qwen3-0.6B"]

    def total(stage: StageConfig = REINFORCE) -> float:
        return float(memory().memory(sizes, MODEL, stage).total)

    assert total(config(weight_kl=0.04)) == pytest.approx(total() + 4 * sizes.parameters)
    for less in (
        replace(REINFORCE, weight_contrastive=0.0),
        replace(REINFORCE, accumulation=2),
        replace(REINFORCE, gradient_checkpointing=True),
        replace(REINFORCE, lora_rank=8),
    ):
        assert total(less) < total()
    for more in (
        config(group_size=16),
        replace(REINFORCE, queries_per_batch=128),
        replace(REINFORCE, max_thought_tokens=32),
    ):
        assert total(more) > total()
    # Read in small parts, the rollouts need no more than their cache: 64 x 8 rows of 81 tokens.
    small = replace(REINFORCE, accumulation=512, weight_contrastive=0.0)
    held = memory().memory(sizes, MODEL, small).activations
    assert held == sizes.cache_bytes(512 * 81)


def test_operations_of_stage_3() -> None:
    sizes = memory().MODELS["Qwen/Qwen3-0.6B"]
    reinforce = importlib.import_module("memory_reinforce")
    amounts = memory().Amounts(640, query=64, document=64, pool=500_000)

    def work(stage: StageConfig = REINFORCE, gpus: int = 1) -> tuple[float, float]:
        done = reinforce.operations(sizes, stage, amounts, gpus)
        return done.bf16, done.float32

    bf16, float32 = work()
    # 100 steps of 64 x 8 rows: thoughts of 17 tokens forwards, rows of 81 and 256 documents in
    # three passes, each 2 operations a weight and token; the head on the thoughts' four passes.
    layers = 2 * sizes.matrices * (512 * 17 + 3 * (512 * 81 + 256 * 64))
    head = 4 * 512 * 17 * 2 * sizes.vocab * sizes.hidden
    assert 1 < bf16 / (100 * (layers + head)) < 1.1
    # Prompts once for each question, and the index at steps 0, 25, 50 and 75.
    assert 1 < float32 / (2 * sizes.matrices * (100 * 64 * 64 + 4 * 500_000)) < 1.1
    assert work(config(index_steps=0))[1] < float32
    assert work(config(pool="batch"))[1] < float32
    for more in (config(iterations=2), config(weight_kl=0.04), config(group_size=16)):
        assert work(more)[0] > bf16
    assert work(replace(REINFORCE, lora_rank=8))[0] < bf16
    assert work(replace(REINFORCE, weight_contrastive=0.0))[0] < bf16
    assert work(gpus=8)[0] == pytest.approx(bf16 / 10)


@pytest.mark.parametrize("gpus", [1, 3])
@pytest.mark.parametrize("stage", [REINFORCE, replace(REINFORCE, max_steps=7)])
def test_the_steps_of_stage_3_are_those_that_are_planned(stage: StageConfig, gpus: int) -> None:
    from thought1.training.reinforce.prepare import plan_questions  # trl takes seconds to import

    planned = len(plan_questions(300, stage, 0, gpus)) / (stage.queries_per_batch * gpus)
    assert importlib.import_module("memory_reinforce").steps(stage, 300, gpus) == planned


def test_operations_grow_with_work_and_shrink_with_frozen_weights() -> None:
    sizes = memory().MODELS["Qwen/Qwen3-0.6B"]
    amounts = memory().Amounts(640, query=64, thought=16, document=64, singles=9000, labels=3000)

    def work(stage: StageConfig) -> float:
        return float(memory().operations(sizes, stage, amounts))

    assert work(replace(REASON, epochs=2.0)) == pytest.approx(2 * work(REASON))
    assert work(replace(REASON, lora_rank=8)) < work(REASON)
    assert work(replace(REASON, gradient_checkpointing=True)) > work(REASON)
    assert work(replace(REASON, grad_cache_chunk=16)) > work(REASON)
    # 10 batches of 64 questions with 4 documents each, 6 operations a weight and token, and a
    # quarter of the questions twice; attention and the head come on top.
    tokens = 640 * (1.25 * 80 + 4 * 64) + 9000
    assert 1 < work(REASON) / (6 * sizes.matrices * tokens) < 1.1


@pytest.mark.parametrize("name", ["0.6b", "1.7b", "4b-instruct-2507"])
def test_the_recipes_fit_80_gb(name: str) -> None:
    recipe = load_recipe(ROOT / "recipes" / f"qwen3-{name}.toml")
    sizes = memory().MODELS[recipe.model.base]
    for stage in recipe.stages:
        # A tenth is left for fragmentation and the CUDA context.
        assert memory().memory(sizes, recipe.model, stage, 8).total < 72 * GB
        if isinstance(stage, ReasonStage) and stage.sampled_folds:
            assert memory().folds_memory(sizes, recipe.model, stage).total < 72 * GB


def test_the_table_has_a_row_for_each_stage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "facts.jsonl").write_text('{"text": "ice is frozen water"}\n' * 30)
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        'name = "small"\nmodel = { base = "Qwen/Qwen3-0.6B" }\n[[stages]]\nname = "language"\n'
        "weight_contrastive = 0.0\nweight_lm = 1.0\n"
        '[[stages.sources]]\npath = "facts.jsonl"\nkind = "texts"\n'
    )
    assert memory().main([str(recipe), "--data", str(tmp_path)]) == 0
    header, _, row = capsys.readouterr().out.splitlines()
    assert row.startswith("| small: language | 596 |")
    assert row.count("|") == header.count("|")


def test_a_model_of_unknown_sizes_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert memory().main([str(ROOT / "recipes/worlds.toml"), "--data", str(tmp_path)]) == 2
    assert "the sizes of 'scratch' are not in" in capsys.readouterr().err
