"""Linear layers through oneDNN: the same numbers, and nothing left behind."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from thought1.engines import linear
from thought1.engines.linear import onednn_linears
from thought1.engines.route import FEW_ROWS, Route, onednn

pytestmark = pytest.mark.skipif(
    not torch.backends.mkldnn.is_available(), reason="this torch has no oneDNN"
)


class Sub(nn.Linear):
    """Stands for a quantised layer."""


@pytest.fixture(autouse=True)
def through_onednn(monkeypatch: pytest.MonkeyPatch) -> None:
    """The operator works on any processor, whether or not it is worth its while there."""
    monkeypatch.setenv("T1_LINEAR", "onednn")


@pytest.fixture
def layer() -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(96, 64)


def replaced(module: nn.Module) -> bool:
    return "forward" in vars(module)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(1,), (7,), (3, 1), (2, 5), (2, 0), (2, 3, 4)])
@torch.inference_mode()
def test_the_product_is_the_same(shape: tuple[int, ...], bias: bool) -> None:
    torch.manual_seed(1)
    layer = nn.Linear(96, 64, bias=bias)
    whole = torch.randn(*shape, 192)
    for x in (whole[..., :96].contiguous(), whole[..., ::2]):  # the second has strides
        expected = layer(x)
        with onednn_linears(layer):
            assert replaced(layer)
            found = layer(x)
        assert found.shape == expected.shape
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


@torch.inference_mode()
def test_a_changed_weight_is_seen(layer: nn.Linear) -> None:
    x = torch.randn(3, 96)
    with onednn_linears(layer):
        before = layer(x)
        layer.weight.data.mul_(2)
        layer.bias.data.mul_(2)
        torch.testing.assert_close(layer(x), 2 * before)


def test_only_inside(layer: nn.Linear) -> None:
    with pytest.raises(ZeroDivisionError), onednn_linears(nn.Sequential(layer)):
        assert replaced(layer)
        _ = 1 / 0
    assert not replaced(layer)
    layer(torch.randn(1, 96)).sum().backward()
    assert layer.weight.grad is not None


def test_what_overlaps_leaves_nothing_behind(layer: nn.Linear) -> None:
    """As two threads would do it that use one model."""
    one, other = onednn_linears(layer), onednn_linears(layer)
    with one:
        other.__enter__()
    other.__exit__(None, None, None)
    assert not replaced(layer)


def test_layers_of_other_kinds_stay(layer: nn.Linear) -> None:
    others = [nn.Linear(4, 4, dtype=torch.bfloat16), Sub(4, 4), nn.Linear(4, 4, device="meta")]
    taken = nn.Linear(4, 4)
    mine: Callable[[torch.Tensor], torch.Tensor] = torch.zeros_like
    taken.forward = mine  # type: ignore[assignment, method-assign]
    with onednn_linears(nn.Sequential(layer, *others, taken)):
        assert replaced(layer)
        assert not any(map(replaced, others))
        assert vars(taken)["forward"] is mine
    assert vars(taken)["forward"] is mine


@torch.inference_mode()
def test_other_inputs_than_float32_take_the_usual_way(layer: nn.Linear) -> None:
    with onednn_linears(layer), pytest.raises(RuntimeError, match="dtype"):
        layer(torch.zeros(1, 96, dtype=torch.float64))


def test_nothing_happens_without_need(layer: nn.Linear, monkeypatch: pytest.MonkeyPatch) -> None:
    with torch.autocast("cpu", torch.bfloat16), onednn_linears(layer):
        assert not replaced(layer)
    monkeypatch.setenv("T1_LINEAR", "torch")
    with onednn_linears(layer):
        assert not replaced(layer)


@pytest.mark.filterwarnings("ignore:TF32")  # torch's own switch touches it
def test_a_switched_off_onednn_is_not_used(
    layer: nn.Linear, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("T1_LINEAR", "auto")
    with torch.backends.mkldnn.flags(enabled=False), onednn_linears(layer):
        assert not replaced(layer)


@pytest.mark.parametrize(("few", "many"), [("onednn", "torch"), ("torch", "onednn")])
@torch.inference_mode()
def test_few_and_many_rows_take_their_own_way(
    few: str, many: str, layer: nn.Linear, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linear, "linear_route", lambda: Route(few, many, {}, "here"))
    seen: list[int] = []

    def counted(input: torch.Tensor, *rest: torch.Tensor) -> torch.Tensor:
        seen.append(input.numel() // 96)
        return onednn(input, *rest)

    monkeypatch.setattr(linear, "onednn", counted)
    shapes = [(FEW_ROWS,), (2, FEW_ROWS // 2), (FEW_ROWS + 1,), (2, FEW_ROWS)]
    for shape in shapes:
        x = torch.randn(*shape, 96)
        expected = layer(x)
        with onednn_linears(layer):
            torch.testing.assert_close(layer(x), expected, rtol=0, atol=1e-5)
    expected_rows = [FEW_ROWS] * 2 if few == "onednn" else [FEW_ROWS + 1, 2 * FEW_ROWS]
    assert seen == expected_rows
