"""What the routes of one server share."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPBearer

from thought1.serving.desk import Desk
from thought1.serving.errors import ErrorBody
from thought1.serving.limits import Limits
from thought1.serving.metrics import Metrics
from thought1.serving.readiness import Readiness
from thought1.serving.shelf import Shelf
from thought1.serving.tidying import Tidying

STATUSES = (400, 401, 403, 404, 413, 421, 422, 429, 500, 503, 504, 507)
ERRORS: dict[int | str, dict[str, object]] = {status: {"model": ErrorBody} for status in STATUSES}
"""For the specification: whatever is no success has one shape."""

BEARER = HTTPBearer(auto_error=False, description="A token of `t1 tokens add`, if required.")
"""For the specification alone; `guard` looks at the token."""


@dataclass(frozen=True, slots=True)
class Context:
    """One server's parts."""

    shelf: Shelf
    desk: Desk
    limits: Limits
    metrics: Metrics
    readiness: Readiness
    tidying: Tidying


def _context(request: Request) -> Context:
    found: Context = request.app.state.context
    return found


Server = Annotated[Context, Depends(_context)]
