"""Quick import: Feast without what its import does for nobody here, which is three quarters of it.

It loads torch for answers as tensors, and has typeguard write the methods of its classes anew with a check of every
type, which `python -O` would leave out as well. What this room hands to Feast is typed where it is written.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

WRAPPER = "feast.torch_wrapper"  # Feast's own door to torch, which loads it at once


def import_feast() -> None:
    """Import Feast; torch is loaded when it is asked for, and typeguard is as it was afterwards."""
    if "feast" in sys.modules:  # it is paid for
        return
    import typeguard

    door = ModuleType(WRAPPER, __doc__)
    vars(door)["get_torch"] = lambda: importlib.import_module("torch")
    sys.modules.setdefault(WRAPPER, door)
    checked, typeguard.typechecked = typeguard.typechecked, _leave
    try:
        importlib.import_module("feast")
    finally:
        typeguard.typechecked = checked


def _leave(target: Any = None, **_: Any) -> Any:
    """In place of `typechecked`, with arguments or without: what it decorates stays as it was written."""
    return _leave if target is None else target
