"""What every command of `t1` refuses in its arguments before it starts, and how it words errors.

Knows kinds of values (paths, numbers), no option by name.
"""

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from typer.core import TyperCommand

from thought1.data.outputs import local
from thought1.types import Thought1Error

_MOST = 2**63
"""Whole numbers fit into 64 bits, as the libraries that receive them require."""


def in_options(message: str, parameters: Sequence[Any]) -> str:
    """A message of the library, whose `overwrite=True` is a command's `--overwrite`.

    Args:
        parameters: of the command that runs; arguments that are not its flags do not change.
    """
    for parameter in parameters:
        if getattr(parameter, "is_flag", False):
            message = re.sub(rf"\b{parameter.name}=True\b", parameter.opts[0], message)
    return message


class Command(TyperCommand):
    """A command whose paths are of this machine, and whose numbers are finite."""

    def invoke(self, ctx: Any) -> Any:
        """Check the arguments, then run.

        Raises:
            Thought1Error: a path is an address, or a number is none or too large; or what the
                command raises, in the words of its options.
        """
        for name, value in ctx.params.items():
            if isinstance(value, Path):
                local(value)
            elif isinstance(value, float) and not math.isfinite(value):
                raise Thought1Error(f"--{name.replace('_', '-')} must be a finite number")
            elif isinstance(value, int) and abs(value) >= _MOST:
                raise Thought1Error(f"{value} is too large a number: at most 2^63 - 1")
        try:
            return super().invoke(ctx)
        except Thought1Error as error:
            raise Thought1Error(in_options(str(error), self.params)) from error
