"""PNG: turn a raw picture of a row into a data URI that is small enough for a page."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from noria.schema import Column

if TYPE_CHECKING:
    from PIL.Image import Image

SIDES = (112, 80, 56)  # the longest side is cut down to one of these, in pixels
LARGEST = 12_000  # bytes; noise of 56 x 56 in colour still fits, so the last side always does


@dataclass(frozen=True, kw_only=True)
class Picture:
    """`address` is a data URI; a picture drawn larger than it is shows its true pixels."""

    address: str
    width: int
    height: int


def is_picture(column: Column) -> bool:
    """Whether the column's values can be shown: uint8 of shape (height, width) or (height, width, 3)."""
    grey, colour = len(column.shape) == 2, len(column.shape) == 3 and column.shape[-1] == 3
    return column.type == "uint8" and (grey or colour) and min(column.shape[:2]) >= 2


def draw_picture(pixels: NDArray[np.uint8]) -> Picture:
    """Encode one picture as PNG, shrunk as far as the page's size asks for; equal pixels, equal bytes."""
    from PIL import Image

    whole = Image.fromarray(np.ascontiguousarray(pixels))
    for side in SIDES:
        small = _shrink(whole, side)
        packed = io.BytesIO()
        small.save(packed, "PNG", optimize=True)
        if packed.tell() <= LARGEST:
            break
    address = "data:image/png;base64," + base64.b64encode(packed.getvalue()).decode("ascii")
    return Picture(address=address, width=small.width, height=small.height)


def _shrink(picture: Image, side: int) -> Image:
    from PIL.Image import Resampling

    share = side / max(picture.size)
    if share >= 1:
        return picture
    width, height = (max(1, round(length * share)) for length in picture.size)
    return picture.resize((width, height), Resampling.BOX)
