"""How texts and queries are written before words are looked for in them. Knows no index."""

import re
import unicodedata

_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff]"
)
"""Soft hyphens, zero-width spaces and joiners, marks of direction, byte order marks."""


def search_text(text: str) -> str:
    """The text in Unicode's form NFC, without invisible characters.

    So an accent is found whether it is one character with its letter or a second one, and a word
    whether or not it may be broken at the end of a line.
    """
    return unicodedata.normalize("NFC", _INVISIBLE.sub("", text))
