"""Addresses: how a step hands the address of what it published on to the next, on a laptop and on a cluster.

What a step publishes lies in Noria's object store, under a digest. `kfp.local` takes any address as an artifact's URI.
On a cluster that is refused: KFP's launcher uploads an artifact to the URI that KFP gave it, in KFP's own bucket, and
opens no other. So the artifact is then a file of one line, the address.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from noria.errors import StoreError
from noria.steps.workspace import is_content_address

REMOTE = ("minio://", "s3://", "gs://")  # what KFP's launcher keeps artifacts in
LONGEST = 2000


class Artifact(Protocol):
    """The part of kfp's artifacts that counts here: `path` is where KFP puts what `uri` names on this machine."""

    uri: str
    path: str
    metadata: dict[str, Any]


def hand_on(artifact: Artifact, address: str) -> None:
    """Let the artifact lead to what lies at the address."""
    artifact.metadata["address"] = address
    if artifact.uri.startswith(REMOTE):
        Path(artifact.path).write_text(f"{address}\n")
    else:
        artifact.uri = address


def address_of(artifact: Artifact) -> str:
    """The address that an earlier step handed on; StoreError where the artifact holds none."""
    if is_content_address(artifact.uri):
        return artifact.uri
    try:
        text = Path(artifact.path).read_text()[:LONGEST].strip()
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(
            f"artifact {artifact.uri} cannot be read ({error}): run the step that makes it again"
        ) from error
    if not is_content_address(text):
        raise StoreError(
            f"artifact {artifact.uri} holds {text[:80]!r}: expected one line, the address of something in Noria's own "
            "object store that ends in a sha256; run the step that makes it again"
        )
    return text
