"""Alarms when reinforcement goes wrong: each is derived from numbers and reported once, in words.

It sees the means of each GRPO step and of each validation, compares them with earlier ones and
says what it saw and what to try. It stops nothing and changes nothing; it knows no trainer, no
model and no tensors. `docs/alarms.md` is the table of them.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from math import isfinite
from statistics import fmean
from typing import Any

from thought1.evaluation.thoughts.faithfulness import SAME_VECTOR

COLLAPSED = 0.25
"""Share of the first window's length: rewards shorten thoughts, but hardly to a quarter. Ours."""
FEWEST_TOKENS = 1.0
"""Below one token on average, many questions get no thought at all."""
EXPLODED = 1.5
"""Growth in length that is suspect where the budget ends nearly all thoughts. Ours."""
FORCED = 0.9
"""Share of forced endings above which the model has all but stopped to end thoughts. Ours."""
AT_BUDGET = 0.95
"""Share of the budget at which a mean length can hardly grow further. Ours."""
SHORT_AT_FIRST = 0.6
"""Share of the budget below which the first thoughts were not already near it. Ours."""
NO_VARIANCE = 0.9
"""Groups of equal rewards have no advantage: above this a step learns from a tenth of them."""
REPEATED = 0.3
"""Share of repeated 3-grams that ordinary prose of this length does not reach. Ours."""
COPIED = 0.8
"""Share of tokens from the question's 3-grams that leaves little for thinking. Our own choice."""
NO_BETTER = 0.005
"""Own minus swapped nDCG. Well below the gauge's `MARGIN`, since that bounds the end of an
interval and this a mean."""
FALL = 0.01
"""Loss in validation nDCG that is more than the noise between neighbouring evaluations. Ours."""
FALLS = 2
"""Evaluations in a row that must have fallen: a single one may be noise."""

ADVICE: Mapping[str, str] = {
    "nan": "go back to the last good checkpoint with a lower learning rate, a stricter gradient "
    "norm, or float32",
    "length-collapse": "lower the weight of the reward `length` or raise its target; if validation "
    "nDCG has not fallen, the short thoughts may be right",
    "length-explosion": "raise the weights of the rewards `format` and `length`; if validation "
    "nDCG rises, raise the budget",
    "no-variance": "raise the sampling temperature or the group size, take questions that are "
    "neither hopeless nor solved, or a finer reward (`log_rank` or `margin` for `ndcg`)",
    "repetition": "raise the weight of the reward `repetition`, or lower the learning rate",
    "copying": "add a custom reward (`module:function`) that counts copied tokens, or go back "
    "to a checkpoint of stage 2 whose thoughts do not copy",
    "ignored": "raise the weight of the InfoNCE term, or go back to stage 2 with a smaller "
    "`share_none`: where thoughts do not matter, their rewards are noise; the gauge's table has "
    "the interval",
    "hacking": "take the best checkpoint, read the saved thoughts, and reward what validation "
    "measures (`ndcg`, harder negatives, less weight on the other rewards)",
}
"""Name of an alarm -> what to try."""


@dataclass(frozen=True, slots=True)
class StepFacts:
    """Of one GRPO step, means over its rollouts."""

    step: int
    loss: float
    reward: float
    length: float
    """Tokens of a thought, without `<emb_token>`."""
    forced: float
    """Share of thoughts that the model did not end itself, 0 to 1."""
    no_variance: float
    """Share of groups whose rewards do not differ."""
    repeated: float
    """Mean share of a thought's 3-grams that occurred before in it."""
    copied: float
    """Mean share of a thought's tokens that are in 3-grams of the question."""


@dataclass(frozen=True, slots=True)
class EvalFacts:
    """Of one validation."""

    step: int
    ndcg: float
    """nDCG@10 after the model's own thoughts."""
    swapped_ndcg: float
    """nDCG@10 after the thoughts of other questions."""
    swapped_cosine: float
    """Mean cosine of the two vectors of a question."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something that a person should look at."""

    name: str
    """A key of `ADVICE`."""
    step: int
    text: str
    """What was seen, with numbers, and what to try."""


@dataclass(slots=True)
class _History:
    """What is remembered between steps; JSON data throughout."""

    recent: list[StepFacts] = field(default_factory=list)
    """Of the last window."""
    first_length: float | None = None
    """Mean length of the first window; None until it is full."""
    reward_sum: float = 0.0
    reward_steps: int = 0
    """Since the last evaluation."""
    best_ndcg: float | None = None
    best_reward: float | None = None
    """Mean reward of the steps that led to the best evaluation."""
    falls: int = 0
    """Evaluations in a row that fell while the reward rose."""
    ringing: list[str] = field(default_factory=list)
    """Alarms whose condition still holds."""


