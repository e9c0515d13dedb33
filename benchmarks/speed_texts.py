"""Texts of known lengths in tokens, made from a list of common words with a fixed seed."""

from dataclasses import dataclass
from pathlib import Path
from random import Random

from thought1 import T1
from thought1.types import Thought1Error

WORDS = tuple(Path(__file__).with_name("words.txt").read_text(encoding="utf-8").split())
START = "the"
"""Every text begins with it: behind a space, a word costs the same tokens anywhere."""


@dataclass(frozen=True, slots=True)
class Length:
    """Fewest and most tokens of a text, template not counted."""

    low: int
    high: int

    def __str__(self) -> str:
        return f"{self.low}-{self.high}"


def write_texts(model: T1, number: int, length: Length, seed: int) -> list[str]:
    """`number` texts with lengths spread evenly over `length`, in tokens of this model.

    Raises:
        Thought1Error: the tokenizer's pieces do not add up to such lengths.
    """
    random = Random(seed)
    start, *pairs = model.renderer.text([START, *(f"{START} {word}" for word in WORDS)])
    costs = {word: len(pair) - len(start) for word, pair in zip(WORDS, pairs, strict=True)}
    # Where less than the cheapest word is left over, a text ends.
    low = length.low + min(costs.values()) - 1
    texts = []
    for _ in range(number):
        words, left = [START], random.randint(low, length.high) - len(start)
        while fitting := [word for word in WORDS if costs[word] <= left]:
            words.append(random.choice(fitting))
            left -= costs[words[-1]]
        texts.append(" ".join(words))
    counts = [len(ids) for ids in model.renderer.text(texts)]
    if min(counts) < length.low or max(counts) > length.high:
        raise Thought1Error(
            f"texts have {min(counts)} to {max(counts)} tokens instead of {length}: this "
            "tokenizer does not cut at spaces"
        )
    return texts
