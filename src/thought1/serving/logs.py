"""What a server writes to stderr: lines for people, or one JSON object a line for machines.

Every record made while a request is answered holds its id. It knows records, neither requests nor
what they ask.
"""

import logging
from typing import Literal, TextIO

import structlog
from structlog.contextvars import merge_contextvars
from structlog.processors import JSONRenderer, TimeStamper, format_exc_info
from structlog.stdlib import ExtraAdder, ProcessorFormatter, add_log_level, add_logger_name
from structlog.typing import EventDict, WrappedLogger

LOGGERS = ("thought1", "uvicorn")
Format = Literal["text", "json"]

lifecycle = logging.getLogger("thought1.serving.lifecycle")
"""Start of the server; always logged."""


def log_to(stream: TextIO, form: Format, *, requests: bool) -> list[logging.Handler]:
    """Send the records of the server and of its libraries to a stream.

    Args:
        requests: a record for each request too.

    Returns:
        The handlers, for who wants to take them off again.
    """
    handlers: list[logging.Handler] = []
    for name in LOGGERS:
        logger, handler = logging.getLogger(name), logging.StreamHandler(stream)
        handler.setFormatter(json_formatter() if form == "json" else text_formatter())
        for old in list(logger.handlers):
            logger.removeHandler(old)
        logger.addHandler(handler)
        logger.propagate = False
        logger.setLevel(logging.WARNING)
        handlers.append(handler)
    logging.getLogger("thought1.serving").setLevel(logging.INFO if requests else logging.WARNING)
    lifecycle.setLevel(logging.INFO)
    return handlers


def text_formatter() -> logging.Formatter:
    """A line for people; what a record has beside its message follows as name=value."""
    return _formatter(_line)


def json_formatter() -> logging.Formatter:
    """One JSON object a line: time, level, logger, event, request_id, and what a record has."""
    return _formatter(JSONRenderer())


def _formatter(render: structlog.typing.Processor) -> logging.Formatter:
    return ProcessorFormatter(
        foreign_pre_chain=[
            merge_contextvars,
            add_log_level,
            add_logger_name,
            ExtraAdder(),
            TimeStamper(fmt="iso", utc=True, key="time"),
        ],
        processors=[ProcessorFormatter.remove_processors_meta, format_exc_info, render],
    )


def _line(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    trace = event.pop("exception", None)
    event.pop("logger", None)
    said = str(event.pop("event")).replace("\n", "\\n")  # one record, one line
    head = f"{event.pop('time')} {event.pop('level').upper()} {said}"
    rest = "".join(f" {name}={value}" for name, value in event.items())
    return f"{head}{rest}" if trace is None else f"{head}{rest}\n{trace}"
