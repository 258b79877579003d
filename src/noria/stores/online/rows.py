"""Rows: what lies under one key of an online store, as bytes that any store can compare and any process can read.

A packed row is, big-endian: the event's instant and the row's creation (8 bytes each, so made that their order as bytes
is their order in time), the layout of the view (4), which values are missing (a bit each), a slot for each value (8
bytes for a number, the length in 4 for a text), the texts, and a CRC-32 of all that.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from zlib import crc32

from noria.errors import StoreError, UsageError
from noria.features import FeatureView, Field, Stored

PREFIX = b"noria:"
STAMPS = 16  # bytes in front of a packed row, by which stores decide which of two is newer
_ZERO = 1 << 63  # added to an instant, so that those before 1970 come first
_SLOTS = {"int64": "q", "float64": "d", "string": "I"}
_CHECK = struct.Struct(">I")


@dataclass(frozen=True, kw_only=True, slots=True)
class OnlineRow:
    """The newest values of one entity; instants in µs since 1970, values in the order of the view's fields."""

    event: int  # from when on they were known
    created: int  # which of two rows of equal event counts: the one created last
    values: tuple[Stored, ...]  # None: missing


def row_key(view: str, keys: Sequence[str | int]) -> bytes:
    """The key of an entity's row in any store; `keys` in the order of the view's.

    Texts stand behind their length and whole numbers between i and e, as bencode has it, so that no two entities share
    a key, whatever characters are in them: noria:5:route3:JFK3:LAX. The number 1 and the text "1" are two entities.
    """
    return b"".join([PREFIX, _part(view), *map(_part, keys)])


def view_of(key: bytes) -> str:
    """The view of a key that row_key made."""
    size, _, rest = key.removeprefix(PREFIX).partition(b":")
    return rest[: int(size)].decode(errors="surrogatepass")


def _part(key: str | int) -> bytes:
    if isinstance(key, str):
        text = key.encode(errors="surrogatepass")
        return b"%d:%b" % (len(text), text)
    return b"i%de" % key


class Packer:
    """Packs and unpacks the rows of one view; safe to share between threads."""

    def __init__(self, view: FeatureView) -> None:
        self._view = view.name
        self._fields = view.fields
        described = "".join(f"{field.name}\0{field.type}\0" for field in view.fields)
        self._layout = int.from_bytes(hashlib.sha256(described.encode()).digest()[:4], "big")
        self._mask = (len(view.fields) + 7) // 8
        self._fixed = struct.Struct(f">QQI{self._mask}s" + "".join(_SLOTS[field.type] for field in view.fields))
        self._texts = tuple(place for place, field in enumerate(view.fields) if field.type == "string")
        self._whole = bytes(self._mask)  # the mask of a row that misses nothing

    def pack(self, row: OnlineRow) -> bytes:
        """Turn a row into bytes, NaN into a missing value; UsageError for a value that its field cannot hold."""
        missing, slots, texts = 0, [], []
        for place, (field, value) in enumerate(self._pairs(row.values)):
            if value is None or value != value:  # noqa: PLR0124 - only NaN differs from itself
                missing |= 1 << place
                slots.append(0)
            elif field.type == "string":
                texts.append(self._text(field.name, value))
                slots.append(len(texts[-1]))
            else:
                slots.append(value)  # type: ignore[arg-type]  # struct refuses a text
        mask = missing.to_bytes(self._mask, "little")
        try:
            fixed = self._fixed.pack(row.event + _ZERO, row.created + _ZERO, self._layout, mask, *slots)
        except (struct.error, TypeError, OverflowError) as error:
            raise UsageError(
                f"a row of view {self._view} cannot be packed ({error}): found {row}; expected instants in "
                f"microseconds and the fields {self._described()}"
            ) from error
        data = b"".join((fixed, *texts))
        return data + _CHECK.pack(crc32(data))

    def unpack(self, data: bytes) -> OnlineRow:
        """Read a packed row; StoreError where it is torn or follows another layout than this view's."""
        try:
            event, created, layout, mask, *values = self._fixed.unpack_from(data)
            (check,) = _CHECK.unpack_from(data, len(data) - 4)
        except struct.error as error:
            raise self._unreadable(data) from error
        if layout != self._layout or check != crc32(data[:-4]):
            raise self._unreadable(data)
        start = self._fixed.size
        for place in self._texts:
            end = start + values[place]
            values[place] = data[start:end].decode(errors="surrogatepass")
            start = end
        if mask != self._whole:
            missing = int.from_bytes(mask, "little")
            values = [None if missing >> place & 1 else value for place, value in enumerate(values)]
        return OnlineRow(event=event - _ZERO, created=created - _ZERO, values=tuple(values))

    def _pairs(self, values: Sequence[Stored]) -> Iterator[tuple[Field, Stored]]:
        if len(values) != len(self._fields):
            raise UsageError(
                f"a row of view {self._view} has {len(values)} values: expected {len(self._fields)}, those of the "
                f"fields {self._described()}"
            )
        return zip(self._fields, values, strict=True)

    def _text(self, name: str, value: Stored) -> bytes:
        if not isinstance(value, str):
            raise UsageError(
                f"field {name} of view {self._view} got {value!r}: expected a text or None, as the service has it"
            )
        return value.encode(errors="surrogatepass")

    def _described(self) -> str:
        return ", ".join(f"{field.name} ({field.type})" for field in self._fields)

    def _unreadable(self, data: bytes) -> StoreError:
        """Say why a row cannot be read: another layout where the row is whole by its own check, torn else."""
        whole = len(data) > STAMPS + 8 and _CHECK.pack(crc32(data[:-4])) == data[-4:]
        if whole:
            return StoreError(
                f"a row of view {self._view} has the layout {data[STAMPS : STAMPS + 4].hex()}: expected "
                f"{self._layout:08x}, which is {self._described()}; another version of the view wrote it: give a "
                "changed view a new name, or materialise it again"
            )
        return StoreError(
            f"a row of view {self._view} is torn, {len(data)} bytes: expected a packed row with a right checksum; "
            "materialise the view again, and look at the store's disk"
        )
