"""Step: the one decorator that holds the image policy of every component.

Our image, nothing installed at run time: the same function runs in a test, under kfp.local and as a pod.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kfp import dsl

import noria

# The tag is the version: a tag that moves would let a cluster's cache serve the results of older code.
# 'python' in the name tells kfp.local that the image holds a Python environment.
IMAGE = f"noria/python-steps:{noria.__version__}"


def step(function: Callable[..., Any]) -> Any:
    """Make a component of a function whose body is a shell: artifacts in, one call into the core, results recorded."""
    return dsl.component(base_image=IMAGE, packages_to_install=[], install_kfp_package=False)(function)
