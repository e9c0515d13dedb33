"""One forward pass of packed texts: each has the vector and the loss that it has alone."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from tiny import ARCHITECTURES, make_checkpoint
from torch import Tensor
from transformers import PreTrainedModel

from thought1.model.checkpoint_loading import load_checkpoint
from thought1.training.data.collate import packed
from thought1.training.losses import IGNORE_INDEX
from thought1.training.model.base_model import switch_dropout_off
from thought1.training.model.embedder import TrainedEmbedder

Texts = Sequence[Sequence[int]]

LENGTHS = (40, 7, 25, 1, 12)
"""Some are longer than the window of 16 that two of the architectures have."""
HEAD = 3
"""So many ids of each text are its template: no targets."""


def random_texts(seed: int = 0) -> list[list[int]]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(5, 100, (n,), generator=generator).tolist() for n in LENGTHS]


def labels_of(texts: Texts) -> list[list[int]]:
    """As the collator has them: neither the template nor `<emb_token>` is a target."""
    return [
        [id if HEAD <= i < len(row) - 1 else IGNORE_INDEX for i, id in enumerate(row)]
        for row in texts
    ]


def batch(groups: Sequence[Texts]) -> tuple[Tensor, Tensor, Tensor]:
    """Ids, segments and labels of packed rows."""
    tensors = packed(groups, [labels_of(group) for group in groups])
    return tensors["ids"], tensors["segments"], tensors["labels"]


def together(texts: Texts) -> tuple[Tensor, Tensor, Tensor]:
    """Two rows: three texts and two."""
    return batch([texts[:3], texts[3:]])


def fresh(folder: Path, architecture: str, **settings: bool) -> TrainedEmbedder:
    make_checkpoint(folder / architecture, architecture)
    model = load_checkpoint(folder / architecture, dtype="float32", device="cpu").model
    switch_dropout_off(model)
    return TrainedEmbedder(model, **settings)


@pytest.fixture(scope="module", params=ARCHITECTURES)
def shared(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> TrainedEmbedder:
    return fresh(tmp_path_factory.mktemp("models"), request.param, language=True)


@pytest.fixture
def embedder(shared: TrainedEmbedder) -> TrainedEmbedder:
    """A model with a language loss, without gradients of the test before."""
    shared.zero_grad()
    return shared


def plain_loss(embedder: TrainedEmbedder, texts: Texts) -> Tensor:
    """transformers' own logits of each text alone, and torch's cross entropy."""
    logits, targets = [], []
    for text, labels in zip(texts, labels_of(texts), strict=True):
        found = embedder.network(input_ids=torch.tensor([text]), use_cache=False).logits[0]
        places = [i for i, label in enumerate(labels) if label != IGNORE_INDEX]
        logits.append(found[[i - 1 for i in places]])
        targets += [labels[i] for i in places]
    return F.cross_entropy(torch.cat(logits).float(), torch.tensor(targets))


# -- vectors ---------------------------------------------------------------------------------


def test_packed_texts_have_the_vectors_they_have_alone(embedder: TrainedEmbedder) -> None:
    texts = random_texts()
    hidden = [
        embedder.backbone(input_ids=torch.tensor([text]), use_cache=False).last_hidden_state[0, -1]
        for text in texts
    ]
    vectors, loss = embedder(*together(texts)[:2])
    assert vectors.dtype == torch.float32
    assert loss == 0
    torch.testing.assert_close(vectors, torch.stack(hidden), rtol=0, atol=1e-5)


def test_padding_changes_no_vector(embedder: TrainedEmbedder) -> None:
    texts = random_texts()
    padded = packed([[text] for text in texts])
    assert (padded["segments"] == 0).any()
    vectors, _ = embedder(padded["ids"], padded["segments"])
    other = torch.where(padded["segments"] > 0, padded["ids"], 99)
    torch.testing.assert_close(embedder(other, padded["segments"])[0], vectors, rtol=0, atol=1e-5)
    ids, segments, _ = together(texts)
    torch.testing.assert_close(embedder(ids, segments)[0], vectors, rtol=0, atol=1e-5)
    wider = [F.pad(tensor, (0, 30)) for tensor in (ids, segments)]
    torch.testing.assert_close(embedder(*wider)[0], vectors, rtol=0, atol=1e-5)


def test_the_language_loss_changes_no_vector(embedder: TrainedEmbedder) -> None:
    ids, segments, labels = together(random_texts())
    without, _ = embedder(ids, segments)
    torch.testing.assert_close(embedder(ids, segments, labels)[0], without, rtol=0, atol=1e-5)


@pytest.mark.parametrize("changed", range(len(LENGTHS)))
def test_no_text_sees_its_neighbour(embedder: TrainedEmbedder, changed: int) -> None:
    """Vectors and losses of the others stay as they are when one text becomes another."""
    texts = random_texts()
    other = [random_texts(seed=1)[i] if i == changed else text for i, text in enumerate(texts)]
    vectors, losses = each(embedder, texts)
    new_vectors, new_losses = each(embedder, other)
    for i in range(len(texts)):
        if i == changed:
            assert (new_vectors[i] - vectors[i]).abs().max() > 1e-2
            assert LENGTHS[i] == 1 or (new_losses[i] - losses[i]).abs() > 1e-3
        else:
            torch.testing.assert_close(new_vectors[i], vectors[i], rtol=0, atol=1e-6)
            torch.testing.assert_close(new_losses[i], losses[i], rtol=0, atol=1e-5)


@torch.no_grad()
def each(embedder: TrainedEmbedder, texts: Texts) -> tuple[Tensor, list[Tensor]]:
    """Vectors of packed texts, and the loss of each one's labels."""
    ids, segments, labels = together(texts)
    losses = []
    for row, segment in ((0, 1), (0, 2), (0, 3), (1, 1), (1, 2)):
        own = torch.full_like(labels, IGNORE_INDEX)
        place = segments[row] == segment
        own[row, place] = labels[row, place]
        losses.append(embedder(ids, segments, own)[1])
    return embedder(ids, segments)[0], losses