class Alarms:
    """Listens to one run. An alarm rings when its condition begins, and again only after it ceased.

    Lengths and shares are judged by their means over the last `window` steps, so nothing but `nan`
    rings before there are as many. Steps and evaluations with a value that is not finite ring
    `nan` and count for nothing else.
    """

    def __init__(self, budget: int, window: int = 20) -> None:
        """`budget`: maximum tokens of a thought; `window`: steps of a mean. Both at least 1."""
        if budget < 1 or window < 1:
            raise ValueError(f"budget {budget} and window {window} must be at least 1")
        self.budget = budget
        self.window = window
        self._history = _History()

    def on_step(self, facts: StepFacts) -> list[Alarm]:
        """What begins to ring at this step."""
        broken = _not_finite(facts)
        if broken:
            return self._begun({"nan": broken}, facts.step)
        past = self._history
        past.reward_sum += facts.reward
        past.reward_steps += 1
        past.recent = [*past.recent, facts][-self.window :]
        seen = {"nan": ""}
        if len(past.recent) == self.window:
            seen |= self._lengths() | self._shares()
        return self._begun(seen, facts.step)

    def on_evaluation(self, facts: EvalFacts) -> list[Alarm]:
        """What begins to ring at this validation."""
        broken = _not_finite(facts)
        if broken:
            return self._begun({"nan": broken}, facts.step)
        seen = {"ignored": self._ignored(facts), "hacking": self._hacking(facts)}
        return self._begun(seen, facts.step)

    def state_dict(self) -> dict[str, Any]:
        """The history as JSON data."""
        return asdict(self._history)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on with the history that `state_dict` gave."""
        recent = [StepFacts(**row) for row in state["recent"]][-self.window :]
        self._history = _History(**{**state, "recent": recent, "ringing": list(state["ringing"])})

    def _begun(self, seen: Mapping[str, str], step: int) -> list[Alarm]:
        """Alarms for what is seen and did not ring yet. "" means: judged, and not so."""
        ringing = self._history.ringing
        new = [name for name, text in seen.items() if text and name not in ringing]
        self._history.ringing = [name for name in ringing if seen.get(name, name)] + new
        return [Alarm(name, step, f"{seen[name]}: {ADVICE[name]}") for name in new]

    def _lengths(self) -> dict[str, str]:
        recent = self._history.recent
        now = fmean(facts.length for facts in recent)
        forced = fmean(facts.forced for facts in recent)
        if self._history.first_length is None:
            self._history.first_length = now
        first = self._history.first_length
        collapsed = now < FEWEST_TOKENS or now < COLLAPSED * first
        endless = now > EXPLODED * first and forced > FORCED
        full = now >= AT_BUDGET * self.budget and first < SHORT_AT_FIRST * self.budget
        text = (
            f"the thoughts have {now:.1f} of at most {self.budget} tokens, {first:.1f} at first; "
            f"{forced:.0%} end by force"
        )
        return {
            "length-collapse": text if collapsed else "",
            "length-explosion": text if endless or full else "",
        }

    def _shares(self) -> dict[str, str]:
        recent = self._history.recent
        equal = fmean(facts.no_variance for facts in recent)
        repeated = fmean(facts.repeated for facts in recent)
        copied = fmean(facts.copied for facts in recent)
        return {
            "no-variance": f"in {equal:.0%} of the groups all rewards are equal"
            if equal > NO_VARIANCE
            else "",
            "repetition": f"{repeated:.0%} of a thought's 3-grams occurred before in it"
            if repeated > REPEATED
            else "",
            "copying": f"{copied:.0%} of a thought is copied from its question"
            if copied > COPIED
            else "",
        }

    def _ignored(self, facts: EvalFacts) -> str:
        """Like the gauge, silent where nothing is thought: there is nothing to swap."""
        recent = self._history.recent
        if recent and not any(step.length > 0 for step in recent):
            return ""
        parts = []
        if facts.swapped_ndcg >= facts.ndcg - NO_BETTER:
            parts.append("swapped thoughts retrieve as well as own")
        if facts.swapped_cosine > SAME_VECTOR:
            parts.append("the vectors hardly depend on the thoughts")
        if not parts:
            return ""
        return (
            f"{' and '.join(parts)} (nDCG@10 own {facts.ndcg:.3f}, swapped "
            f"{facts.swapped_ndcg:.3f}; mean cosine {facts.swapped_cosine:.3f})"
        )

    def _hacking(self, facts: EvalFacts) -> str:
        """Both nDCG and reward are compared with the best evaluation, so that a reward which has
        risen and stays there counts too."""
        past = self._history
        reward = past.reward_sum / past.reward_steps if past.reward_steps else None
        past.reward_sum, past.reward_steps = 0.0, 0
        if past.best_ndcg is None or facts.ndcg > past.best_ndcg:
            past.best_ndcg, past.best_reward, past.falls = facts.ndcg, reward, 0
            return ""
        if past.best_reward is None:  # the best was measured before any step
            past.best_reward = reward
        if reward is None or past.best_reward is None:
            return ""
        fell = past.best_ndcg - facts.ndcg > FALL and reward > past.best_reward
        past.falls = past.falls + 1 if fell else 0
        if past.falls < FALLS:
            return ""
        return (
            f"validation nDCG@10 fell from {past.best_ndcg:.3f} to {facts.ndcg:.3f} while the mean "
            f"reward rose from {past.best_reward:.3f} to {reward:.3f}"
        )


def _not_finite(facts: StepFacts | EvalFacts) -> str:
    """Which values are not finite, or ""."""
    values = asdict(facts).items()
    return ", ".join(f"{name} is {value}" for name, value in values if not isfinite(value))
