"""The form of a result file, once: what is written is built of these, and what is read is checked.

docs/evaluation.md says what each field means. A field that a later version adds is kept as it is;
what only the report needs may be absent. Knows neither files nor how numbers are computed.
"""

from typing import Annotated, Any, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError

FORMAT = 1
"""Version of the file; a program refuses a later one."""

MEASURE = "ndcg@10"
"""What curves and the faithfulness report measure."""

Share = Annotated[float, Field(ge=0, le=1 + 1e-9)]
"""A value between 0 and 1, up to rounding."""
Amount = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=0)]
Pair = Annotated[list[float], Field(min_length=2, max_length=2)]
"""Low and high end of an interval."""


class _Record(BaseModel):
    model_config = ConfigDict(
        strict=True, frozen=True, extra="allow", allow_inf_nan=False, populate_by_name=True
    )

    def to_json(self) -> dict[str, Any]:
        """JSON data; what was not given is absent."""
        return self.model_dump(by_alias=True, exclude_unset=True)


class TaskRecord(_Record):
    """The judged queries and what they were searched in."""

    name: str
    kind: str
    folder: str
    split: str
    queries: Count
    """Judged."""
    documents: Count
    hashes: dict[str, str]
    """file -> SHA-256."""


class SystemRecord(_Record):
    """The system that was measured."""

    name: str
    kind: str
    revision: str
    mode: str
    think: Count | None
    weights: str | None
    settings: str | None


class ThoughtTokensRecord(_Record):
    """Tokens of all thoughts on a query."""

    mean: float | None = None
    p95: float | None = None


class CostRecord(_Record):
    """Means of a query; None and absent where it is not known."""

    prompt_tokens: float | None = None
    thought_tokens: ThoughtTokensRecord = ThoughtTokensRecord()
    forced: float | None = None
    rerank_tokens: float | None = None
    milliseconds: dict[str, float] = {}
    """By step."""
    peak_memory_mb: float | None = None
    price_per_million_tokens: float | None = None
    cost_per_1000_queries: float | None = None


class FilesRecord(_Record):
    """Names of the files next to the result."""

    run: str | None = None
    details: str | None = None


class DifferenceRecord(_Record):
    """Mean of a difference over queries, and its 95% interval."""

    mean: float
    low: float
    high: float


class _Valued(_Record):
    ndcg: Share = Field(alias="ndcg@10")


class PointRecord(_Record):
    """A budget on a curve."""

    budget: Count
    tokens: Amount | None = None
    milliseconds: Amount | None = None
    metrics: _Valued
    ci: dict[str, Pair] = {}
    per_query: dict[str, Share] = {}


class RivalRecord(_Record):
    """Another system shown with a curve."""

    name: str
    tokens: Amount | None = None
    milliseconds: Amount | None = None
    metrics: _Valued


class CurveRecord(_Record):
    """nDCG@10 over what thinking costs."""

    budgets: list[Count] = []
    points: Annotated[list[PointRecord], Field(min_length=1)]
    baselines: list[RivalRecord]
    pareto: list[int | str]
    """Budgets and names on the Pareto front over milliseconds."""


class ThoughtRecord(_Valued):
    """One kind of thought in the faithfulness report."""

    cosine: float
    per_query: dict[str, Share] = {}


class VectorRecord(_Valued):
    """One way to make a vector of several thoughts."""

    per_query: dict[str, Share] = {}


class DispersionRecord(_Record):
    """How far sampled thoughts scatter, and what averaging them brings."""

    budget: Count = 0
    copies: Count
    temperature: float
    distances: dict[str, float] = {}
    correlation: float | None = None
    rows: dict[str, VectorRecord]
    distance: float
    gains: dict[str, DifferenceRecord]


class FaithfulnessRecord(_Record):
    """Whether vectors depend on thoughts."""

    budget: Count
    rows: dict[str, ThoughtRecord]
    mean_length: float
    distinct: Count
    warning: str | None = ""
    advantages: dict[str, DifferenceRecord]
    dispersion: DispersionRecord | None = None

    @model_validator(mode="after")
    def _has_own(self) -> Self:
        if "own" not in self.rows:
            raise PydanticCustomError("rows", "lacks the row own")
        return self


class Result(_Record):
    """A result file."""

    format: int
    task: TaskRecord
    system: SystemRecord
    metrics: dict[str, Share]
    """measure -> mean."""
    ci: dict[str, Pair]
    queries: Count
    """How many count: those with a relevant document."""
    per_query: dict[str, dict[str, Share]]
    """measure -> query id -> value."""
    cost: CostRecord = CostRecord()
    origin: dict[str, Any] = {}
    request: dict[str, Any] = {}
    """The request that `t1 replay` repeats."""
    files: FilesRecord = FilesRecord()
    checks: dict[str, int] | None = None
    curve: CurveRecord | None = None
    faithfulness: FaithfulnessRecord | None = None
    protocols: dict[str, Any] | None = None
    """Of BRIGHT."""
    bright: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _same_measures_and_queries(self) -> Self:
        measures = self.metrics.keys()
        if not measures or any(part.keys() != measures for part in (self.ci, self.per_query)):
            raise PydanticCustomError(
                "measures", '"metrics", "ci" and "per_query" do not have the same measures'
            )
        queries = {frozenset(values) for values in self.per_query.values()}
        if len(queries) != 1 or not all(queries):
            raise PydanticCustomError(
                "queries", "per_query has different queries under different measures"
            )
        return self


class HitRecord(_Record):
    """A document that was found."""

    id: str
    score: float
    text: str
    """The first characters of title and text."""


class DetailRecord(_Record):
    """What the system did with one query: a line of the details."""

    id: str = Field(alias="_id")
    query: str
    rewritten: str | None = None
    thought: str | None
    thought_tokens: Count
    finish_reason: str | None
    thoughts: list[dict[str, Any]] = []
    evidence: list[str] = []
    relevant: list[str]
    hits: list[HitRecord]


_WORDS = {
    "model_type": "is not a JSON object",
    "dict_type": "is not a JSON object",
    "list_type": "is not a list",
    "string_type": "is not a string",
    "int_type": "is not a whole number",
    "int_from_float": "is not a whole number",
    "float_type": "is not a number",
    "finite_number": "is not a finite number",
    "less_than_equal": "is {input:g}, and not between 0 and 1",
    "greater_than_equal": "is not a number from 0 on, but {input:g}",
    "missing": "is missing",
}


def problem(error: ValidationError) -> str:
    """What is wrong with a file, in one clause: all that one object lacks, or the first field."""
    first = error.errors()[0]
    place = first["loc"]
    if not place:
        return f"it {first['msg']}" if first["type"] == "model_type" else first["msg"]
    if len(place) == 1:
        return f"{place[0]!r} is missing or of the wrong kind"
    if first["type"] == "missing":
        same = [one for one in error.errors() if one["loc"][:-1] == place[:-1]]
        lacking = [str(one["loc"][-1]) for one in same if one["type"] == "missing"]
        return f"{_dotted(place[:-1])!r} lacks {', '.join(lacking)}"
    return f"{_dotted(place)} {_words(first)}"


def _words(error: ErrorDetails) -> str:
    form = _WORDS.get(error["type"])
    value = error["input"]
    if form is None or ("{" in form and not isinstance(value, int | float)):
        return f"is wrong ({error['msg']})"
    return form.format(input=value)


def _dotted(place: tuple[int | str, ...]) -> str:
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)
    return "".join(parts).removeprefix(".")
