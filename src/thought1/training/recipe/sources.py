"""What a recipe may say about a source of training texts, `[[stages.sources]]`."""

from dataclasses import field
from typing import Any, Literal

from pydantic import ValidationInfo, model_validator

from thought1.training.recipe.table import Flag, Natural, Text, check_marks, table

BEIR = {"kind": ("beir",)}
COLUMNS = {"kind": ("columns", "rationales")}
TEXTS = {"kind": ("texts",)}
"""Marks of fields that only some kinds of sources read."""


@table
class SourceConfig:
    """One file or folder of training texts. Fields marked with a kind are for that kind only."""

    path: Text
    """Relative to the recipe's `data`."""
    kind: Literal["beir", "columns", "rationales", "texts"]
    """`beir`: a collection with qrels gives pairs. `columns`: tab-separated lines give pairs.
    `rationales`: tab-separated lines give questions and thoughts for the next-token loss only.
    `texts`: JSON lines give single texts."""
    split: Text = field(default="train", metadata=BEIR)
    """Which qrels."""
    id_prefix: Text = field(default="", metadata=BEIR)
    """Every query id must begin with this; another one is an error."""
    exclude: Text = field(default="", metadata=BEIR)
    """File with query ids to leave out, one a line, relative to the recipe's folder."""
    thoughts: Text = field(default="", metadata=BEIR)
    """JSON lines with the reference thought of a query (`_id`), relative to the recipe's `data`."""
    thought: Text = field(default="{text}", metadata=BEIR)
    """How a thought is made of the fields of its line; lists are joined by semicolons."""
    thought_terms: Natural = field(default=0, metadata=BEIR)
    """Keep only this many words of a thought: content words that the query lacks, each once, as in
    LREM (arXiv 2510.14321); 0 keeps the thought."""
    evidence: Text = field(default="", metadata=BEIR)
    """JSON lines with `_id` and `documents`, the texts that the query's evidence slot shows."""
    query: Natural = field(default=0, metadata=COLUMNS)
    document: Natural = field(default=1, metadata=COLUMNS)
    """Numbers of the query's and the document's (or the rationale's) column, from 0."""
    cut: Text = field(default="", metadata=COLUMNS)
    """The query ends where this string begins."""
    template: Text = field(default="{text}", metadata=TEXTS)
    """Fields of the JSON object in a pattern; lists are joined by commas."""
    passage_words: Natural = field(default=0, metadata=TEXTS)
    """Split into passages of at most this many words; 0 keeps a text whole."""
    stream: Flag = field(default=False, metadata=TEXTS)
    """Keep only token ids, on disk, whatever the size; only the next-token loss reads them."""
    limit: Natural = 0
    """At most this many examples, drawn by the recipe's seed (the first, in a stream); 0 takes
    all."""

    @model_validator(mode="before")
    @classmethod
    def _marks(cls, given: Any, info: ValidationInfo) -> Any:
        check_marks(cls, given, info)
        return given
