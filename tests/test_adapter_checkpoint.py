"""A checkpoint that is an adapter: found with its base, merged, trained on, and refused."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from gguf_files import write_gguf
from reason_recipe import OWN, REPRESENT, THINK, THOUGHTS, make_thinking_room
from safetensors.torch import load_file, save_file
from small_recipe import FACTS, HEAD, equal, recipe, weights, without_gpu
from tiny import make_checkpoint

from thought1 import adapter as adapter_module
from thought1.checkpoint import load_checkpoint
from thought1.t1 import T1
from thought1.training.recipe import Recipe
from thought1.training.run import train
from thought1.types import Thought1Error

QUERIES = ["Why do ice cubes crack in warm water?", "salt"]
LORA = "lora_rank = 2\nlora_alpha = 8\n"
TWO_STAGES = HEAD + REPRESENT + LORA + FACTS + THINK + LORA + OWN + THOUGHTS


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with without_gpu():
        yield make_thinking_room(tmp_path_factory.mktemp("room"))


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
    folds = ("stages.1.share_own_end=0.5", "stages.1.own_folds=2", "stages.1.fold_epochs=1.0")
    found = train(wanted(room, tmp_path / "run", *folds, text=text))
    assert (found.parent / "2-think" / "own-thoughts-0.jsonl").is_file()


@pytest.mark.parametrize(
    ("overrides", "problem"),
    [
        (("stages.0.lora_rank=0",), "needs one lora_rank above 0"),
        (("stages.1.lora_alpha=3",), "needs one lora_rank above 0, and one lora_alpha"),
        (("model.vocab_size=100",), "neither scratch nor vocab_size"),
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


def plain_adapter(folder: Path, base: Path) -> Path:
    """Somebody's own, made by peft alone."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    network = AutoModelForCausalLM.from_pretrained(base)
    adapter = get_peft_model(network, LoraConfig(r=2, target_modules=["q_proj", "v_proj"]))
    torch.manual_seed(1)
    for name, parameter in adapter.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(0, 0.5)
    adapter.save_pretrained(folder)
    return folder


def test_somebody_s_adapter_without_t1_json(tmp_path: Path) -> None:
    base = make_checkpoint(tmp_path / "base")
    model = T1.from_pretrained(plain_adapter(tmp_path / "adapter", base))
    plain = T1.from_pretrained(base)
    assert model.settings.query == plain.settings.query
    assert not np.allclose(model.encode_query(QUERIES), plain.encode_query(QUERIES), atol=1e-3)
    model.save_pretrained(tmp_path / "whole")
    whole = T1.from_pretrained(tmp_path / "whole")
    np.testing.assert_array_equal(whole.encode_query(QUERIES), model.encode_query(QUERIES))


# -- refusals ------------------------------------------------------------------------------------


def changed(**entries: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "adapter_config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **entries}))

    return change


def truncated(folder: Path) -> None:
    path = folder / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes()[:500])


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


def other_base(folder: Path) -> None:
    path = folder / "t1.json"
    content = json.loads(path.read_text())
    content["base"]["hash"] = "0" * 64
    path.write_text(json.dumps(content))


def no_base(folder: Path) -> None:
    path = folder / "t1.json"
    content = json.loads(path.read_text())
    content["base"]["model"] = str(folder / "gone")
    path.write_text(json.dumps(content))


def not_json(folder: Path) -> None:
    (folder / "adapter_config.json").write_text("{")


@pytest.mark.parametrize(
    ("break_it", "problem"),
    [
        (truncated, "does not fit its base"),
        (without_weights, "is an adapter without adapter_model.safetensors"),
        (half, "does not fit its base"),
        (misshapen, "does not fit its base"),
        (other_base, "is an adapter of another model than what lies at"),
        (no_base, "is an adapter and needs its base: "),
        (not_json, "has a broken adapter_config.json"),
        (changed(a_new_trick=True), r"later version of peft \(it says a_new_trick\): upgrade peft"),
        (changed(peft_type="TELEPATHY"), "has a broken adapter_config.json"),
    ],
)
def test_what_is_broken(copy: Path, break_it: Callable[[Path], None], problem: str) -> None:
    break_it(copy)
    with pytest.raises(Thought1Error, match=problem):
        T1.from_pretrained(copy)
    assert refused(copy)


def test_an_adapter_that_names_no_base(tmp_path: Path) -> None:
    folder = plain_adapter(tmp_path / "adapter", make_checkpoint(tmp_path / "base"))
    changed(base_model_name_or_path=None)(folder)
    assert "names no base" in refused(folder)
    changed(base_model_name_or_path=str(folder))(folder)
    assert "can neither be the base of one" in refused(folder)


def test_without_peft(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "peft", None)
    assert refused(trained).endswith('needs peft: pip install "thought1[adapters]"')


def test_a_base_that_changes_after_it_is_loaded_is_another_one(
    trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter_module, "hash_content", lambda _: "1" * 64)
    assert "its weights have changed since" in refused(trained)
