"""Names: what a model may be called."""

from __future__ import annotations

import re

from serving.refusal import RequestError, show

NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def check_name(name: str) -> str:
    """Return the model's name; RequestError unless it is a DNS label, which is a name that every system takes."""
    if not NAME.fullmatch(name):
        raise RequestError(
            f"found the model name {show(name)}: expected 1 to 63 of a-z, 0-9 and -, with no - at either end"
        )
    return name
