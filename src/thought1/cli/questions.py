"""Questions and lines as a user gives them: on the command line, or on stdin, one per line.

Knows no files with ids: `thought1.data` reads those.
"""

import sys
from collections.abc import Iterator, Sequence

from thought1.types import Thought1Error


def read_questions(given: Sequence[str]) -> list[str]:
    """The questions given as arguments, or else those on stdin; blank lines are left out.

    Raises:
        Thought1Error: there is none, or one is not valid UTF-8.
    """
    for question in given:
        try:
            question.encode()
        except UnicodeEncodeError:
            raise Thought1Error("the question is not valid UTF-8") from None
    if not given and (sys.stdin is None or sys.stdin.isatty()):
        raise Thought1Error("no question: give one, or pipe in questions, one per line")
    lines = given or stdin_lines()
    questions = [line.strip() for line in lines if line.strip()]
    if not questions:
        raise Thought1Error("the question is empty" if given else "there is no question on stdin")
    return questions


def stdin_lines() -> Iterator[str]:
    """The lines of stdin without their ends, in UTF-8 whatever the locale says.

    Raises:
        Thought1Error: a line is not valid UTF-8, or JSON, or a table begins there.
    """
    from thought1.data.plain import check_plain

    for number, raw in enumerate(sys.stdin.buffer, start=1):
        try:
            line = raw.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError:
            raise Thought1Error(f"line {number} of stdin is not valid UTF-8") from None
        line = line.removesuffix("\n").removesuffix("\r")
        check_plain(line, number, f"line {number} of stdin", "pipe in only the texts")
        yield line