# -- the next-token loss ---------------------------------------------------------------------


def test_the_loss_is_that_of_the_plain_model(embedder: TrainedEmbedder) -> None:
    texts = random_texts()
    _, found = embedder(*together(texts))
    found.backward()
    slopes = {name: p.grad for name, p in embedder.named_parameters()}
    embedder.zero_grad()
    expected = plain_loss(embedder, texts)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    expected.backward()
    for name, parameter in embedder.named_parameters():
        slope = slopes[name]
        if parameter.grad is None:
            assert slope is None or not slope.any(), name
        else:
            assert slope is not None, name
            largest = parameter.grad.abs().max().item()
            torch.testing.assert_close(
                slope, parameter.grad, rtol=0, atol=1e-4 * largest + 1e-6, msg=name
            )


def test_under_autocast(embedder: TrainedEmbedder) -> None:
    texts = random_texts()
    with torch.autocast("cpu", dtype=torch.bfloat16), torch.no_grad():
        vectors, loss = embedder(*together(texts))
        alone = torch.cat([embedder(*batch([[text]]))[0] for text in texts])
        expected = plain_loss(embedder, texts)
    exact, _ = embedder(*together(texts))
    assert vectors.dtype == loss.dtype == torch.float32
    torch.testing.assert_close(loss, expected, rtol=3e-2, atol=0)
    for reference in (alone, exact):
        assert torch.cosine_similarity(vectors, reference).min() > 0.99


def test_the_head_computes_labelled_places_only(embedder: TrainedEmbedder) -> None:
    shapes: list[torch.Size] = []
    head = embedder.network.get_output_embeddings()
    assert head is not None
    hook = head.register_forward_hook(
        lambda _module, inputs, _output: shapes.append(inputs[0].shape)
    )
    ids, segments, labels = together(random_texts())
    embedder(ids, segments, labels)
    embedder(ids, segments)
    hook.remove()
    assert [shape[:2] for shape in shapes] == [(1, int((labels != IGNORE_INDEX).sum()))]


