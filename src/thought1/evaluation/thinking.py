"""Generations for a list of questions, batch by batch: several thoughts each, or snapshots of one.

`T1.think` gives one thought and one vector; the gauges of this package ask the engine for more. It
knows a model's prompts and its engine, no documents and no metric.
"""

from collections.abc import Iterator, Sequence

from thought1.t1 import T1
from thought1.types import Generation, Sampling

BATCH = 32
"""Questions that think together, as in `T1.think`."""


def generations(
    model: T1,
    questions: Sequence[str],
    budget: int,
    sampling: Sampling,
    *,
    copies: int = 1,
    snapshots: Sequence[int] = (),
) -> Iterator[tuple[list[int], list[Generation]]]:
    """Batch by batch, longest prompts first: the questions' places, and `copies` thoughts each.

    The thoughts of a question follow each other; `snapshots` as in `HFEngine.generate`.
    """
    own = model.settings
    prompts = model.renderer.render(own.query, questions, own.max_query_tokens)
    order = sorted(range(len(questions)), key=lambda i: -len(prompts.rows[i]))
    for start in range(0, len(order), BATCH):
        places = order[start : start + BATCH]
        rows = [prompts.rows[i] for i in places]
        budgets = [budget] * len(places)
        done = model.engine.generate(
            prompts.prefix, rows, budgets, sampling, copies=copies, snapshots=snapshots
        )
        yield places, done
