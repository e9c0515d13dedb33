"""How numbers, intervals and names are written on the page. Knows no HTML."""

from collections.abc import Sequence

NOTHING = "\N{EN DASH}"
"""Shown where a file has no value."""

_METRICS = {"ndcg": "nDCG", "recall": "Recall", "mrr": "MRR"}


def metric_name(name: str) -> str:
    """ndcg@10 -> nDCG@10."""
    kind, at, k = name.partition("@")
    return _METRICS.get(kind, kind) + at + k


def share(value: float) -> str:
    """A value between 0 and 1, to three decimals."""
    return f"{value:.3f}"


def interval(low: float, high: float) -> str:
    """Both ends of a 95% interval of a value between 0 and 1."""
    return f"{low:.3f} to {high:.3f}"


def signed(value: float) -> str:
    """A difference, with its sign; 0 has none."""
    text = f"{abs(value):.3f}"
    if float(text) == 0:
        return text
    return ("+" if value > 0 else "\N{MINUS SIGN}") + text


def amount(value: float | None) -> str:
    """Milliseconds, tokens, money: fewer decimals the larger the number is."""
    if value is None:
        return NOTHING
    if 0 < abs(value) < 1:
        return f"{value:.2g}"
    text = f"{value:,.{0 if abs(value) >= 1000 else 1 if abs(value) >= 10 else 2}f}"
    return text.removesuffix(".00").removesuffix(".0")


def plain(value: float) -> str:
    """Up to three decimals, and no more than there are."""
    return f"{value:.3f}".rstrip("0").rstrip(".")


def percent(value: float | None) -> str:
    """A share as whole per cent."""
    return NOTHING if value is None else f"{value:.0%}"


def shortened(text: str, most: int) -> str:
    """At most this many characters, on one line."""
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1].rstrip() + "\N{HORIZONTAL ELLIPSIS}"


def counted(number: int, noun: str) -> str:
    """1 query, 2 queries."""
    if number == 1:
        return f"1 {noun}"
    return f"{number:,} {noun[:-1] + 'ies' if noun.endswith('y') else noun + 's'}"


def listed(names: Sequence[str]) -> str:
    """a, b and c."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
