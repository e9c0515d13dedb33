"""What holds for packing whatever the lengths: nothing is lost, and no row is needlessly wide."""

from hypothesis import given
from hypothesis import strategies as st

from thought1.training.data.collate import fit, packed

lengths = st.lists(st.integers(1, 40), max_size=40)


@given(lengths=lengths, width=st.integers(1, 60))
def test_fit_loses_nothing_and_fills_rows(lengths: list[int], width: int) -> None:
    groups = fit(lengths, width)
    assert sorted(place for group in groups for place in group) == list(range(len(lengths)))
    sums = [sum(lengths[place] for place in group) for group in groups]
    for group, total in zip(groups, sums, strict=True):
        assert total <= width or len(group) == 1
    # First fit: no group could have gone into an earlier one, so at most one is half empty.
    assert sum(total <= width / 2 for total in sums) <= 1
    assert groups == fit(lengths, width)


@given(lengths=lengths.filter(bool), width=st.integers(1, 60))
def test_every_text_comes_back_from_packed_rows(lengths: list[int], width: int) -> None:
    texts = [[100 * n + i for i in range(length)] for n, length in enumerate(lengths, 1)]
    groups = fit(lengths, width)
    tensors = packed([[texts[place] for place in group] for group in groups])
    for group, ids, segments in zip(groups, tensors["ids"], tensors["segments"], strict=True):
        for number, place in enumerate(group, 1):
            assert ids[segments == number].tolist() == texts[place]
        assert int((segments > 0).sum()) == sum(lengths[place] for place in group)
        assert not ids[segments == 0].any()
