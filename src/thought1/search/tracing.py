"""Spans of OpenTelemetry: one for a search, and one in it for each of its steps.

As OpenTelemetry asks of libraries, this only names spans; a program that records them sets that up
(`opentelemetry-instrument t1 serve ...`). Where none has loaded OpenTelemetry, nothing is done. No
question, thought or document is put into a span.
"""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from thought1 import __version__

Attributes = Mapping[str, str | int | float | bool]
PREFIX = "t1."
"""Of the names of spans and attributes."""


@contextmanager
def span(name: str, attributes: Attributes) -> Iterator[dict[str, str | int | float | bool]]:
    """A span around what is done inside; what is put into the mapping becomes attributes too."""
    later: dict[str, str | int | float | bool] = {}
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None:
        yield later
        return
    tracer = trace.get_tracer("thought1", __version__)
    with tracer.start_as_current_span(
        PREFIX + name,
        attributes=_named(attributes),
        record_exception=False,  # its message may quote a question
        set_status_on_exception=False,
    ) as current:
        try:
            yield later
        except BaseException as error:
            current.set_status(trace.StatusCode.ERROR, type(error).__name__)
            raise
        current.set_attributes(_named(later))


def _named(attributes: Attributes) -> dict[str, str | int | float | bool]:
    return {PREFIX + name: value for name, value in attributes.items()}
