"""GradCache must give the loss and the gradients of the plain loss, dropout included."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor

from thought1.training.losses import grad_cache, info_nce


class Encoder(torch.nn.Module):
    """A small network with dropout that notes, for each pass with a graph, whether it syncs."""

    def __init__(self, dtype: torch.dtype = torch.float64, dropout: float = 0.3) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = torch.nn.Sequential(
            torch.nn.Linear(6, 16),
            torch.nn.Tanh(),
            torch.nn.Dropout(dropout),
            torch.nn.Linear(16, 4),
        ).to(dtype)
        self.weight = torch.nn.Parameter(torch.tensor(0.7, dtype=dtype))
        self.syncing = True
        self.synced: list[bool] = []

    def forward(self, rows: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            self.synced.append(self.syncing)
        return self.layers(rows)

    def alone(self, rows: Tensor, last: bool) -> tuple[Tensor, Tensor]:
        """Vectors of a chunk that adds no loss of its own."""
        return self(rows), torch.zeros(())

    def loss(self, queries_QD: Tensor, documents_ND: Tensor) -> Tensor:
        """A loss with a parameter of its own."""
        shape = (len(queries_QD), len(documents_ND))
        positives_QN = torch.eye(*shape, dtype=torch.bool, device=queries_QD.device)
        return self.weight * info_nce(queries_QD, documents_ND, positives_QN, temperature=0.1)

    @contextmanager
    def no_sync(self) -> Iterator[None]:
        self.syncing = False
        yield
        self.syncing = True

    def gradients(self) -> Tensor:
        return torch.cat([parameter.grad.flatten() for parameter in self.parameters()])


Chunks = list[Tensor]


def chunks(dtype: torch.dtype = torch.float64, device: str = "cpu") -> tuple[Chunks, Chunks]:
    """Ragged chunks of 6 queries and 9 documents."""
    generator = torch.Generator().manual_seed(1)
    queries, documents = (
        torch.randn(n, 6, generator=generator, dtype=dtype).to(device) for n in (6, 9)
    )
    return list(queries.split([3, 1, 2])), list(documents.split([4, 4, 1]))


def plain(encoder: Encoder, queries: Chunks, documents: Chunks) -> Tensor:
    """The same chunks with all graphs kept: what GradCache must equal."""
    vectors = [encoder(chunk) for chunk in [*queries, *documents]]
    loss = encoder.loss(torch.cat(vectors[: len(queries)]), torch.cat(vectors[len(queries) :]))
    loss.backward()
    return loss


def assert_equal_to_plain(
    encoder: Encoder,
    queries: Chunks,
    documents: Chunks,
    *,
    steps: int = 1,
    tolerance: float = 1e-12,
) -> None:
    torch.manual_seed(5)
    expected = [plain(encoder, queries, documents) for _ in range(steps)]
    expected_gradients = encoder.gradients()
    after = torch.rand(3)
    encoder.zero_grad()
    torch.manual_seed(5)
    found = [grad_cache(encoder.alone, queries, documents, encoder.loss) for _ in range(steps)]
    torch.testing.assert_close(torch.stack(found), torch.stack(expected), rtol=tolerance, atol=0)
    largest = expected_gradients.abs().max().item()
    torch.testing.assert_close(
        encoder.gradients(), expected_gradients, rtol=0, atol=tolerance * largest
    )
    assert torch.rand(3).equal(after), "the generator must go on as after one pass"
    assert not any(loss.requires_grad for loss in found)


def test_equals_the_plain_loss_with_dropout() -> None:
    assert_equal_to_plain(Encoder(), *chunks())


def test_gradients_accumulate_over_calls() -> None:
    assert_equal_to_plain(Encoder(), *chunks(), steps=2)


def test_equals_one_undivided_batch() -> None:
    encoder = Encoder(dropout=0.0)
    queries, documents = chunks()
    encoder.loss(encoder(torch.cat(queries)), encoder(torch.cat(documents))).backward()
    whole = encoder.gradients()
    encoder.zero_grad()
    grad_cache(encoder.alone, queries, documents, encoder.loss)
    torch.testing.assert_close(encoder.gradients(), whole, rtol=1e-10, atol=1e-14)


def test_without_the_random_state_it_would_differ() -> None:
    """The comparison above has teeth: other dropout masks give other gradients."""
    encoder = Encoder()
    torch.manual_seed(5)
    plain(encoder, *chunks())
    first = encoder.gradients()
    encoder.zero_grad()
    plain(encoder, *chunks())
    assert not torch.allclose(encoder.gradients(), first, rtol=1e-3)


def test_random_numbers_of_the_loss_are_not_drawn_again() -> None:
    encoder = Encoder()
    queries, documents = chunks()
    torch.manual_seed(5)
    for chunk in [*queries, *documents]:
        encoder(chunk)
    torch.rand(())
    after = torch.rand(3)
    torch.manual_seed(5)
    grad_cache(encoder.alone, queries, documents, lambda q, d: torch.rand(()) * encoder.loss(q, d))
    assert torch.rand(3).equal(after)


def test_under_autocast() -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert_equal_to_plain(Encoder(torch.float32), *chunks(torch.float32), tolerance=2e-2)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu() -> None:
    encoder = Encoder().to("cuda")
    assert_equal_to_plain(encoder, *chunks(device="cuda"), tolerance=1e-10)


def test_only_the_last_chunk_syncs() -> None:
    encoder = Encoder()
    grad_cache(encoder.alone, *chunks(), encoder.loss, no_sync=encoder.no_sync)
    assert encoder.synced == [False] * 5 + [True]


def test_loss_of_one_side_only() -> None:
    encoder = Encoder(dropout=0.0)
    queries, documents = chunks()
    grad_cache(encoder.alone, queries, documents, lambda q, d: encoder.weight * q.square().sum())
    found = encoder.gradients()
    encoder.zero_grad()
    (encoder.weight * encoder(torch.cat(queries)).square().sum()).backward()
    torch.testing.assert_close(found, encoder.gradients(), rtol=1e-10, atol=1e-14)


def test_needs_a_chunk_of_queries() -> None:
    encoder = Encoder()
    with pytest.raises(ValueError, match="at least one chunk"):
        grad_cache(encoder, [], chunks()[1], encoder.loss)


def test_documents_may_have_their_vectors_already() -> None:
    encoder = Encoder(dropout=0.0)
    queries, documents = chunks()
    known = torch.cat([encoder(chunk) for chunk in documents]).detach()
    loss = grad_cache(encoder.alone, queries, [], lambda q, _: encoder.loss(q, known))
    found = encoder.gradients()
    encoder.zero_grad()
    expected = encoder.loss(encoder(torch.cat(queries)), known)
    expected.backward()
    torch.testing.assert_close(loss, expected.detach(), rtol=1e-10, atol=1e-14)
    torch.testing.assert_close(found, encoder.gradients(), rtol=1e-10, atol=1e-14)


def test_chunks_add_losses_of_their_own() -> None:
    encoder = Encoder(dropout=0.0)
    queries, documents = chunks()
    asked: list[bool] = []

    def encode(rows: Tensor, last: bool) -> tuple[Tensor, Tensor]:
        asked.append(last)
        vectors = encoder(rows)
        return vectors, encoder.weight * vectors.square().sum() if last else torch.zeros(())

    grad_cache(encode, queries, documents, encoder.loss)
    found = encoder.gradients()
    assert asked == [False] * 6 + [True] * 6
    encoder.zero_grad()
    plain(encoder, queries, documents)
    (encoder.weight * encoder(torch.cat([*queries, *documents])).square().sum()).backward()
    torch.testing.assert_close(found, encoder.gradients(), rtol=1e-10, atol=1e-14)
