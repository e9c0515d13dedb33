"""Numbers with a range, for the dataclasses of recipes."""

import math
from collections.abc import Callable
from typing import Annotated

RANGES: dict[str, Callable[[float], bool]] = {
    "0 or more": lambda x: 0 <= x < math.inf,
    "1 or more": lambda x: 1 <= x < math.inf,
    "above 0": lambda x: 0 < x < math.inf,
    "from 0 to below 1": lambda x: 0 <= x < 1,
    "from 0 to 1": lambda x: 0 <= x <= 1,
}
Natural = Annotated[int, "0 or more"]
Count = Annotated[int, "1 or more"]
Weight = Annotated[float, "0 or more"]
Positive = Annotated[float, "above 0"]
Share = Annotated[float, "from 0 to 1"]
