"""Which gate and which stop rule an index uses: chosen from questions whose answers are known.

Rules are tried on what one full thought about each question gave at its checkpoints, so that
hundreds of them cost no thinking. Knows numbers and one small file; `observing` runs the questions.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from thought1.files.whole import write_whole
from thought1.search.adaptive import Adaptive, Gate, Signal
from thought1.search.options import Mode, SearchOptions
from thought1.types import Thought1Error

FILE_NAME = "calibration.json"
FORMAT = 1
KEEP = 0.95
"""Share of the full budget's gain that a rule must keep."""
FOLDS = 5
COSINES = (0.8, 0.85, 0.9, 0.925, 0.95, 0.96, 0.97, 0.98, 0.985, 0.99, 0.995)
OVERLAPS = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
SHARES = tuple(round(0.1 * n, 1) for n in range(1, 10))
"""Shares of the questions that the gates tried think about."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Observed:
    """Q questions, and what one full thought about each gave at C checkpoints, the first at 0."""

    checkpoints: tuple[int, ...]
    quality_QC: Floats
    tokens_QC: Floats
    """Tokens written by then; a thought may have ended before."""
    cosine_QC: Floats
    """Of the vector to that at the checkpoint before; the first column is not looked at."""
    overlap_QC: Floats
    """Of the first documents with those at the checkpoint before; likewise."""
    signals: Mapping[Signal, Floats]
    """Of the bare queries, (Q,)."""

    def part(self, chosen: npt.NDArray[np.bool_]) -> "Observed":
        """Some of the questions."""
        return Observed(
            self.checkpoints,
            self.quality_QC[chosen],
            self.tokens_QC[chosen],
            self.cosine_QC[chosen],
            self.overlap_QC[chosen],
            {name: values_Q[chosen] for name, values_Q in self.signals.items()},
        )


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a rule comes to, question by question."""

    quality_Q: Floats
    tokens_Q: Floats

    @property
    def quality(self) -> float:
        """Averaged over the questions."""
        return float(self.quality_Q.mean())

    @property
    def tokens(self) -> float:
        """Averaged over the questions."""
        return float(self.tokens_Q.mean())


Rule = Adaptive | bool
"""An adaptive one; or False never thinks, and True always, to the end."""


def outcome(observed: Observed, rule: Rule) -> Outcome:
    """What the rule gives for the questions observed."""
    questions, count = observed.quality_QC.shape
    rows_Q, end_Q = np.arange(questions), np.full(questions, count - 1)
    if isinstance(rule, Adaptive):
        settled_QC = np.zeros((questions, count), bool)
        if rule.cosine is not None:
            settled_QC |= observed.cosine_QC >= rule.cosine
        if rule.overlap is not None:
            settled_QC |= observed.overlap_QC >= rule.overlap
        settled_QC[:, 0], settled_QC[:, -1] = False, True
        end_Q = settled_QC.argmax(axis=1)
        if rule.gate is not None:
            end_Q[observed.signals[rule.gate.signal] >= rule.gate.below] = 0
    elif not rule:
        end_Q[:] = 0
    return Outcome(observed.quality_QC[rows_Q, end_Q], observed.tokens_QC[rows_Q, end_Q])


def rules(observed: Observed) -> Iterator[Adaptive]:
    """The rules that are tried: every gate, every way of stopping, and every pair of them."""
    stops = [Adaptive(observed.checkpoints, cosine=value) for value in COSINES]
    stops += [Adaptive(observed.checkpoints, overlap=value) for value in OVERLAPS]
    yield from stops
    for name, values_Q in observed.signals.items():
        for below in sorted({float(np.quantile(values_Q, share)) for share in SHARES}):
            gate = Gate(name, below)
            yield Adaptive(observed.checkpoints, gate=gate)
            yield from (replace(stop, gate=gate) for stop in stops)


def choose(observed: Observed, keep: float = KEEP) -> Rule:
    """The rule with the fewest tokens that keeps this share of the gain; of equals, the better.

    Returns:
        False if thinking gains nothing on average.
    """
    bare, full = outcome(observed, False), outcome(observed, True)
    if full.quality <= bare.quality:
        return False
    least = bare.quality + keep * (full.quality - bare.quality) - 1e-12
    best: Rule = True
    found = full
    for rule in rules(observed):
        tried = outcome(observed, rule)
        if tried.quality >= least and (tried.tokens, -tried.quality) < (
            found.tokens,
            -found.quality,
        ):
            best, found = rule, tried
    return best


