"""Nothing is left at random, no foreign code runs, and every kind of folder loads or is refused."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as tf
from safetensors.torch import load_file, save_file
from tiny import GROUPED, SIZES, TEXTS, byte_level_tokenizer, make_checkpoint, word_piece_tokenizer

from thought1.cli.app import main
from thought1.engines.hf import max_positions
from thought1.model.checkpoint_loading import load_checkpoint
from thought1.t1 import T1
from thought1.types import Thought1Error

VOCAB = 420


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plain language model. Tests copy it before they change it."""
    return make_checkpoint(tmp_path_factory.mktemp("plain") / "llama", "llama")


@pytest.fixture
def copy(plain: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(plain, tmp_path / "copy"))


def load(folder: Path, **options: Any) -> T1:
    return T1.from_pretrained(folder, device="cpu", **options)


def edit_json(path: Path, **changes: Any) -> None:
    content = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps({**content, **changes}), "utf-8")


def edit_weights(
    folder: Path, change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]
) -> None:
    path = folder / "model.safetensors"
    weights = load_file(path)
    save_file(change(weights), path, metadata={"format": "pt"})


def save(model: tf.PreTrainedModel, folder: Path, **tokenizer: Any) -> Path:
    model.save_pretrained(folder)
    byte_level_tokenizer(**tokenizer).save_pretrained(folder)
    return folder


def message_of(folder: Path) -> str:
    """The one sentence with which a folder is refused."""
    with pytest.raises(Thought1Error) as error:
        load(folder)
    assert "\n" not in str(error.value)
    return str(error.value)


# -- what loading would leave at random ----------------------------------------------------------


@pytest.mark.parametrize(
    "missing",
    ["model.layers.1.mlp.up_proj.weight", "model.embed_tokens.weight", "model.norm.weight"],
)
def test_a_missing_tensor_is_named(missing: str, copy: Path) -> None:
    edit_weights(copy, lambda weights: {k: v for k, v in weights.items() if k != missing})
    assert f"lacks {missing} of LlamaForCausalLM" in message_of(copy)


def test_a_missing_layer_is_counted(copy: Path) -> None:
    edit_weights(copy, lambda w: {k: v for k, v in w.items() if "layers.1." not in k})
    assert re.search(r"lacks (model\.layers\.1\.\S+,? ){3}and 6 more tensors of", message_of(copy))


@pytest.mark.parametrize("prefix", ["base_model.model.", "0.auto_model.", "module."])
def test_weights_under_another_prefix_are_named(prefix: str, copy: Path) -> None:
    edit_weights(copy, lambda weights: {prefix + k: v for k, v in weights.items()})
    told = message_of(copy)
    assert "lacks model.embed_tokens.weight" in told
    assert f"it holds {prefix}lm_head.weight" in told


