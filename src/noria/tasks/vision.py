"""Vision: import torchvision, also where its compiled operations do not load."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

import torch

_declared: list[Any] = []  # a library's declarations live as long as somebody holds it


def ensure_torchvision() -> ModuleType:
    """Import torchvision and return it.

    Its wheel on PyPI is built for torch with CUDA. Beside torch's CPU build its compiled operations do not load, and
    the import fails where it describes `nms`. Once the operation is declared, all that is written in Python works:
    transforms, layers, models. `ops.nms` and `io` go on saying that they are not there.
    """
    try:
        return importlib.import_module("torchvision")
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        del sys.modules[name]
    library: Any = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
    for operation in ("nms", "qnms"):
        library.define(f"{operation}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _declared.append(library)
    return importlib.import_module("torchvision")
