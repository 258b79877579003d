"""Settings: WHERE things are; the only reader of environment variables."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from noria.errors import UsageError

SOURCE_PREFIX = "NORIA_SOURCE_"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The places that one installation uses.

    NORIA_HOME           the folder for all that Noria keeps (default: .noria in the working folder)
    NORIA_OBJECTS        the object store: a folder, or s3://bucket/prefix (default: <home>/objects)
    NORIA_SIGNING_KEY    the private key that signs bundles and ledger entries (default: <home>/keys/signing.pem)
    NORIA_TRUSTED_KEYS   the folder of public keys that are trusted (default: <home>/keys/trusted)
    NORIA_SOURCE_<TASK>  the folder of a task's source data (default: the task knows)
    NORIA_IMAGE          the image of the steps on a cluster (default: noria/python-steps:<version>)
    """

    home: Path
    objects: str
    signing_key: Path
    trusted_keys: Path
    image: str = ""
    sources: Mapping[str, Path] = field(default_factory=dict)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ, folder: Path | None = None) -> Settings:
        """Read the settings; a name that starts with NORIA_ and that nobody knows is a UsageError."""
        home = (folder or Path.cwd()) / (environment.get("NORIA_HOME") or ".noria")
        objects = environment.get("NORIA_OBJECTS") or str(home / "objects")
        if not objects.startswith("s3://"):
            if "://" in objects:
                raise UsageError(f"NORIA_OBJECTS is {objects!r}: expected a folder or s3://bucket/prefix")
            objects = str((folder or Path.cwd()) / objects)
        known = {"NORIA_HOME", "NORIA_OBJECTS", "NORIA_SIGNING_KEY", "NORIA_TRUSTED_KEYS", "NORIA_IMAGE"}
        strange = sorted(
            name
            for name in environment
            if name.startswith("NORIA_") and name not in known and SOURCE_PREFIX not in name
        )
        if strange:
            raise UsageError(
                f"unknown settings {', '.join(strange)}: there are {', '.join(sorted(known))}, {SOURCE_PREFIX}*"
            )
        return cls(
            home=home,
            objects=objects,
            signing_key=Path(environment.get("NORIA_SIGNING_KEY") or home / "keys" / "signing.pem"),
            trusted_keys=Path(environment.get("NORIA_TRUSTED_KEYS") or home / "keys" / "trusted"),
            image=environment.get("NORIA_IMAGE", ""),
            sources={
                name.removeprefix(SOURCE_PREFIX).lower().replace("_", "-"): Path(value)
                for name, value in environment.items()
                if name.startswith(SOURCE_PREFIX) and value
            },
        )

    def source_variable(self, task: str) -> str:
        """The variable that names a task's source folder, for error messages."""
        return SOURCE_PREFIX + re.sub(r"[^A-Z0-9]", "_", task.upper())