def test_a_head_under_another_prefix_is_no_missing_head(copy: Path) -> None:
    def moved(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {k.replace("lm_head", "language.lm_head"): v for k, v in weights.items()}

    edit_weights(copy, moved)
    assert "it holds language.lm_head.weight" in message_of(copy)


def test_another_shape_is_named(copy: Path) -> None:
    edit_json(copy / "config.json", intermediate_size=40)
    assert "stored with shape (32, 48), and config.json expects (32, 40)" in message_of(copy)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_weights_that_are_not_finite_leave_no_index(
    value: float, copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def spoilt(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        weights["model.layers.2.mlp.up_proj.weight"][3, 4] = value
        return weights

    edit_weights(copy, spoilt)
    corpus, index = tmp_path / "two.jsonl", tmp_path / "index"
    corpus.write_text('{"_id": "a", "text": "Whales sing."}\n')
    assert main(["index", str(corpus), "-o", str(index), "--model", str(copy)]) == 2
    told = capsys.readouterr().err
    assert "not finite numbers (model.layers.2.mlp.up_proj.weight, as torch.float32)" in told
    assert not index.exists()


@pytest.mark.parametrize("special", [False, True])
def test_more_tokens_than_rows(special: bool, copy: Path) -> None:
    tokenizer = tf.AutoTokenizer.from_pretrained(copy)
    rows = len(tokenizer)
    tokenizer.add_tokens(["<extra>", "<more>"], special_tokens=special)
    tokenizer.save_pretrained(copy)
    told = message_of(copy)
    assert f"the tokenizer has {rows + 2} tokens, but the embedding only {rows} rows" in told


# -- a missing language head ---------------------------------------------------------------------


def headless(folder: Path, kind: str) -> Path:
    torch.manual_seed(0)
    if kind == "bert":
        tokenizer = word_piece_tokenizer()
        tf.BertModel(tf.BertConfig(vocab_size=len(tokenizer), **SIZES)).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        return folder
    config = tf.LlamaConfig(vocab_size=VOCAB, **GROUPED)
    kinds = {"backbone": tf.LlamaModel, "classifier": tf.LlamaForSequenceClassification}
    return save(kinds[kind](config), folder)


@pytest.mark.parametrize("kind", ["backbone", "classifier", "bert"])
def test_without_a_head_it_embeds_and_does_not_think(kind: str, tmp_path: Path) -> None:
    folder = headless(tmp_path / kind, kind)
    model, again = load(folder), load(folder)
    for one in (model, again):
        for budget in (5, None):
            with pytest.raises(Thought1Error, match="has no language head and cannot think"):
                one.think(TEXTS, budget=budget)
            with pytest.raises(Thought1Error, match="has no language head and cannot think"):
                one.encode_query(TEXTS, budget=budget)
    np.testing.assert_array_equal(model.encode_document(TEXTS), again.encode_document(TEXTS))
    np.testing.assert_array_equal(
        model.encode_query(TEXTS, budget=0), again.encode_query(TEXTS, budget=0)
    )


@pytest.mark.parametrize("kind", ["backbone", "bert"])
def test_a_head_at_random_is_not_saved(kind: str, tmp_path: Path) -> None:
    model = load(headless(tmp_path / kind, kind))
    model.save_pretrained(tmp_path / "saved")
    again = load(tmp_path / "saved")
    with pytest.raises(Thought1Error, match="has no language head"):
        again.think(TEXTS)
    np.testing.assert_array_equal(model.encode_document(TEXTS), again.encode_document(TEXTS))


def test_the_command_line_refuses_to_think_before_anything_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = headless(tmp_path / "backbone", "backbone")
    assert main(["think", "why?", "--model", str(folder)]) == 2
    assert "has no language head" in capsys.readouterr().err
    out = tmp_path / "v.npy"
    lines = tmp_path / "lines.txt"
    lines.write_text("why?\n")
    arguments = ["embed", "--type", "query", "--input", str(lines), "--output", str(out)]
    assert main([*arguments, "--no-think", "--model", str(folder)]) == 0
    assert np.load(out).shape == (1, 32)


@pytest.mark.parametrize(
    "kind", [tf.Qwen3ForCausalLM, tf.Qwen3Model], ids=["whole", "backbone alone"]
)
def test_a_tied_head_is_not_missing(kind: type[tf.PreTrainedModel], tmp_path: Path) -> None:
    config = tf.Qwen3Config(vocab_size=VOCAB, tie_word_embeddings=True, **GROUPED)
    loaded = load(save(kind(config), tmp_path / "tied"))
    assert not loaded.checkpoint.random_head
    assert loaded.think(TEXTS, budget=3)[0].token_ids is not None


@pytest.mark.parametrize("kind", [tf.BertForPreTraining, tf.BertForMaskedLM])
def test_what_a_bert_has_besides_is_harmless(
    kind: type[tf.PreTrainedModel], tmp_path: Path
) -> None:
    tokenizer = word_piece_tokenizer()
    kind(tf.BertConfig(vocab_size=len(tokenizer), **SIZES)).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    assert not load(tmp_path).checkpoint.random_head


# -- code of a model's own -----------------------------------------------------------------------

CONFIGURATION = """\
from pathlib import Path
from transformers import Qwen3Config
Path(r"{mark}").touch()
class OwnConfig(Qwen3Config):
    model_type = "own_llm"
"""
MODELING = """\
from transformers import Qwen3ForCausalLM
from .configuration_own import OwnConfig
class OwnLM(Qwen3ForCausalLM):
    config_class = OwnConfig
"""


@pytest.fixture
def own_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model whose configuration and class lie in its folder; `ran` appears where they run."""
    modules = str(tmp_path / "modules")
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", modules)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in [name for name in sys.modules if name.startswith("transformers_modules")]:
        monkeypatch.delitem(sys.modules, name)  # they lie in the folder of another test
    folder = make_checkpoint(tmp_path / "own")
    classes = {
        "AutoConfig": "configuration_own.OwnConfig",
        "AutoModelForCausalLM": "modeling_own.OwnLM",
    }
    edit_json(folder / "config.json", model_type="own_llm", auto_map=classes)
    (folder / "configuration_own.py").write_text(CONFIGURATION.format(mark=tmp_path / "ran"))
    (folder / "modeling_own.py").write_text(MODELING)
    return folder


@pytest.fixture
def no_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(*_: object) -> str:
        raise AssertionError("standard input was read")

    monkeypatch.setattr("builtins.input", asked)


@pytest.mark.usefixtures("no_stdin")
def test_code_of_a_folder_runs_only_where_it_may(own_code: Path, tmp_path: Path) -> None:
    with pytest.raises(Thought1Error, match=r"custom Python code.*trust_remote_code"):
        load(own_code)
    assert not (tmp_path / "ran").exists()
    trusted = load(own_code, trust_remote_code=True)
    assert (tmp_path / "ran").exists()
    assert type(trusted.checkpoint.model).__name__ == "OwnLM"
    same = load(make_checkpoint(tmp_path / "same"))
    found, expected = trusted.encode_document(TEXTS), same.encode_document(TEXTS)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


@pytest.mark.usefixtures("no_stdin")
def test_a_tokenizer_with_code_is_refused_too(copy: Path) -> None:
    edit_json(
        copy / "tokenizer_config.json",
        tokenizer_class="OwnTokenizer",
        auto_map={"AutoTokenizer": ["tokenization_own.OwnTokenizer", None]},
    )
    (copy / "tokenization_own.py").write_text("raise SystemExit(7)\n")
    assert "trust_remote_code" in message_of(copy)


@pytest.mark.usefixtures("no_stdin")
def test_the_command_line_names_its_option(
    own_code: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines, out = tmp_path / "lines.txt", tmp_path / "v.npy"
    lines.write_text("1\nWhy is the sky blue?\n")
    command = ["embed", "--type", "document", "--input", str(lines), "--output", str(out)]
    command += ["--model", str(own_code)]
    assert main(command) == 2
    assert "give --trust-remote-code" in capsys.readouterr().err
    assert not (tmp_path / "ran").exists()
    assert not out.exists()
    assert main([*command, "--trust-remote-code"]) == 0, capsys.readouterr().err
    assert np.load(out).shape == (2, 32)


# -- architectures -------------------------------------------------------------------------------

SMALL = {"vocab_size": VOCAB, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}


def gemma3() -> tf.PreTrainedModel:
    text = {**SMALL, "intermediate_size": 48, "num_key_value_heads": 1, "head_dim": 16}
    vision = {**SMALL, "intermediate_size": 48, "image_size": 28, "patch_size": 14}
    del vision["vocab_size"]
    marks = {"image_token_index": 5, "boi_token_index": 6, "eoi_token_index": 7}
    config = tf.Gemma3Config(text_config=text, vision_config=vision, **marks)
    return tf.Gemma3ForConditionalGeneration(config)


def bloom() -> tf.PreTrainedModel:
    return tf.BloomForCausalLM(
        tf.BloomConfig(vocab_size=VOCAB, hidden_size=32, n_layer=2, n_head=2)
    )


def mpt() -> tf.PreTrainedModel:
    config = tf.MptConfig(vocab_size=VOCAB, d_model=32, n_layers=2, n_heads=2, max_seq_len=160)
    return tf.MptForCausalLM(config)


def gpt2() -> tf.PreTrainedModel:
    config = tf.GPT2Config(vocab_size=VOCAB, n_embd=32, n_layer=2, n_head=2, n_positions=192)
    return tf.GPT2LMHeadModel(config)


@pytest.mark.parametrize(
    ("build", "positions"),
    [(gemma3, 131_072), (bloom, sys.maxsize), (mpt, 160), (gpt2, 192)],
)
def test_models_that_keep_their_length_elsewhere(
    build: Callable[[], tf.PreTrainedModel], positions: int, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    built = build()
    with torch.no_grad():
        for parameter in built.parameters():
            if parameter.dim() > 1:
                parameter.normal_(0, 0.25)
    model = load(save(built, tmp_path / "model"))
    assert max_positions(model.checkpoint.model.config) == positions
    assert model.engine.max_positions == positions
    assert model.settings.max_document_tokens == min(512, positions)
    texts = ["Ice.", *(text[:60] for text in TEXTS)]
    together, alone = model.encode_document(texts), [model.encode_document(t) for t in texts]
    np.testing.assert_allclose(together, np.stack(alone), atol=1e-5)
    thought = model.think(["Ice.", "Why is ice cold?"], budget=4)[0]
    behind = model.encode_query(["Ice."], thoughts=[thought])[0]
    np.testing.assert_allclose(thought.vector, behind, atol=1e-5)


def state_space() -> tf.PreTrainedModel:
    return tf.MambaForCausalLM(
        tf.MambaConfig(vocab_size=VOCAB, hidden_size=32, num_hidden_layers=2)
    )


def hybrid() -> tf.PreTrainedModel:
    kinds = ["linear_attention", "full_attention"]
    small = {**SMALL, "intermediate_size": 48, "num_key_value_heads": 1, "head_dim": 16}
    linear = {"linear_num_key_heads": 2, "linear_num_value_heads": 2}
    dims = {"linear_key_head_dim": 8, "linear_value_head_dim": 8}
    experts = {"num_experts": 2, "num_experts_per_tok": 1, "moe_intermediate_size": 16}
    more = {**linear, **dims, **experts, "shared_expert_intermediate_size": 16}
    return tf.Qwen3NextForCausalLM(tf.Qwen3NextConfig(**small, **more, layer_types=kinds))


@pytest.mark.parametrize("build", [state_space, hybrid])
def test_a_state_in_the_place_of_keys_and_values_is_refused(
    build: Callable[[], tf.PreTrainedModel], tmp_path: Path
) -> None:
    told = message_of(save(build(), tmp_path / "model"))
    assert "keeps a state instead of keys and values" in told


def absolute_columns(tmp_path: Path) -> Path:
    sizes = {"d_model": 32, "decoder_layers": 2, "decoder_attention_heads": 2}
    config = tf.BartConfig(vocab_size=VOCAB, **sizes, decoder_ffn_dim=48, is_decoder=True)
    torch.manual_seed(0)
    model = tf.BartForCausalLM(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(0, 0.25)
    return save(model, tmp_path / "bart")


def test_a_model_whose_vectors_depend_on_padding_is_refused(tmp_path: Path) -> None:
    """A decoder of Bart learns places by column, and cannot be told others."""
    assert "which Thought 1 cannot run" in message_of(absolute_columns(tmp_path))


# -- folders that are no whole model -------------------------------------------------------------


@pytest.mark.parametrize(
    ("quantization", "package"),
    [
        ({"quant_method": "awq", "bits": 4, "group_size": 128}, "gptqmodel"),
        ({"quant_method": "gptq", "bits": 4}, "optimum"),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, "bitsandbytes"),
    ],
)
def test_a_quantised_model_says_what_to_install(
    quantization: dict[str, Any], package: str, copy: Path
) -> None:
    edit_json(copy / "config.json", quantization_config=quantization)
    assert re.search(rf"pip install .*{package}", message_of(copy))


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "config.json"])
def test_a_git_lfs_pointer(name: str, copy: Path) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
    (copy / name).write_text(pointer)
    told = message_of(copy)
    assert f"{name} is a Git LFS pointer" in told
    assert "git lfs pull" in told


def test_bin_weights_say_how_to_convert_them(copy: Path, plain: Path) -> None:
    weights = load_file(copy / "model.safetensors")
    names = sorted(weights)
    for number, part in enumerate((names[:5], names[5:]), start=1):
        held = {name: weights[name] for name in part}
        torch.save(held, copy / f"pytorch_model-{number:05}-of-00002.bin")
    (copy / "model.safetensors").unlink()
    command = re.search(r'python -c "(.*)"', message_of(copy))
    assert command is not None
    subprocess.run([sys.executable, "-c", command[1]], cwd=copy, check=True)
    np.testing.assert_array_equal(
        load(copy).encode_document(TEXTS), load(plain).encode_document(TEXTS)
    )


def test_an_adapter_is_no_model(copy: Path, tmp_path: Path) -> None:
    alone = tmp_path / "lora"
    alone.mkdir()
    for folder in (alone, copy):
        (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "owner/base"}')
        message = message_of(folder)
        assert "is an adapter" in message and "adapter_model.safetensors" in message


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("{% for m in messages %}{{ m['content'] }", "unexpected '}'"),
        ("{{ raise_exception('a system message must come first') }}", "a system message must"),
        ("{{ messages[0].content + 3 }}", "can only concatenate"),
        ("{{ messages[0].nothing.at_all }}", "has no attribute 'nothing'"),
    ],
)
def test_a_chat_template_that_fails(template: str, why: str, copy: Path) -> None:
    (copy / "chat_template.jinja").write_text(template)
    told = message_of(copy)
    assert "chat template" in told
    assert why in told


def test_a_failing_chat_template_is_not_read_where_t1_json_has_templates(
    plain: Path, tmp_path: Path
) -> None:
    load(plain).save_pretrained(tmp_path / "t1")
    (tmp_path / "t1" / "chat_template.jinja").write_text("{{ raise_exception('no') }}")
    assert load_checkpoint(tmp_path / "t1", device="cpu").settings
