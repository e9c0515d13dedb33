"""Whatever a text holds, its sequence is prefix + text + suffix, within the limit, unharmed."""

from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import QWEN_PIECES, byte_level_tokenizer, unigram_tokenizer, word_piece_tokenizer

from thought1.model.prompts import Renderer, Template
from thought1.model.settings import EMB_TOKEN

MAX_TOKENS = 48
TEMPLATE = Template("{instruction}\n{evidence}{text}\n", "Find it.", "- {evidence}\n")


@cache
def renderer_of(name: str) -> Renderer:
    tokenizer = {
        "gpt2": byte_level_tokenizer,
        "qwen": lambda: byte_level_tokenizer(chat=True, pieces=QWEN_PIECES),
        "word piece": word_piece_tokenizer,
        "unigram": unigram_tokenizer,
    }[name]()
    tokenizer.add_special_tokens(
        {"additional_special_tokens": [EMB_TOKEN]}, replace_extra_special_tokens=False
    )
    return Renderer(tokenizer)


NAMES = ["gpt2", "qwen", "word piece", "unigram"]
SPECIAL = ["<emb_token>", "<|im_end|>", "<|im_start|>", "<|endoftext|>", "[SEP]", "[CLS]", "</s>"]

# Random characters with special tokens sprinkled in, some of them cut in two by other text.
pieces = st.one_of(
    st.text(max_size=12),
    st.sampled_from(SPECIAL),
    st.sampled_from(["<emb_", "token>", "<|im", "_end|>", "[", "SEP", "]", " ", "\n", "ice"]),
)
texts = st.lists(pieces, max_size=8).map("".join)


def special_ids(renderer: Renderer) -> set[int]:
    tokenizer = renderer.tokenizer
    return set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}


@pytest.mark.parametrize("name", NAMES)
@given(batch=st.lists(texts, max_size=4), shown=st.lists(texts, max_size=2))
def test_no_text_injects_a_special_token(name: str, batch: list[str], shown: list[str]) -> None:
    renderer = renderer_of(name)
    rendered = renderer.render(TEMPLATE, batch, 1000, evidence=[shown for _ in batch])
    assert not special_ids(renderer) & {id for row in rendered.rows for id in row}


@pytest.mark.parametrize("name", NAMES)
@given(batch=st.lists(texts, max_size=4))
def test_a_sequence_is_prefix_text_and_suffix_within_the_limit(name: str, batch: list[str]) -> None:
    renderer = renderer_of(name)
    rendered = renderer.render(TEMPLATE, batch, MAX_TOKENS)
    suffix = renderer.words("\n")
    assert rendered.prefix == (*renderer.leading, *renderer.words("Find it.\n"))
    room = MAX_TOKENS - len(rendered.prefix) - len(suffix)
    whole = [renderer.text([text])[0] for text in batch]
    assert rendered.rows == [ids[:room] + suffix for ids in whole]
    assert rendered.truncated == sum(len(ids) > room for ids in whole)


@pytest.mark.parametrize("name", NAMES)
@given(batch=st.lists(texts, min_size=1, max_size=4))
def test_a_row_does_not_depend_on_its_companions(name: str, batch: list[str]) -> None:
    renderer = renderer_of(name)
    together = renderer.render(TEMPLATE, batch, MAX_TOKENS)
    alone = [renderer.render(TEMPLATE, [text], MAX_TOKENS) for text in batch]
    assert together.rows == [rendered.rows[0] for rendered in alone]
    assert together.truncated == sum(rendered.truncated for rendered in alone)


@pytest.mark.parametrize("name", ["gpt2", "qwen"])
@given(text=texts)
def test_byte_level_ids_hold_the_whole_text(name: str, text: str) -> None:
    renderer = renderer_of(name)
    (ids,) = renderer.text([text])
    assert renderer.tokenizer.decode(ids, clean_up_tokenization_spaces=False) == text.strip()


@pytest.mark.parametrize("name", ["gpt2", "word piece"])
@given(words=st.lists(st.sampled_from(["ice", "Why", "heated", "3.5", '"salt"', "-"]), min_size=1))
def test_apart_and_joint_tokenisation_agree_where_check_says_so(
    name: str, words: list[str]
) -> None:
    """What `Renderer.check` sees on its probes holds for other ordinary texts."""
    renderer = renderer_of(name)
    template = Template("{instruction}\n{text}\n", "Find it.")
    renderer.check(template)
    text = " ".join(words)
    rendered = renderer.render(template, [text], 1000)
    joint = renderer.words(f"Find it.\n{text}\n")
    assert [*rendered.prefix, *rendered.rows[0]] == [*renderer.leading, *joint]
