"""Address: which online store a text means, and the password that a file holds for it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from noria.errors import UsageError

EXPECTED = "expected a path, sqlite:PATH, redis://HOST:PORT/DB or rediss://HOST:PORT/DB"
REDIS_PORT = 6379


@dataclass(frozen=True, kw_only=True)
class SqliteAddress:
    path: Path

    def __str__(self) -> str:
        return str(self.path)


@dataclass(frozen=True, kw_only=True)
class RedisAddress:
    """A Redis; the password is never part of it."""

    host: str
    port: int = REDIS_PORT
    database: int = 0
    user: str = ""  # "": the default user
    tls: bool = False

    def __str__(self) -> str:
        return f"redis{'s' if self.tls else ''}://{self.host}:{self.port}/{self.database}"


def parse_address(text: str) -> SqliteAddress | RedisAddress:
    """Read the address; UsageError where it is none, or where it holds a password."""
    if not text.startswith(("redis:", "rediss:")):
        path = text.removeprefix("sqlite:")
        if not path or "://" in path:
            raise UsageError(f"no online store is known for {_without_secret(text)!r}: {EXPECTED}")
        return SqliteAddress(path=Path(path))
    try:
        parts = urlsplit(text)
        port = parts.port
        database = int(parts.path.strip("/") or 0)
        (parts.hostname or "").encode("idna")  # no name server would be asked for one that this refuses
    except ValueError:
        raise UsageError(f"{_without_secret(text)!r} is no address of a Redis: {EXPECTED}") from None
    _check(parts, text)
    return RedisAddress(
        host=parts.hostname or "",
        port=REDIS_PORT if port is None else port,
        database=database,
        user=unquote(parts.username or ""),
        tls=parts.scheme == "rediss",
    )


def read_password(file: Path | None) -> str:
    """The password that the file holds, without the end of its line; "" where no file is named."""
    if file is None:
        return ""
    try:
        return file.read_text().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise UsageError(
            f"the password file {file} cannot be read ({reason}): expected a text file that holds the online store's "
            "password; correct NORIA_ONLINE_PASSWORD_FILE"
        ) from None


def _check(parts: SplitResult, text: str) -> None:
    if parts.password is not None:
        raise UsageError(
            f"the address {_without_secret(text)!r} holds a password: expected none in it, because addresses are shown "
            "and logged; put the password into a file and name that by NORIA_ONLINE_PASSWORD_FILE"
        )
    if not parts.hostname or parts.query or parts.fragment:
        raise UsageError(f"{_without_secret(text)!r} is no address of a Redis: {EXPECTED}")


def _without_secret(text: str) -> str:
    """The text without what stands in front of an @, which may be a password."""
    scheme, mark, rest = text.partition("://")
    return f"{scheme}{mark}{rest.rpartition('@')[2]}" if mark else text
