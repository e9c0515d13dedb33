"""What is loaded besides a T1: peers and teachers of sentence-transformers, bases of recipes."""

import json
from pathlib import Path

import pytest
import torch
import transformers as tf
from safetensors.torch import load_file, save_file
from tiny import SIZES, make_checkpoint, word_piece_tokenizer

from thought1.cli.app import main
from thought1.model.sentence_model import SentenceModel
from thought1.training.model.base_model import check_stages, start_checkpoint
from thought1.training.recipe import STAGES, ModelConfig, SourceConfig, StageConfig
from thought1.training.teacher import teach
from thought1.types import Thought1Error


@pytest.fixture
def peer(tmp_path: Path) -> Path:
    """A sentence-transformers model; its encoder has no pooler, which nothing reads."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    torch.manual_seed(0)
    tokenizer = word_piece_tokenizer()
    config = tf.BertConfig(vocab_size=len(tokenizer), **SIZES)
    tf.BertModel(config, add_pooling_layer=False).save_pretrained(tmp_path / "bert")
    tokenizer.save_pretrained(tmp_path / "bert")
    modules = [Transformer(str(tmp_path / "bert")), Pooling(32)]
    SentenceTransformer(modules=modules).save(str(tmp_path / "peer"))
    return tmp_path / "peer"


def edit(folder: Path, *, drop: str = "", spoil: str = "") -> None:
    path = folder / "model.safetensors"
    weights = {
        name: value for name, value in load_file(path).items() if not drop or drop not in name
    }
    if spoil:
        weights[spoil][0] = float("nan")
    save_file(weights, path, metadata={"format": "pt"})


def test_a_whole_peer_loads(peer: Path, tmp_path: Path) -> None:
    assert SentenceModel.load(str(peer)).embed_queries(["ice"]).shape == (1, 32)
    assert teach(peer, ["ice"], tmp_path / "cache")["ice"].shape == (32,)


def test_a_peer_or_teacher_that_lacks_weights_is_refused(peer: Path, tmp_path: Path) -> None:
    edit(peer, drop="layer.1.output.dense")
    lacks = (
        r"lacks encoder\.layer\.1\.output\.dense\.bias, encoder\.layer\.1\.output\.dense\.weight"
    )
    with pytest.raises(Thought1Error, match=lacks):
        SentenceModel.load(str(peer))
    with pytest.raises(Thought1Error, match=lacks):
        teach(peer, ["ice"], tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("*"))


def test_a_peer_with_weights_that_are_not_finite_is_refused(peer: Path) -> None:
    edit(peer, spoil="embeddings.LayerNorm.weight")
    with pytest.raises(Thought1Error, match="not finite"):
        SentenceModel.load(str(peer))


def test_pickled_weights_of_a_peer_are_refused_unread(peer: Path) -> None:
    (weights,) = peer.rglob("model.safetensors")
    torch.save(load_file(weights), weights.with_name("pytorch_model.bin"))
    SentenceModel.load(str(peer))  # beside safetensors nobody reads it
    weights.unlink()
    with pytest.raises(Thought1Error, match=r"pytorch_model\.bin.*safetensors.*convert"):
        SentenceModel.load(str(peer))


def test_a_peer_or_teacher_that_git_lfs_has_not_fetched(peer: Path, tmp_path: Path) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
    (peer / "model.safetensors").write_text(pointer)
    with pytest.raises(Thought1Error, match="git lfs pull"):
        SentenceModel.load(str(peer))
    with pytest.raises(Thought1Error, match="git lfs pull"):
        teach(peer, ["ice"], tmp_path / "cache")


def test_code_of_a_peer_does_not_run(
    peer: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "m"))
    config = json.loads((peer / "config.json").read_text())
    own = {"model_type": "own", "auto_map": {"AutoConfig": "own.Own", "AutoModel": "own.Model"}}
    (peer / "config.json").write_text(json.dumps(config | own))
    (peer / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\n")
    with pytest.raises(Thought1Error, match="custom Python code"):
        SentenceModel.load(str(peer))
    with pytest.raises(Thought1Error, match="custom Python code"):
        teach(peer, ["ice"], tmp_path / "cache")
    beir = tmp_path / "beir"
    (beir / "qrels").mkdir(parents=True)
    (beir / "corpus.jsonl").write_text('{"_id": "d", "text": "Ice."}\n')
    (beir / "queries.jsonl").write_text('{"_id": "q", "text": "ice?"}\n')
    (beir / "qrels" / "dev.tsv").write_text("query-id\tcorpus-id\tscore\nq\td\t1\n")
    command = ["evaluate", str(beir), "--split", "dev", "--no-results", "--system", f"st:{peer}"]
    assert main(command) == 2
    assert "give --trust-remote-code" in capsys.readouterr().err
    assert not (tmp_path / "ran").exists()


def test_every_command_that_loads_a_model_can_allow_its_code() -> None:
    surface = json.loads((Path(__file__).parents[1] / "golden" / "surface.json").read_text())
    commands = surface["command line"]
    loading = [name for name, options in commands.items() if "--model" in options]
    assert len(loading) >= 7
    assert [n for n in loading if "--trust-remote-code" not in commands[n]] == []


# -- the base of a recipe ------------------------------------------------------------------------


def bare_bert(folder: Path) -> Path:
    tokenizer = word_piece_tokenizer()
    tf.BertModel(tf.BertConfig(vocab_size=len(tokenizer), **SIZES)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def stage(kind: str, **options: float) -> StageConfig:
    source = SourceConfig("facts", "beir")
    return STAGES[kind](kind, (source,), max_thought_tokens=8, **options)  # type: ignore[arg-type]


LENGTHS = {"max_query_tokens": 64, "max_document_tokens": 64, "thought_budget": 8}


def test_thoughts_need_a_head_that_a_stage_has_taught(tmp_path: Path) -> None:
    config = ModelConfig(str(bare_bert(tmp_path / "bert")), **LENGTHS)
    checkpoint = start_checkpoint(config, [])
    assert checkpoint.random_head
    contrast = stage("represent", weight_lm=0.0)
    with pytest.raises(Thought1Error, match=r"stage reason: .* has no language head, and no stage"):
        check_stages(checkpoint, [contrast, stage("reason", weight_sft=0.0)])
    check_stages(checkpoint, [contrast])
    check_stages(checkpoint, [contrast, stage("reason", weight_sft=1.0)])
    check_stages(checkpoint, [stage("represent", weight_lm=1.0), stage("reason", weight_sft=0.0)])
    whole = start_checkpoint(ModelConfig(str(make_checkpoint(tmp_path / "whole")), **LENGTHS), [])
    check_stages(whole, [stage("reason", weight_sft=0.0)])


def test_a_base_that_counts_columns_is_not_trained(tmp_path: Path) -> None:
    from tiny import byte_level_tokenizer

    config = tf.BloomConfig(vocab_size=420, hidden_size=32, n_layer=2, n_head=2)
    tf.BloomForCausalLM(config).save_pretrained(tmp_path)
    byte_level_tokenizer().save_pretrained(tmp_path)
    with pytest.raises(Thought1Error, match="Thought 1 cannot train it"):
        start_checkpoint(ModelConfig(str(tmp_path)), [])
