"""A package whose `__init__` runs when it is first needed. Knows no package by name."""

import sys
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from threading import RLock
from types import ModuleType
from typing import Any

_LOCK = RLock()
_SPEC = "_deferred_spec"


class _Deferred(ModuleType):
    """Its submodules can be imported at once; any other name runs the package's `__init__`."""

    def __getattr__(self, name: str) -> Any:
        with _LOCK:
            spec: ModuleSpec | None = self.__dict__.pop(_SPEC, None)
            if spec is not None and spec.loader is not None:
                try:
                    spec.loader.exec_module(self)
                except BaseException:
                    self.__dict__[_SPEC] = spec
                    raise
        return super().__getattribute__(name)


def defer(name: str) -> None:
    """Put off the `__init__` of a top-level package; nothing where it is loaded or not installed.

    `importlib.util.LazyLoader` would run it as soon as a submodule is imported.
    """
    spec = None if name in sys.modules else find_spec(name)
    if spec is None or spec.submodule_search_locations is None:
        return
    module = _Deferred(name)
    module.__spec__, module.__loader__, module.__package__ = spec, spec.loader, name
    module.__path__ = spec.submodule_search_locations
    module.__file__ = spec.origin
    module.__dict__[_SPEC] = spec
    sys.modules[name] = module
