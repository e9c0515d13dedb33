"""Requests against the limits of a server, before any work is done for them."""

from collections.abc import Mapping, Sequence

from pydantic import JsonValue

from thought1.serving.bodies import Questions, SearchRequest
from thought1.serving.errors import ApiError
from thought1.serving.limits import Limits


def at_most(name: str, value: int | None, limit: int) -> None:
    """Raises ApiError where a number is above its limit."""
    if value is not None and value > limit:
        raise ApiError(
            400, "limit_exceeded", f"{name} is at most {limit} on this server, not {value}", name
        )


def check_texts(name: str, texts: Sequence[str], most: int, characters: int) -> None:
    """Raises ApiError where there are too many texts, or one is too long."""
    at_most(name, len(texts), most)
    longest = max(map(len, texts), default=0)
    if longest > characters:
        raise ApiError(
            400,
            "limit_exceeded",
            f"a text has at most {characters} characters on this server, not {longest}",
            name,
        )


def check_asking(body: Questions, limits: Limits) -> None:
    """Raises ApiError where questions or thoughts go beyond a limit."""
    check_texts("query", body.queries, limits.texts, limits.characters)
    at_most("think", body.think, limits.think)
    at_most("samples", body.samples, limits.samples)


def _values(where: Mapping[str, JsonValue] | None) -> int:
    """How many values a filter compares with."""
    found = 0
    waiting: list[JsonValue] = list((where or {}).values())
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one
        else:
            found += 1
    return found


def check_search(body: SearchRequest, limits: Limits) -> None:
    """Raises ApiError where a search goes beyond a limit."""
    check_asking(body, limits)
    at_most("k", body.k, limits.k)
    at_most("offset", body.offset, limits.offset)
    at_most("evidence", body.evidence, limits.evidence)
    at_most("rounds", body.rounds, limits.rounds)
    at_most("rerank_depth", body.rerank_depth, limits.rerank)
    at_most("where", _values(body.where), limits.conditions)
    at_most("checkpoints", max(body.checkpoints, default=None), limits.think)
    if body.adaptive is not None and body.think is None:  # the largest is the budget
        at_most("adaptive.checkpoints", max(body.adaptive.rule.checkpoints), limits.think)
    if body.thoughts is not None:
        check_texts("thoughts", body.thoughts, limits.texts, limits.characters)
