"""Content: which rows hold the same features, found by a hash of each row."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noria.ml.nulls import Nulls, lay_flat
from noria.schema import Schema
from noria.task import Rows

CHUNK = 8192  # rows laid out as bytes at a time

Hashes = NDArray[np.uint64]


def hash_rows(rows: Rows, schema: Schema, nulls: Nulls | None = None) -> Hashes:
    """Hash the features of each row to 64 bits of BLAKE2b; equal features, equal hash, whatever the other columns say.

    Two rows that differ share a hash with probability 2**-64: among 10 million rows, a false pair is a matter of 1 in
    370,000. -0.0 equals 0.0, all NaN are equal, and a null equals a null.
    """
    columns = [_bytes_of(rows[column.name], (nulls or {}).get(column.name)) for column in schema.features]
    count = len(columns[0])
    hashes = np.empty(count, dtype="<u8")
    for start in range(0, count, CHUNK):
        block = np.ascontiguousarray(np.concatenate([column[start : start + CHUNK] for column in columns], axis=1))
        digests = b"".join(hashlib.blake2b(line, digest_size=8).digest() for line in block)
        hashes[start : start + len(block)] = np.frombuffer(digests, dtype="<u8")
    return hashes


def repeated_rows(hashes: Hashes) -> NDArray[np.int64]:
    """Places of the rows whose content an earlier row has already, in order."""
    order = np.argsort(hashes, kind="stable")
    same = hashes[order][1:] == hashes[order][:-1]
    return np.sort(order[1:][same])


def leaked_rows(hashes: Hashes, training: NDArray[np.int64], holdout: NDArray[np.int64]) -> NDArray[np.int64]:
    """Those of the training rows (places) whose content is held out as well: leave them out of training."""
    return training[np.isin(hashes[training], hashes[holdout])]


def _bytes_of(values: NDArray[Any], nulls: NDArray[np.bool_] | None) -> NDArray[np.uint8]:
    """Lay a column out as (rows, bytes of a value), the same bytes for equal values."""
    if values.dtype.kind in "OU":
        values = _hash_strings(values)
    elif values.dtype.kind == "f":
        values = np.where(np.isnan(values), np.array(np.nan, values.dtype), values + np.zeros((), values.dtype))
    laid = lay_flat(np.ascontiguousarray(values))
    width = laid.shape[1] * laid.dtype.itemsize
    laid = laid.view(np.uint8).reshape(len(values), width)
    if nulls is None:
        return laid
    mask = nulls.reshape(len(values), 1)
    return np.concatenate([np.where(mask, np.uint8(0), laid), mask.astype(np.uint8)], axis=1)


def _hash_strings(values: NDArray[Any]) -> NDArray[np.uint64]:
    known: dict[Any, bytes] = {None: bytes(8)}
    flat = values.ravel().tolist()
    for value in set(flat) - {None}:
        known[value] = hashlib.blake2b(str(value).encode(), digest_size=8).digest()
    return np.frombuffer(b"".join(known[value] for value in flat), dtype="<u8").reshape(values.shape)
