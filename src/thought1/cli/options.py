"""Options that several commands share, so that they read the same everywhere.

The command line only; what an option does is left to the commands.
"""

from typing import TYPE_CHECKING, Annotated, cast

import typer

from thought1.search.options import Mode
from thought1.types import Sampling, Thought1Error

if TYPE_CHECKING:
    from thought1.search.adaptive import Adaptive

_MODEL = "MODEL"
_NAMES = "A folder, GGUF file, hub id, package:NAME/PATH or a name of `t1 models`"
_DEFAULT = "t1-mini-companion if everything it needs is installed, otherwise t1-nano"

BundledModel = Annotated[
    str | None,
    typer.Option("--model", metavar=_MODEL, help=f"{_NAMES}; by default {_DEFAULT}."),
]
IndexModel = Annotated[
    str | None,
    typer.Option(
        "--model", metavar=_MODEL, help=f"{_NAMES}; by default the one the index was made with."
    ),
]
IndexOrBundledModel = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar=_MODEL,
        help=f"{_NAMES}; by default the one the index was made with, for a new one {_DEFAULT}.",
    ),
]
TrustRemoteCode = Annotated[
    bool,
    typer.Option(
        "--trust-remote-code",
        help="Run Python code from the model's folder, if the model needs it.",
    ),
]
Budget = Annotated[
    int | None,
    typer.Option(
        "--think",
        min=0,
        metavar="N",
        help="Maximum tokens of a thought; by default that of the model's settings.",
    ),
]
NoThink = Annotated[
    bool, typer.Option("--no-think", help="Embed the query without thinking, which is faster.")
]
SearchMode = Annotated[
    Mode,
    typer.Option(
        "--mode",
        help="dense: the model's vectors; bm25: words, without the model; hybrid: both.",
    ),
]
Temperature = Annotated[
    float | None,
    typer.Option(
        min=0.0,
        metavar="T",
        help="0 always selects the most likely token: the default of t1 search; t1 think uses the "
        "model's settings.",
    ),
]
TopP = Annotated[
    float | None,
    typer.Option(
        min=0.01,
        max=1.0,
        metavar="P",
        help="Sample from the most likely tokens with this total probability.",
    ),
]
Seed = Annotated[
    int | None,
    typer.Option(metavar="N", help="Random seed: the same seed gives the same thought."),
]
NoRepeat = Annotated[
    int | None,
    typer.Option(
        "--no-repeat",
        min=0,
        metavar="N",
        help="No N-gram of tokens occurs twice in a thought; 0 disables this.",
    ),
]
Samples = Annotated[
    int,
    typer.Option(
        "--samples",
        min=1,
        metavar="K",
        help="Sample K thoughts per question and search with all of them; at "
        "temperature 0.7 and top-p 0.95 unless specified otherwise, also in the model's settings.",
    ),
]
Evidence = Annotated[
    int,
    typer.Option(
        "--evidence",
        min=0,
        metavar="N",
        help="Search without thinking first, and let the model read the first N documents before "
        "it thinks, as far as they fit into its prompt.",
    ),
]
Rounds = Annotated[
    int,
    typer.Option(
        "--rounds",
        min=1,
        metavar="R",
        help="With --evidence: search with the steps of the thought, read what they find and think "
        "again, R times in all at most.",
    ),
]
Checkpoints = Annotated[
    str | None,
    typer.Option(
        "--checkpoints",
        metavar="N,N,...",
        help="Also show the results of a search that stops after this many tokens, such as "
        "0,16,32; where no --think is given, the largest is the budget.",
    ),
]
CALIBRATED = "calibrated"
AdaptiveRule = Annotated[
    str | None,
    typer.Option(
        "--adaptive",
        metavar="RULE",
        help="Stop thinking early. calibrated: by the rules of `t1 calibrate`; or conditions "
        "such as overlap=0.9,margin=0.05: a thought ends where its vector (cosine) or its first "
        "ten documents (overlap) have settled, and is not begun where the score, margin, spread "
        "or agreement of a search without it reaches the value.",
    ),
]
IgnoreIdenticalIds = Annotated[
    bool,
    typer.Option(
        "--ignore-identical-ids",
        help="Remove a document with the query's own id from that query's ranking, before the "
        "cut, as BEIR and mteb do where queries are documents themselves.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead.")]


def option(field: str) -> str:
    """Name of a request's field on the command line."""
    return "--think or --no-think" if field == "think" else f"--{field.replace('_', '-')}"


def thought_budget(think: int | None, no_think: bool) -> int | None:
    """Maximum tokens of a thought: from the flags, or None for the model's own budget."""
    if think is not None and no_think:
        raise Thought1Error("--think and --no-think contradict each other: give one of them")
    return 0 if no_think else think


def thought_checkpoints(text: str | None) -> tuple[int, ...]:
    """Comma-separated numbers, ascending."""
    parts = [part.strip() for part in (text or "").split(",")] if text is not None else []
    if not all(part.isascii() and part.isdecimal() for part in parts):
        raise Thought1Error(f"--checkpoints {text!r}: give whole numbers, such as 0,16,32")
    return tuple(sorted({int(part) for part in parts}))


def adaptive_rule(text: str | None) -> "Adaptive | None":
    """The conditions; None if there are none, or the index has them."""
    from thought1.search.adaptive import Adaptive, Gate, Signal

    if text is None or text == CALIBRATED:
        return None
    given: dict[str, float] = {}
    for part in text.split(","):
        name, _, number = part.strip().partition("=")
        try:
            given[name] = float(number)
        except ValueError:
            raise Thought1Error(
                f"--adaptive {text!r}: say {CALIBRATED}, or conditions such as "
                "overlap=0.9,margin=0.05"
            ) from None
    cosine, overlap = given.pop("cosine", None), given.pop("overlap", None)
    if len(given) > 1:
        raise Thought1Error(f"--adaptive {text!r}: one gate at most, not {' and '.join(given)}")
    gates = [Gate(cast(Signal, name), below) for name, below in given.items()]
    return Adaptive(cosine=cosine, overlap=overlap, gate=gates[0] if gates else None)


def thought_sampling(
    own: Sampling,
    temperature: float | None,
    top_p: float | None,
    seed: int | None,
    no_repeat: int | None,
) -> Sampling:
    """The flags' values, and those of `own` where none is given."""
    sampling = Sampling(
        own.temperature if temperature is None else temperature,
        own.top_p if top_p is None else top_p,
        seed or 0,
        own.no_repeat_ngram if no_repeat is None else no_repeat,
    )
    if sampling.temperature == 0 and (top_p is not None or seed is not None):
        raise Thought1Error("--top-p and --seed need a --temperature above 0")
    return sampling
