"""Templates as data, and their rendering to token ids.

A template is one string with the slots `{instruction}`, `{evidence}` (queries only) and `{text}`.
Its own words may hold special tokens of the tokenizer; what is put into `{evidence}` and `{text}`
may not: it is tokenised on its own with special-token parsing off, so that a document which
contains `<emb_token>` injects nothing. It knows tokenizers, but no model and no torch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerBase

from thought1.types import Thought1Error

PROBES = (
    "Why do ice cubes crack in warm water?",
    "most solids expand when heated",
    "3.5 kg of salt",
    "Über 20 °C; naïve?",
    '"Quoted" text - and (brackets).',
    "two lines\nof text",
)
"""Texts on which joint and separate tokenisation must agree (see `Renderer.check`)."""


@dataclass(frozen=True, slots=True)
class Template:
    """How one side is written, without the `<emb_token>` that follows.

    `evidence` is the pattern of one retrieved document; all of them fill the `{evidence}` slot.
    """

    pattern: str
    instruction: str = ""
    evidence: str = "{evidence}\n"

    def __post_init__(self) -> None:
        if self.pattern.count("{text}") != 1 or self.evidence.count("{evidence}") != 1:
            raise Thought1Error(
                f"the template {self.pattern!r} needs the slot {{text}} exactly once, and its "
                "evidence pattern the slot {evidence} exactly once"
            )
        before, after = self.pattern.split("{text}")
        if before.count("{evidence}") > 1 or "{evidence}" in after:
            raise Thought1Error(
                f"in the template {self.pattern!r} {{evidence}} must precede {{text}}, at most once"
            )

    def parts(self, instruction: str | None) -> tuple[str, str, str]:
        """The parts before the evidence, between evidence and text, and after the text."""
        words = self.instruction if instruction is None else instruction
        before, after = self.pattern.split("{text}")
        head, _, middle = before.partition("{evidence}")
        slot = "{instruction}"
        return head.replace(slot, words), middle.replace(slot, words), after.replace(slot, words)


@dataclass(frozen=True, slots=True)
class Rendered:
    """Token ids of many texts under one template: every sequence is `prefix + rows[i]`."""

    prefix: tuple[int, ...]
    rows: list[list[int]]
    truncated: int
    """How many texts were cut to fit."""


class Renderer:
    """Turns texts into token ids with one tokenizer."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        if not tokenizer.is_fast:
            raise Thought1Error(
                f"{type(tokenizer).__name__} is a slow tokenizer: save it as a fast one "
                "(tokenizer.json) first"
            )
        self.tokenizer = tokenizer

    @cached_property
    def _plain(self) -> Tokenizer:
        """A copy of the tokenizer that reads special tokens in a text as ordinary characters."""
        plain = uncut(self.tokenizer)
        plain.encode_special_tokens = True
        return plain

    @cached_property
    def _special_ids(self) -> frozenset[int]:
        """What no text may become. The id of an unknown character is harmless and stays."""
        added = self.tokenizer.added_tokens_decoder.items()
        special = frozenset(id for id, token in added if token.special)
        return special - {self.tokenizer.unk_token_id}

    @cached_property
    def leading(self) -> tuple[int, ...]:
        """The special tokens that the tokenizer puts before a text by itself ([CLS], BOS)."""
        coded = self.tokenizer("a", return_special_tokens_mask=True)
        mask = coded["special_tokens_mask"]
        return tuple(coded["input_ids"][: mask.index(0)])

    def text(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of untrusted texts, outer whitespace removed, no special token among them.

        Raises:
            Thought1Error: a text holds half of a surrogate pair, which tokenizers cannot read.
        """
        stripped = [text.strip() for text in texts]
        try:
            coded = self._plain.encode_batch_fast(stripped, add_special_tokens=False)
        except TypeError:
            broken = next((text for text in stripped if not _is_unicode(text)), None)
            if broken is None:
                raise
            raise Thought1Error(
                f"half of a surrogate pair is not valid Unicode: {broken!r:.200}"
            ) from None
        # Unigram vocabularies hold "</s>" as an ordinary piece too: parsing off is not enough.
        special = self._special_ids
        return [[id for id in encoding.ids if id not in special] for encoding in coded]

    def spans(self, text: str) -> list[tuple[int, int]]:
        """The position of each token of an untrusted text, in characters (start, end)."""
        encoding = self._plain.encode(text, add_special_tokens=False)
        special = self._special_ids
        pairs = zip(encoding.ids, encoding.offsets, strict=True)
        return [span for id, span in pairs if id not in special]

    def text_capacity(self, template: Template, max_tokens: int) -> int:
        """Tokens that a text may have, so that it is not cut within `max_tokens`."""
        parts = template.parts(None)
        return max_tokens - len(self.leading) - sum(len(self.words(part)) for part in parts)

    def words(self, text: str) -> list[int]:
        """Ids of a template's own words, special tokens allowed."""
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def render(
        self,
        template: Template,
        texts: Sequence[str],
        max_tokens: int,
        *,
        instruction: str | None = None,
        evidence: Sequence[Sequence[str]] | None = None,
    ) -> Rendered:
        """Sequences of at most `max_tokens` ids; only a text is ever cut, at its end.

        Args:
            template: how they are written.
            texts: n texts.
            max_tokens: of a whole sequence.
            instruction: replaces the template's own.
            evidence: for each text the documents that its evidence slot shows.

        Raises:
            ValueError: `evidence` is not one list of documents for each text.
            Thought1Error: the template and its instruction alone leave no space for a text, or
                evidence was given to a template without that slot.
        """
        head, middle, after = template.parts(instruction)
        prefix = (*self.leading, *self.words(head))
        joint, suffix = self.words(middle), self.words(after)
        shown: list[list[int]] = [[] for _ in texts]
        if evidence is None:
            prefix, joint = (*prefix, *joint), []
        elif "{evidence}" in template.pattern:
            if any(isinstance(documents, str) for documents in evidence):
                raise ValueError("evidence is a list of documents for each text, not one string")
            shown = [self._evidence(template, documents) for documents in evidence]
        else:
            raise Thought1Error("this model's query template has no {evidence} slot")
        rows, truncated = [], 0
        for ids, seen in zip(self.text(texts), shown, strict=True):
            capacity = max_tokens - len(prefix) - len(seen) - len(joint) - len(suffix)
            if capacity < 1:
                raise Thought1Error(
                    f"template, instruction and evidence leave no space for a text within "
                    f"{max_tokens} tokens: shorten them or raise the maximum length"
                )
            truncated += len(ids) > capacity
            rows.append(seen + joint + ids[:capacity] + suffix)
        return Rendered(prefix, rows, truncated)

    def fit(
        self,
        template: Template,
        texts: Sequence[str],
        max_tokens: int,
        evidence: Sequence[Sequence[str]],
    ) -> tuple[list[list[str]], int]:
        """As much evidence as fits into a sequence with its whole text, and for how many texts
        some was cut: documents in order, of which the last may be cut at its end."""
        head, middle, after = template.parts(None)
        fixed = len(self.leading) + sum(len(self.words(part)) for part in (head, middle, after))
        frame = sum(len(self.words(part)) for part in template.evidence.split("{evidence}"))
        shown, cut = [], 0
        for ids, documents in zip(self.text(texts), evidence, strict=True):
            capacity = max_tokens - fixed - len(ids)
            kept: list[str] = []
            for document in documents:
                piece = self._first_tokens(document, capacity - frame)
                if piece:
                    kept.append(piece)
                if piece != document:
                    cut += 1
                    break
                capacity -= frame + len(self.text([piece])[0])
            shown.append(kept)
        return shown, cut

    def _first_tokens(self, text: str, most: int) -> str:
        """A text, cut to at most this many tokens."""
        if most > 0 and len(self.text([text])[0]) <= most:
            return text
        stripped = text.strip()
        # A beginning that is tokenised again may have a token more.
        for _, end in reversed(self.spans(stripped)[: max(0, most)]):
            piece = stripped[:end].strip()
            if len(self.text([piece])[0]) <= most:
                return piece
        return ""

    def _evidence(self, template: Template, documents: Sequence[str]) -> list[int]:
        before, after = template.evidence.split("{evidence}")
        opening, closing = self.words(before), self.words(after)
        return [i for ids in self.text(documents) for i in (*opening, *ids, *closing)]

    def check(self, template: Template) -> None:
        """Refuse a template that breaks inside a token.

        Prefix reuse tokenises the parts apart, an engine that is given text tokenises the whole;
        both must give the same ids.

        Raises:
            Thought1Error: they differ on a probe text.
        """
        head, middle, after = template.parts(None)
        left, right = self.words(head) + self.words(middle), self.words(after)
        for probe in PROBES:
            if left + self.text([probe])[0] + right != self.words(head + middle + probe + after):
                raise Thought1Error(
                    f"the template {template.pattern!r} breaks inside a token of this tokenizer "
                    f"(seen on {probe!r}): end each part before {{text}} with a line break, and "
                    "begin the part after it with a space or a special token"
                )


def uncut(tokenizer: PreTrainedTokenizerBase) -> Tokenizer:
    """A copy of a fast tokenizer that neither cuts nor pads: switches that any call sets again."""
    copy = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    copy.no_truncation()
    copy.no_padding()
    return copy


def _is_unicode(text: str) -> bool:
    return not any(0xD800 <= ord(character) <= 0xDFFF for character in text)