def held_out(observed: Observed, keep: float = KEEP, folds: int = FOLDS) -> Outcome:
    """What `choose` comes to on questions that it has not seen: each fold by the others' rule."""
    questions = len(observed.quality_QC)
    fold_Q = np.arange(questions) % folds
    quality_Q, tokens_Q = np.zeros(questions), np.zeros(questions)
    for fold in range(min(folds, questions)):
        here = fold_Q == fold
        found = outcome(observed.part(here), choose(observed.part(~here), keep))
        quality_Q[here], tokens_Q[here] = found.quality_Q, found.tokens_Q
    return Outcome(quality_Q, tokens_Q)


@dataclass(frozen=True, slots=True)
class Figures:
    """Means over the questions."""

    quality: float
    tokens: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """The rule of an index, and what it was chosen by."""

    model: str
    """Its name at the time of calibration."""
    mode: Mode
    measure: str
    questions: int
    keep: float
    rule: Rule
    budget: int
    bare: Figures
    full: Figures
    chosen: Figures
    held_out: Figures
    """What to expect of other questions: each fifth by the rule that the rest chose."""

    def options(self, options: SearchOptions) -> SearchOptions:
        """The same search, thinking as the calibration says."""
        if not isinstance(self.rule, Adaptive):
            return replace(options, think=self.budget if self.rule else 0)
        return replace(options, adaptive=self.rule)

    def to_json(self) -> dict[str, Any]:
        """JSON data."""
        return {"format": FORMAT, **asdict(self)}


def calibrated(
    observed: Observed, model: str, mode: Mode, measure: str, keep: float = KEEP
) -> Calibration:
    """Choose a rule.

    Raises:
        Thought1Error: fewer questions than folds, or a share that is none.
    """
    questions = len(observed.quality_QC)
    if questions < FOLDS:
        raise Thought1Error(
            f"{questions} questions have a relevant document: a calibration needs {FOLDS} or more"
        )
    if not 0 < keep <= 1:
        raise Thought1Error(f"a calibration keeps a share above 0 and up to 1, not {keep}")
    rule = choose(observed, keep)
    found = [outcome(observed, each) for each in (False, True, rule)]
    found.append(held_out(observed, keep))
    bare, full, chosen, other = (Figures(each.quality, each.tokens) for each in found)
    budget = observed.checkpoints[-1]
    return Calibration(
        model, mode, measure, questions, keep, rule, budget, bare, full, chosen, other
    )


def write_calibration(folder: Path, calibration: Calibration) -> None:
    """Keep it with the index in `folder`."""
    text = json.dumps(calibration.to_json(), indent=2, allow_nan=False) + "\n"
    try:
        with write_whole(folder / FILE_NAME) as stream:
            stream.write(text.encode())
    except OSError as error:
        raise Thought1Error(f"{folder / FILE_NAME} cannot be written: {error.strerror}") from None


def read_calibration(folder: Path, model: str) -> Calibration:
    """That of the index in `folder`.

    Raises:
        Thought1Error: there is none, it is broken or of a later format, or of another model.
    """
    path, again = folder / FILE_NAME, f"run `t1 calibrate {folder} --questions FILE --qrels FILE`"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content.pop("format") != FORMAT:
            raise Thought1Error(f"{path} is of another format than {FORMAT}: {again}")
        found = _from_json(content)
    except FileNotFoundError:
        raise Thought1Error(f"the index at {folder} is not calibrated: {again}") from None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise Thought1Error(f"{path} is broken ({error}): {again}") from None
    if found.model != model:
        raise Thought1Error(
            f"the index at {folder} was calibrated with the model {found.model!r}, not {model!r}: "
            f"{again}"
        )
    return found


def _from_json(content: dict[str, Any]) -> Calibration:
    rule = content["rule"]
    if not isinstance(rule, bool):
        gate = rule.pop("gate")
        rule = Adaptive(
            tuple(rule.pop("checkpoints")), gate=None if gate is None else Gate(**gate), **rule
        )
    if content["mode"] not in get_args(Mode):
        raise ValueError(f"mode {content['mode']!r}")
    figures = {name: Figures(**content[name]) for name in ("bare", "full", "chosen", "held_out")}
    return Calibration(**{**content, "rule": rule, **figures})
