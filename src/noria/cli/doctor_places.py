"""Doctor, places part: do the object store and the registry that the steps on the cluster use answer from here?

A tick stands only where one was asked. What the steps use is what their ConfigMap says, which may differ from what this
shell says; it is a doubt, and no fault, where only the cluster comes to it.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from noria.cli.doctor_doubts import UnneededError, UntoldError
from noria.errors import BucketMissingError, NoriaError, StoreError, UsageError
from noria.settings import Settings

There = Callable[[], Mapping[str, str]]  # what the steps on the cluster are told; nothing where it was not read
PORTS = {"postgresql": 5432, "mysql": 3306, "mariadb": 3306}
SECONDS = 3.0
PROBE = "probe/"  # a folder that holds nothing for long, so that its list is short
BY = "by its ConfigMap noria-settings"
UNREAD = "its ConfigMap noria-settings names it, which was not read here"
CONNECT = "`make connect ENV=dev`"
SHARED = ", not there yet: `noria materialize` makes it, on a cluster the CronJob noria-materialize-…"


@dataclass(frozen=True, kw_only=True)
class Database:
    """Where a database is, without the user and the password of its address."""

    kind: str
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.kind} at {self.host}:{self.port}"


def check_objects(settings: Settings, there: There) -> str:
    """Ask the store of the steps, where this shell is set up for it."""
    here, named = settings.objects, there().get("NORIA_OBJECTS", "")
    if named and named.rstrip("/") != here.rstrip("/"):
        raise UnneededError(
            f"{named}, {BY}: it was not asked, for this shell is set up for {here}, and its `noria status` and `noria "
            f"releases` tell nothing of the runs there; {CONNECT} opens the way",
            well=None,
        )
    if not here.startswith("s3://"):
        raise UnneededError(
            f"{UNREAD}; this shell is set up for a folder, so its `noria status` and `noria releases` tell of runs on "
            f"this machine alone: {CONNECT} opens the way to the cluster's",
            well=None,
        )
    from noria.stores.opening import open_store

    try:
        open_store(here).list(PROBE)
    except BucketMissingError:  # it was reached, and says so
        raise
    except StoreError as error:
        raise UntoldError(f"it cannot be asked from this machine: {error}. {CONNECT} opens the way") from error
    at = f", at {settings.access.endpoint}" if settings.access.endpoint else ""
    return f"{here} answers{at}" + ("" if named else f"; whether the steps use it is not known: {UNREAD}")


def check_registry(settings: Settings, there: There) -> str:
    """Ask the registry of the steps; this shell's own where the steps run here, or where nothing else is known."""
    own, known = settings.registry, there()
    if not settings.kfp.host or (not known and not _is_file(own)):
        return _ask(own)
    if not known:
        raise UnneededError(f"{UNREAD}: name the cluster by KUBECONFIG, as {CONNECT} does", well=None)
    named = known.get("NORIA_REGISTRY", "")
    if not named or _is_file(named):
        what = f"{_path(named)}, a file of each pod" if named else "none"
        raise UnneededError(f"{what}, {BY}: features are not shared there")
    if named.startswith("s3://") and not settings.objects.startswith("s3://"):
        raise UnneededError(f"{named}, {BY}: it was not asked, {CONNECT} opens the way to its store", well=None)
    try:
        return _ask(named)
    except UsageError:
        raise
    except NoriaError as error:
        if named == own:
            raise
        lone = f"{BY}. Where it is a Service of the cluster, only pods come to it: {CONNECT} leads no way there"
        raise UnneededError(f"from this machine {error}, {lone}", well=None) from error


def _is_file(address: str) -> bool:
    return "://" not in address or address.startswith("sqlite:")


def _path(address: str) -> Path:
    return Path(address.removeprefix("sqlite:///"))


def _ask(address: str) -> str:
    """Whether the registry answers; NoriaError where it does not, and none of its password in any text."""
    if address.startswith("s3://"):
        from noria.stores.opening import open_store

        folder, _, name = address.rpartition("/")
        return f"{address}{'' if open_store(folder).exists(name) else SHARED}"
    if _is_file(address):
        return f"{_path(address)}{'' if _path(address).exists() else SHARED}"
    database = _parse(address)
    try:
        socket.create_connection((database.host, database.port), timeout=SECONDS).close()
    except OSError as error:
        raise NoriaError(f"{database} cannot be reached ({error})") from error
    return f"{database} answers"


def _parse(address: str) -> Database:
    """Read the address of a database; UsageError, which repeats nothing of it, where a password spoils it."""
    try:
        parts = urlsplit(address)
        port, host = parts.port, parts.hostname or ""
        host.encode("idna")  # no name server would be asked for one that this refuses
        torn = "@" in parts.path + parts.query + parts.fragment  # what stands before it is no host then, but a secret
    except ValueError:
        torn = True
    if torn:
        raise UsageError(
            "NORIA_REGISTRY is no address: expected one such as postgresql+psycopg://user:password@host:5432/name; "
            "escape / # ? @ in the password, as %2F %23 %3F %40, and let the port be a number"
        )
    return Database(kind=parts.scheme, host=host, port=port or PORTS.get(parts.scheme.partition("+")[0], 0))