def test_an_error_leaves_the_model_as_it_was(embedder: TrainedEmbedder) -> None:
    """Logits of the picked places alone must not outlive the forward pass."""
    ids, segments, labels = together(random_texts())
    with pytest.raises(IndexError):
        embedder(ids + 10**6, segments, labels)
    found = embedder.network(input_ids=ids, use_cache=False).logits
    assert found.shape[:2] == ids.shape


def test_without_any_label_the_loss_is_zero(embedder: TrainedEmbedder) -> None:
    ids, segments, labels = together(random_texts())
    vectors, loss = embedder(ids, segments, torch.full_like(labels, IGNORE_INDEX))
    assert loss == 0
    (vectors.sum() + loss).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in embedder.parameters())


def test_no_parameter_is_left_without_a_gradient(embedder: TrainedEmbedder) -> None:
    """Otherwise processes that train together would wait for one another for ever."""
    ids, segments, labels = together(random_texts())
    nothing = torch.full_like(labels, IGNORE_INDEX)
    for targets, used in ((None, 0), (labels, 0), (labels, 1), (nothing, 0), (nothing, 1)):
        embedder.zero_grad()
        vectors, loss = embedder(ids, segments, targets)
        (loss if used else vectors.sum() + loss).backward()
        lost = [
            name for name, p in embedder.named_parameters() if p.requires_grad and p.grad is None
        ]
        assert lost == []


def test_a_batch_without_labels_does_not_move_the_head(embedder: TrainedEmbedder) -> None:
    vectors, _ = embedder(*together(random_texts())[:2])
    vectors.sum().backward()
    backbone = {id(parameter) for parameter in embedder.backbone.parameters()}
    head = [p for p in embedder.parameters() if id(p) not in backbone]
    assert all(p.grad is not None and not p.grad.any() for p in head)
    with torch.no_grad():
        assert not embedder(*together(random_texts())[:2])[0].requires_grad


def test_without_language_the_head_stays_out(tmp_path: Path) -> None:
    embedder = fresh(tmp_path, "llama")
    assert {id(p) for p in embedder.parameters()} == {id(p) for p in embedder.backbone.parameters()}
    assert "network.lm_head.weight" not in embedder.state_dict()
    ids, segments, labels = together(random_texts())
    vectors, loss = embedder(ids, segments, labels)
    assert loss == 0
    assert torch.equal(vectors, embedder(ids, segments)[0])


# -- checkpoints -----------------------------------------------------------------------------


def test_a_checkpoint_holds_tied_weights_once_and_loads_back(
    embedder: TrainedEmbedder, tmp_path: Path
) -> None:
    state = embedder.state_dict()
    own = {name for name, _ in embedder.named_parameters()}
    assert own <= set(state)
    assert len({tensor.data_ptr() for tensor in state.values()}) == len(state)
    save_file(state, tmp_path / "model.safetensors")  # which refuses shared memory
    before = {name: parameter.detach().clone() for name, parameter in embedder.named_parameters()}
    with torch.no_grad():
        for parameter in embedder.parameters():
            parameter.zero_()
    found = embedder.load_state_dict(load_file(tmp_path / "model.safetensors"), strict=False)
    embedder.tie_weights()
    assert found.unexpected_keys == []
    assert sorted(found.missing_keys) == sorted(embedder._keys_to_ignore_on_save)
    for name, parameter in embedder.named_parameters():
        assert torch.equal(parameter, before[name]), name
    tied(embedder.network)


def tied(model: PreTrainedModel) -> None:
    """The language head reads the embedding where the configuration says so."""
    head, embedding = model.get_output_embeddings(), model.get_input_embeddings()
    assert isinstance(head, torch.nn.Linear) and isinstance(embedding, torch.nn.Embedding)
    assert (head.weight is embedding.weight) == bool(model.config.tie_word_embeddings)


@pytest.mark.parametrize(("architecture", "left_out"), [("qwen3", 1), ("llama", 0), ("bert", 2)])
def test_what_a_checkpoint_leaves_out(tmp_path: Path, architecture: str, left_out: int) -> None:
    assert len(fresh(tmp_path, architecture, language=True)._keys_to_ignore_on_save) == left_out
