"""Settings: WHERE things are; the only reader of environment variables."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from noria.errors import UsageError

SOURCE_PREFIX = "NORIA_SOURCE_"
KNOWN = frozenset(
    f"NORIA_{name}"
    for name in (
        "HOME",
        "OBJECTS",
        "SIGNING_KEY",
        "TRUSTED_KEYS",
        "IMAGE",
        "ONLINE",
        "ONLINE_PASSWORD_FILE",
        "REGISTRY",
    )
)
_REDIS = ("redis://", "rediss://")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The places that one installation uses.

    NORIA_HOME           the folder for all that Noria keeps (default: .noria in the working folder)
    NORIA_OBJECTS        the object store: a folder, or s3://bucket/prefix (default: <home>/objects)
    NORIA_SIGNING_KEY    the private key that signs bundles and ledger entries (default: <home>/keys/signing.pem)
    NORIA_TRUSTED_KEYS   the folder of public keys that are trusted (default: <home>/keys/trusted)
    NORIA_SOURCE_<TASK>  the folder of a task's source data (default: the task knows)
    NORIA_ONLINE         the online store: a file, or redis://host:port/db (default: <home>/features/online.db)
    NORIA_ONLINE_PASSWORD_FILE  the file that holds its password (default: none)
    NORIA_REGISTRY       Feast's registry: a file, s3://…, or a database as SQLAlchemy names it, such as sqlite:///…
                         (default: <home>/features/registry.db)
    NORIA_IMAGE          the image of the steps on a cluster (default: noria/python-steps:<version>)
    """

    home: Path
    objects: str
    signing_key: Path
    trusted_keys: Path
    online: str = ""
    online_password_file: Path | None = None
    registry: str = ""
    image: str = ""
    sources: Mapping[str, Path] = field(default_factory=dict)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ, folder: Path | None = None) -> Settings:
        """Read the settings; a name that starts with NORIA_ and that nobody knows is a UsageError."""
        here = folder or Path.cwd()
        home = here / (environment.get("NORIA_HOME") or ".noria")
        objects = environment.get("NORIA_OBJECTS") or str(home / "objects")
        online = environment.get("NORIA_ONLINE", "").removeprefix("sqlite:") or str(home / "features" / "online.db")
        registry = environment.get("NORIA_REGISTRY") or str(home / "features" / "registry.db")
        password_file = environment.get("NORIA_ONLINE_PASSWORD_FILE")
        strange = sorted(
            name
            for name in environment
            if name.startswith("NORIA_") and name not in KNOWN and SOURCE_PREFIX not in name
        )
        if strange:
            raise UsageError(
                f"unknown settings {', '.join(strange)}: there are {', '.join(sorted(KNOWN))}, {SOURCE_PREFIX}*"
            )
        return cls(
            home=home,
            objects=_address(objects, "NORIA_OBJECTS", here, ("s3://",), "a folder or s3://bucket/prefix"),
            signing_key=Path(environment.get("NORIA_SIGNING_KEY") or home / "keys" / "signing.pem"),
            trusted_keys=Path(environment.get("NORIA_TRUSTED_KEYS") or home / "keys" / "trusted"),
            online=_address(online, "NORIA_ONLINE", here, _REDIS, "a file, redis://host:port/db or rediss://…"),
            online_password_file=here / password_file if password_file else None,
            registry=_address(registry, "NORIA_REGISTRY", here, ("",), "a registry"),
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


def _address(said: str, name: str, here: Path, schemes: tuple[str, ...], expected: str) -> str:
    """An address of one of the schemes as it is, or else a path below `here`; UsageError for another scheme."""
    if "://" not in said:
        return str(here / said)
    if not said.startswith(schemes):
        # An address may hold a password in front of an @, which is not to be shown.
        raise UsageError(f"{name} is '{re.sub('//.*@', '//…@', said)}': expected {expected}")
    return said
