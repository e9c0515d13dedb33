"""A request to evaluate on a subset of BRIGHT, as plain data."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from thought1.data.bright import EXAMPLES
from thought1.evaluation.bright.task import KIND, task_name
from thought1.evaluation.request import T1, Request

_FIELDS = ("folder", "split", "subset", "long", "system", "think", "model", "instruction")


@dataclass(frozen=True, slots=True)
class BrightRequest(Request):
    """The arguments of `t1 bright` for one subset.

    `folder` is the source, which may be a hub id, and `split` the query set.
    """

    subset: str = ""
    long: bool = False
    instruction: str = "official"

    @property
    def task_name(self) -> str:
        """The name under which the result is kept."""
        return task_name(self.subset, self.long, self.split)

    def to_json(self) -> dict[str, Any]:
        """JSON data: the kind, and by their names the fields that mean something here."""
        return {"kind": KIND, **{name: asdict(self)[name] for name in _FIELDS}}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "BrightRequest":
        """The request of which `to_json` made `content`; TypeError if it is another's."""
        return cls(**{name: value for name, value in content.items() if name != "kind"})

    def command(self) -> list[str]:
        """The command line that measures this."""
        command = ["t1", "bright", self.folder, "--subset", self.subset]
        command += ["--long"] if self.long else []
        command += ["--queries", self.split] if self.split != EXAMPLES else []
        if self.system != T1:
            return [*command, "--system", self.system]
        options = {
            "--think": self.think,
            "--model": self.model,
            "--instruction": self.instruction,
        }
        for name, value in options.items():
            command += [name, str(value)] if value is not None else []
        return command
