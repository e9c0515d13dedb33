"""The server's log: JSON lines with the request's id, and never a question, a text or a token."""

import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from structlog.contextvars import bound_contextvars

from thought1.serving.logs import LOGGERS, Format, lifecycle, log_to

Log = Callable[[Format, bool], io.StringIO]


@pytest.fixture
def log() -> Iterator[Log]:
    """Starts logging; afterwards loggers are as they were."""
    names = (*LOGGERS, "thought1.serving", lifecycle.name)
    before = {
        name: (list(logger.handlers), logger.propagate, logger.level)
        for name in names
        for logger in [logging.getLogger(name)]
    }

    def start(form: Format, requests: bool) -> io.StringIO:
        stream = io.StringIO()
        log_to(stream, form, requests=requests)
        return stream

    yield start
    for name, (handlers, propagate, level) in before.items():
        logger = logging.getLogger(name)
        logger.handlers[:], logger.propagate = handlers, propagate
        logger.setLevel(level)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_json_lines_hold_the_request_and_what_a_record_has(log: Log) -> None:
    stream = log("json", True)
    with bound_contextvars(request_id="r-1"):
        logging.getLogger("thought1.serving.guard").info("request", extra={"status": 200})
    try:
        raise ValueError("two\nlines")
    except ValueError:
        logging.getLogger("uvicorn.error").exception("it %s", "failed")
    first, second = lines(stream)
    assert (first["event"], first["request_id"], first["status"]) == ("request", "r-1", 200)
    assert (first["level"], first["logger"]) == ("info", "thought1.serving.guard")
    assert first["time"].endswith("Z")
    assert second["event"] == "it failed" and "two\nlines" in second["exception"]
    assert "request_id" not in second


def test_requests_are_told_only_when_wished_for_and_the_start_always(log: Log) -> None:
    stream = log("json", False)
    logging.getLogger("thought1.serving.guard").info("request")
    lifecycle.info("serving", extra={"url": "http://x"})
    assert [line["event"] for line in lines(stream)] == ["serving"]


def test_a_record_is_one_line_of_text(log: Log) -> None:
    stream = log("text", True)
    with bound_contextvars(request_id="r-1"):
        logging.getLogger("thought1.serving").warning("first\nERROR forged", extra={"n": 1})
    (line,) = stream.getvalue().splitlines()
    assert line.split(" ", 1)[1] == r"WARNING first\nERROR forged request_id=r-1 n=1"
