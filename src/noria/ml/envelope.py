"""Envelope: the signature.json that model-signing writes, read strictly into the digests that it vouches for.

It is a Sigstore bundle (v0.3) that holds a DSSE envelope around an in-toto statement with one sha256 per file. Nothing
may stand in it that is not known here, so that two readers cannot understand one signature differently.
https://github.com/secure-systems-lab/dsse/blob/v1.0.0/protocol.md
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec

SIGNATURE_FILE = "signature.json"
STATEMENT_TYPE = "application/vnd.in-toto+json"


class _PublicKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    hint: str


class _Material(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    public_key: _PublicKey
    tlog_entries: Annotated[tuple[str, ...], msgspec.Meta(max_length=0)]


class _Signature(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    sig: str
    keyid: Literal[""]


class _Envelope(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    payload: str
    payload_type: Literal["application/vnd.in-toto+json"]
    signatures: tuple[_Signature]


class _SigstoreBundle(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    media_type: Literal["application/vnd.dev.sigstore.bundle.v0.3+json"]
    verification_material: _Material
    dsse_envelope: _Envelope


class _Resource(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    algorithm: Literal["sha256"]
    digest: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


class _Serialization(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    method: Literal["files"]
    hash_type: Literal["sha256"]
    allow_symlinks: bool
    ignore_paths: tuple[Literal["signature.json"]]


class _Predicate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    serialization: _Serialization
    resources: tuple[_Resource, ...]


class _SubjectDigest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    sha256: str


class _Subject(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    digest: _SubjectDigest


class _Statement(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"type": "_type", "predicate_type": "predicateType"}
):
    type: Literal["https://in-toto.io/Statement/v1"]
    subject: tuple[_Subject]
    predicate_type: Literal["https://model_signing/signature/v1.0"]
    predicate: _Predicate


@dataclass(frozen=True, kw_only=True)
class Envelope:
    """Who signed what: the claim holds only after `signature` was verified over `signed` with the key `key_id`."""

    key_id: str
    payload: bytes
    signature: bytes

    @property
    def signed(self) -> bytes:
        """The bytes under the signature."""
        return pre_authentication(STATEMENT_TYPE, self.payload)


def pre_authentication(payload_type: str, payload: bytes) -> bytes:
    """DSSE's PAE: bind the type to the bytes, so that a signature over one kind of thing never passes for another."""
    return b"DSSEv1 %d %s %d %s" % (len(payload_type.encode()), payload_type.encode(), len(payload), payload)


def parse_envelope(text: bytes) -> Envelope:
    """Read signature.json; ValueError says what is wrong with it."""
    parsed = msgspec.json.decode(text, type=_SigstoreBundle, strict=True)
    return Envelope(
        key_id=parsed.verification_material.public_key.hint,
        payload=base64.b64decode(parsed.dsse_envelope.payload, validate=True),
        signature=base64.b64decode(parsed.dsse_envelope.signatures[0].sig, validate=True),
    )


def parse_statement(payload: bytes) -> Mapping[str, str]:
    """Read a verified payload: file name -> sha256; ValueError says what is wrong with it."""
    statement = msgspec.json.decode(payload, type=_Statement, strict=True)
    resources = statement.predicate.resources
    digests = {resource.name: resource.digest for resource in resources}
    if len(digests) != len(resources) or statement.predicate.serialization.allow_symlinks:
        raise ValueError("it names a file twice or allows links")
    whole = hashlib.sha256(b"".join(bytes.fromhex(resource.digest) for resource in resources)).hexdigest()
    if statement.subject[0].digest.sha256 != whole:
        raise ValueError(f"its subject is {statement.subject[0].digest.sha256}, its files make {whole}")
    return digests
