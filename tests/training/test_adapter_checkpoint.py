"""A checkpoint that is an adapter: found with its base, merged, trained on, and refused."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from adapter_files import changed, plain_adapter, truncated
from gguf_files import write_gguf
from reason_recipe import OWN, REPRESENT, THINK, THOUGHTS
from safetensors.torch import load_file, save_file
from small_recipe import FACTS, HEAD, equal, recipe, weights
from tiny import make_checkpoint

from thought1.model import adapter as adapter_module
from thought1.model.checkpoint_loading import load_checkpoint
from thought1.model.checkpoint_saving import save_checkpoint
from thought1.t1 import T1
from thought1.training.recipe import Recipe
from thought1.training.run import train
from thought1.types import Thought1Error

QUERIES = ["Why do ice cubes crack in warm water?", "salt"]
LORA = "lora_rank = 2\nlora_alpha = 8\n"
TWO_STAGES = HEAD + REPRESENT + LORA + FACTS + THINK + LORA + OWN + THOUGHTS


def wanted(room: Path, output: Path, *overrides: str, text: str = TWO_STAGES) -> Recipe:
    settings = ("adapter=true", 'release_dtype="float32"', f"release={output / 'release'}")
    return recipe(room, output, *settings, *overrides, text=text)


@pytest.fixture(scope="module")
def trained(room: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(wanted(room, tmp_path_factory.mktemp("run") / "adapter"))


@pytest.fixture
def copy(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "copy"))


def refused(name: Path) -> str:
    with pytest.raises(Thought1Error) as caught:
        T1.from_pretrained(name)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# -- training ------------------------------------------------------------------------------------


def test_one_adapter_goes_through_all_stages(trained: Path, room: Path, tmp_path: Path) -> None:
    """To rounding what merging after each stage gives, which adds a second update to the first."""
    files = {path.name for path in trained.iterdir()}
    assert {"adapter_config.json", "adapter_model.safetensors", "t1.json"} <= files
    assert not list(trained.glob("model*.safetensors"))
    size = sum(path.stat().st_size for path in trained.glob("*.safetensors"))
    base = sum(path.stat().st_size for path in (room / "qwen3").glob("*.safetensors"))
    assert size < base / 2
    told = json.loads((trained / "t1.json").read_text())
    assert told["base"]["model"] == str((room / "qwen3").resolve())
    assert [entry["stage"] for entry in told["lineage"]] == ["represent", "reason"]
    first = load_file(trained.parent / "1-contrast" / "model" / "adapter_model.safetensors")
    last = load_file(trained / "adapter_model.safetensors")
    assert first.keys() == last.keys() and not equal(first, last)


def test_one_stage_is_the_merged_training(room: Path, tmp_path: Path) -> None:
    text = HEAD + REPRESENT + LORA + FACTS
    beside = T1.from_pretrained(train(wanted(room, tmp_path / "beside", text=text)))
    whole = T1.from_pretrained(train(wanted(room, tmp_path / "whole", "adapter=false", text=text)))
    np.testing.assert_allclose(beside.encode_query(QUERIES), whole.encode_query(QUERIES), atol=1e-6)
    assert beside.think(QUERIES, budget=4) == whole.think(QUERIES, budget=4)


def test_it_trains_on_from_an_adapter(trained: Path, room: Path, tmp_path: Path) -> None:
    text = HEAD + REPRESENT + LORA + FACTS
    more = train(wanted(room, tmp_path / "more", f"model.base={trained}", text=text))
    told = json.loads((more / "t1.json").read_text())
    assert told["base"] == json.loads((trained / "t1.json").read_text())["base"]
    other = wanted(room, tmp_path / "o", f"model.base={trained}", "stages.0.lora_rank=3", text=text)
    with pytest.raises(Thought1Error, match="must be those of the adapter that it trains, 2 and 8"):
        train(other)


def test_folds_are_taught_with_it(room: Path, tmp_path: Path) -> None:
    text = HEAD + REPRESENT + LORA + FACTS + THINK + LORA + THOUGHTS
    folds = (
        "stages.1.share_sampled_end=0.5",
        "stages.1.sampled_folds=2",
        "stages.1.fold_epochs=1.0",
    )
    found = train(wanted(room, tmp_path / "run", *folds, text=text))
    assert (found.parent / "2-think" / "own-thoughts-0.jsonl").is_file()


@pytest.mark.parametrize(
    ("overrides", "problem"),
    [
        (("stages.0.lora_rank=0",), "needs one lora_rank above 0"),
        (("stages.1.lora_alpha=3",), "needs one lora_rank above 0, and one lora_alpha"),
        (("model.vocab_size=100",), "remove scratch and vocab_size"),
    ],
)
def test_a_recipe_that_makes_no_adapter(
    room: Path, tmp_path: Path, overrides: tuple[str, ...], problem: str
) -> None:
    with pytest.raises(Thought1Error, match=problem):
        wanted(room, tmp_path / "run", *overrides)


# -- loading -------------------------------------------------------------------------------------


def test_merged_in_memory_it_is_an_ordinary_model(trained: Path, tmp_path: Path) -> None:
    model = T1.from_pretrained(trained)
    kept = T1(load_checkpoint(trained, device="cpu", merge=False))
    np.testing.assert_allclose(model.encode_query(QUERIES), kept.encode_query(QUERIES), atol=1e-5)
    assert not any("lora" in name for name, _ in model.checkpoint.model.named_modules())
    model.save_pretrained(tmp_path / "whole")
    assert "base" not in json.loads((tmp_path / "whole" / "t1.json").read_text())
    whole = T1.from_pretrained(tmp_path / "whole")
    np.testing.assert_array_equal(whole.encode_query(QUERIES), model.encode_query(QUERIES))
    assert weights(tmp_path / "whole")


def test_saved_again_it_is_the_same_adapter(trained: Path, tmp_path: Path) -> None:
    kept = T1(load_checkpoint(trained, device="cpu", merge=False))
    kept.save_pretrained(tmp_path / "again")
    again = T1.from_pretrained(tmp_path / "again")
    assert again.weights_hash == kept.weights_hash == T1.from_pretrained(trained).weights_hash
    kept.save_pretrained(tmp_path / "half", dtype="float16")
    half = T1.from_pretrained(tmp_path / "half")
    cosines = (np.asarray(half.encode_query(QUERIES)) * kept.encode_query(QUERIES)).sum(axis=1)
    assert cosines.min() > 0.999


def test_its_identity_is_of_the_base_and_the_updates(trained: Path, copy: Path) -> None:
    before = T1.from_pretrained(trained).checkpoint.identity
    assert T1.from_pretrained(copy).checkpoint.identity == before
    path = copy / "adapter_model.safetensors"
    state = load_file(path)
    save_file({name: 2 * value for name, value in state.items()}, path)
    assert T1.from_pretrained(copy).checkpoint.identity != before


def test_of_a_model_in_one_file(room: Path, tmp_path: Path) -> None:
    base = write_gguf(tmp_path / "tiny.gguf", "Q8_0")
    text = HEAD + REPRESENT + LORA + FACTS
    found = train(wanted(room, tmp_path / "run", f"model.base={base}", text=text))
    model = T1.from_pretrained(found)
    assert model.checkpoint.base is not None
    assert model.checkpoint.base.hash == T1.from_pretrained(base).weights_hash
    assert model.think(QUERIES, budget=3)
    whole = base.read_bytes()
    base.write_bytes(whole[:-100])
    assert "tiny.gguf is truncated" in refused(found)
    base.write_bytes(whole[:-1] + b"x")
    assert "is an adapter of another model than the one at" in refused(found)
    base.unlink()
    assert "is an adapter and needs its base: " in refused(found)


def test_somebody_s_adapter_without_t1_json(tmp_path: Path) -> None:
    base = make_checkpoint(tmp_path / "base")
    model = T1.from_pretrained(plain_adapter(tmp_path / "adapter", base))
    plain = T1.from_pretrained(base)
    assert model.settings.query == plain.settings.query
    assert not np.allclose(model.encode_query(QUERIES), plain.encode_query(QUERIES), atol=1e-3)
    model.save_pretrained(tmp_path / "whole")
    whole = T1.from_pretrained(tmp_path / "whole")
    np.testing.assert_array_equal(whole.encode_query(QUERIES), model.encode_query(QUERIES))


@pytest.mark.parametrize("more", [{}, {"use_rslora": True}, {"use_dora": True}, {"bias": "all"}])
def test_kinds_of_adapters_are_merged_as_peft_does(more: dict[str, Any], tmp_path: Path) -> None:
    from peft import LoraConfig, PeftModel
    from transformers import AutoModelForCausalLM

    config = LoraConfig(r=2, target_modules="all-linear", trainable_token_indices=[3], **more)
    base = make_checkpoint(tmp_path / "base")
    folder = plain_adapter(tmp_path / "adapter", base, config)
    whole = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), str(folder))
    ids = torch.tensor([[3, 9, 3, 20]])
    with torch.no_grad():
        wanted = whole.merge_and_unload().eval()(ids).logits
        found = load_checkpoint(folder, device="cpu").model(ids).logits
    # <emb_token> has a row of its own there.
    torch.testing.assert_close(found[..., : wanted.shape[-1]], wanted, rtol=0, atol=1e-5)


def test_an_adapter_with_tokens_of_its_own(tmp_path: Path) -> None:
    base = make_checkpoint(tmp_path / "base")
    folder = plain_adapter(tmp_path / "adapter", base, added=["<tool>", "<call>"])
    stored = load_file(folder / "adapter_model.safetensors")
    rows = stored["base_model.model.model.embed_tokens.weight"]
    model = T1.from_pretrained(folder)
    known = len(model.tokenizer) - 1  # <emb_token> came last
    assert known == len(rows)
    embedding = model.checkpoint.model.get_input_embeddings()
    assert torch.equal(embedding.weight[:known].cpu(), rows)
    with pytest.raises(
        Thought1Error, match=r"an embedding of \d+ rows, its base has \d+: it cannot"
    ):
        load_checkpoint(folder, merge=False)


def test_tokens_that_have_no_rows_are_refused(tmp_path: Path) -> None:
    """They would be filled with random numbers, others at each loading."""
    base = make_checkpoint(tmp_path / "base")
    added = plain_adapter(tmp_path / "added", base, added=["<tool>"])
    folder = plain_adapter(tmp_path / "adapter", base)
    for path in added.glob("tokenizer*"):
        shutil.copy(path, folder)
    assert "tokens, but the embedding only" in refused(folder)


@pytest.mark.parametrize("adapter", [True, False])
def test_a_training_starts_from_somebody_s_adapter(
    adapter: bool, room: Path, tmp_path: Path
) -> None:
    from peft import LoraConfig

    config = LoraConfig(r=2, lora_alpha=8, target_modules=["q_proj", "v_proj"])
    folder = plain_adapter(tmp_path / "plain", room / "qwen3", config)
    text = HEAD + REPRESENT + LORA + FACTS
    base = f"model.base={folder}"
    found = train(
        wanted(room, tmp_path / "run", base, f"adapter={str(adapter).lower()}", text=text)
    )
    assert (found / "adapter_config.json").is_file() is adapter
    assert T1.from_pretrained(found).think(QUERIES, budget=3)


@pytest.mark.parametrize(
    "entries", [{"lora_alpha": 64}, {"use_rslora": True}, {"alpha_pattern": {"q_proj": 64}}]
)
def test_its_identity_knows_how_much_the_updates_count(
    entries: dict[str, Any], tmp_path: Path
) -> None:
    folder = plain_adapter(tmp_path / "adapter", make_checkpoint(tmp_path / "base"))
    before = T1.from_pretrained(folder)
    vectors, identity = before.encode_document(QUERIES), before.checkpoint.identity
    changed(**entries)(folder)
    after = T1.from_pretrained(folder)
    assert not np.allclose(after.encode_document(QUERIES), vectors, atol=1e-3)
    assert after.checkpoint.identity != identity
    changed(lora_dropout=0.5, inference_mode=True, peft_version="9")(folder)
    assert T1.from_pretrained(folder).checkpoint.identity == after.checkpoint.identity


def test_a_whole_model_saved_over_an_adapter_is_what_loads(copy: Path) -> None:
    model = T1.from_pretrained(copy)
    with torch.no_grad():
        model.checkpoint.model.get_input_embeddings().weight.mul_(-1)
    wanted = np.asarray(model.encode_query(QUERIES))
    model.save_pretrained(copy)
    found = T1.from_pretrained(copy)
    assert found.checkpoint.base is None
    np.testing.assert_array_equal(found.encode_query(QUERIES), wanted)


def test_an_adapter_saved_over_a_whole_model_is_what_loads(trained: Path, tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path / "whole")
    kept = load_checkpoint(trained, device="cpu", merge=False)
    save_checkpoint(kept, folder)
    assert T1.from_pretrained(folder).weights_hash == kept.weights_hash
    names = {path.name for path in folder.iterdir()}
    assert not names & {"model.safetensors", "config.json", "generation_config.json"}


# -- refusals ------------------------------------------------------------------------------------


def without_weights(folder: Path) -> None:
    (folder / "adapter_model.safetensors").unlink()


def half(folder: Path) -> None:
    path = folder / "adapter_model.safetensors"
    state = load_file(path)
    save_file({name: state[name] for name in sorted(state)[::2]}, path)


def misshapen(folder: Path) -> None:
    path = folder / "adapter_model.safetensors"
    state = load_file(path)
    save_file(
        {name: value.repeat(1, 2) if value.dim() > 1 else value for name, value in state.items()},
        path,
    )


def not_finite(folder: Path) -> None:
    path = folder / "adapter_model.safetensors"
    state = load_file(path)
    state[min(state)].view(-1)[0] = torch.nan
    save_file(state, path)


def as_bin(folder: Path) -> None:
    path = folder / "adapter_model.safetensors"
    torch.save(load_file(path), folder / "adapter_model.bin")
    path.unlink()


def without_config(folder: Path) -> None:
    (folder / "adapter_config.json").unlink()


def broken_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").write_text("{")


def named(**entries: object) -> Callable[[Path], None]:
    """Another base in `t1.json`."""

    def change(folder: Path) -> None:
        path = folder / "t1.json"
        content = json.loads(path.read_text())
        content["base"].update(entries)
        path.write_text(json.dumps(content))

    return change


def not_json(folder: Path) -> None:
    (folder / "adapter_config.json").write_text("{")


@pytest.mark.parametrize(
    ("break_it", "problem"),
    [
        (truncated, "has a broken adapter_model.safetensors"),
        (without_weights, "is an adapter without adapter_model.safetensors"),
        (half, "does not fit its base"),
        (misshapen, r"is stored with shape \(\d+, \d+\), and the base expects"),
        (not_finite, "holds weights that are not finite numbers"),
        (as_bin, "holds its updates as adapter_model.bin"),
        (without_config, "holds an adapter's updates, but no adapter_config.json"),
        (broken_tokenizer, "has a broken tokenizer"),
        (named(hash="0" * 64), "is an adapter of another model than the one at .* 000000000000"),
        (named(model="/nowhere/gone"), r"needs its base: .*, say where in its t1.json \(base\)"),
        (not_json, "has a broken adapter_config.json"),
        (changed(a_new_trick=True), r"later version of peft \(it says a_new_trick\): upgrade peft"),
        (
            changed(peft_type="TELEPATHY"),
            r"kind 'TELEPATHY' \(peft_type\), which the installed peft",
        ),
        (changed(peft_type=None), r"kind None \(peft_type\)"),
        (changed(r=3), r"is stored with shape \(2, \d+\), and the base expects \(3, \d+\)"),
        (changed(target_modules=["nowhere"]), "does not fit its base .*nowhere"),
        (named(model=5), '"model" of "base" must be a text, not 5'),
        (named(model=""), '"model" of "base" must be a text'),
        (named(hash=None), '"hash" of "base" must be a text'),
        (named(model="package:no_such_package/x.gguf"), "pip install no-such-package; if it is"),
        (named(model="owner/name/x.gguf"), "needs its base: owner/name/x.gguf: no such file here"),
    ],
)
def test_what_is_broken(copy: Path, break_it: Callable[[Path], None], problem: str) -> None:
    break_it(copy)
    with pytest.raises(Thought1Error, match=problem):
        T1.from_pretrained(copy)
    assert refused(copy)


def test_options_of_later_versions_that_are_not_set(copy: Path, trained: Path) -> None:
    changed(a_new_trick=None, another=False, more=[])(copy)
    found = T1.from_pretrained(copy).encode_query(QUERIES)
    np.testing.assert_array_equal(found, T1.from_pretrained(trained).encode_query(QUERIES))


def test_an_adapter_that_cannot_be_merged(tmp_path: Path) -> None:
    from peft import PromptTuningConfig

    config = PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=2)
    base = make_checkpoint(tmp_path / "base")
    message = refused(plain_adapter(tmp_path / "adapter", base, config))
    assert "cannot be merged into weights (PROMPT_TUNING)" in message


def test_a_plain_adapter_whose_base_is_gone(tmp_path: Path) -> None:
    folder = plain_adapter(tmp_path / "adapter", make_checkpoint(tmp_path / "base"))
    (tmp_path / "base").rename(tmp_path / "moved")
    assert "say where in its adapter_config.json (base_model_name_or_path)" in refused(folder)
    changed(base_model_name_or_path=str(tmp_path / "moved"))(folder)
    assert T1.from_pretrained(folder).dim


def test_an_adapter_that_names_no_base(tmp_path: Path) -> None:
    folder = plain_adapter(tmp_path / "adapter", make_checkpoint(tmp_path / "base"))
    changed(base_model_name_or_path=None)(folder)
    assert "names no base" in refused(folder)
    changed(base_model_name_or_path=str(folder))(folder)
    assert "can neither be the base of one" in refused(folder)


def test_without_peft(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "peft", None)
    assert refused(trained).endswith('needs peft: pip install "thought1[adapters]"')


def test_a_peft_that_cannot_be_imported(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft.mapping", ModuleType("peft.mapping"))  # of an old one
    message = refused(trained)
    assert "the installed peft cannot be used (cannot import name 'PEFT_TYPE_TO_CONFIG" in message
    assert message.endswith('pip install --upgrade "thought1[adapters]"')


def test_a_base_that_changes_after_it_is_loaded_is_another_one(
    trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter_module, "hash_content", lambda _: "1" * 64)
    assert "its weights have changed since" in refused(trained)
