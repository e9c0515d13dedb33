"""A document as it can be stored, or what is wrong with it. Knows no store."""

import operator
from collections.abc import Mapping

from thought1.store.metadata import to_metadata_value
from thought1.types import Document, MetadataValue, Thought1Error


def storable(document: Document) -> Document:
    """The document with an id and texts that are strings and metadata that can be filtered on.

    An integer id becomes its digits, a title of None the empty one, metadata what
    `to_metadata_value` makes of them; a value that is none is left out.

    Raises:
        Thought1Error: something else is not a string, or not valid Unicode.
    """
    try:
        title = "" if document.title is None else _text("title", document.title)
        text = _text("text", document.text)
        return Document(_id(document.id), text, title, _metadata(document.metadata))
    except Thought1Error as error:
        raise Thought1Error(f"document {document.id!r}: {error}") from error


def _id(value: object) -> str:
    if not isinstance(value, str | bool):
        try:
            return str(operator.index(value))  # type: ignore[arg-type]  # it says what is none
        except TypeError:
            pass
    return _text("id", value)


def _metadata(metadata: Mapping[str, object]) -> dict[str, MetadataValue]:
    if not isinstance(metadata, Mapping):
        raise Thought1Error(f"the metadata must be a dictionary, not {metadata!r}")
    kept: dict[str, MetadataValue] = {}
    for key, value in metadata.items():
        try:
            found = to_metadata_value(value)
        except Thought1Error as error:
            raise Thought1Error(f"the metadata field {key!r} {error}") from error
        if found is not None:
            kept[_text("name of a metadata field", key)] = found
    return kept


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise Thought1Error(f"the {name} must be a string, not {value!r}")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise Thought1Error(f"the {name} is not valid Unicode: {error}") from error
    return str.__str__(value)
