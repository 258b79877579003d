"""Manifest: the digest of every file of a bundle, whose own digest names the bundle."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import msgspec

MANIFEST_FILE = "manifest.json"


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """`files`: file name -> sha256. `format` changes when a reader of today could misread what is written."""

    files: Mapping[str, str]
    format: Literal[1] = 1


def digest_of(data: bytes) -> str:
    """The sha256 of the bytes, in lowercase hex."""
    return hashlib.sha256(data).hexdigest()


def encode_manifest(files: Mapping[str, bytes]) -> bytes:
    """Write the manifest of the files; equal files, equal bytes."""
    return msgspec.json.encode(Manifest(files={name: digest_of(files[name]) for name in files}), order="deterministic")


def decode_manifest(data: bytes) -> Manifest:
    """Read a manifest; ValueError unless it is, byte for byte, what `encode_manifest` writes."""
    manifest = msgspec.json.decode(data, type=Manifest, strict=True)
    if msgspec.json.encode(manifest, order="deterministic") != data:
        raise ValueError("it is not in canonical form")
    return manifest
