"""Redis: the online store that several machines share, written in one transaction a call.

The commands of a call go out between MULTI and EXEC, so a writer that is killed before EXEC leaves nothing; a script
inside compares instants, so writers need not know of one another. Redis runs EXEC to its end before anybody else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from noria.errors import StoreError
from noria.stores.online.address import RedisAddress
from noria.stores.online.rows import PREFIX, row_key
from noria.stores.online.store import NO_MARKS, Counts, Written, batches, batches_by_view

if TYPE_CHECKING:
    import redis

MARKS = PREFIX + b"marks"  # a hash; no row's key looks like it, because theirs go on with a digit
ROWS_A_SCRIPT = 500
# Instants are compared as numbers, four bytes at a time: Lua would compare texts by the server's locale. What is too
# short to have instants was torn, and what is no text at all is none of ours. EVAL carries its text each time, so that
# a server whose scripts were flushed between two commands cannot know one and not know the other.
_WRITE = """
local counts = {0, 0, 0}
for place, key in ipairs(KEYS) do
  local new, old = ARGV[place], redis.pcall('GET', key)
  if type(old) == 'table' then
    if not string.find(old.err, 'WRONGTYPE', 1, true) then return old end
    old = ''
  end
  local outcome = 1
  if old == new then
    outcome = 2
  elseif old and #old >= 16 then
    local a, b = {struct.unpack('>I4I4I4I4', old)}, {struct.unpack('>I4I4I4I4', new)}
    for part = 1, 4 do
      if a[part] ~= b[part] then
        if a[part] > b[part] then outcome = 3 end
        break
      end
    end
  end
  if outcome == 1 then redis.call('SET', key, new) end
  counts[outcome] = counts[outcome] + 1
end
return counts
"""
_MARK = """
for place = 1, #ARGV, 2 do
  local old = redis.call('HGET', KEYS[1], ARGV[place])
  if not old or tonumber(old) < tonumber(ARGV[place + 1]) then
    redis.call('HSET', KEYS[1], ARGV[place], ARGV[place + 1])
  end
end
return 0
"""
_OF_CLUSTERS = ("CROSSSLOT", "CLUSTERDOWN", "MOVED", "slot", "cluster mode")  # what only a cluster's node answers


class _Connection(Protocol):
    """What is used of a connection of redis-py."""

    def send_command(self, *words: bytes | str | int) -> None: ...

    def read_response(self) -> object: ...

    def disconnect(self) -> Any: ...


class RedisOnlineStore:
    """The store in one database of a Redis; safe to share between threads."""

    def __init__(self, address: RedisAddress, *, password: str, seconds: float) -> None:
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        self._address = address
        self._client: Any = redis.Redis(  # its types are those of two clients at once
            host=address.host,
            port=address.port,
            db=address.database,
            username=address.user or None,
            password=password or None,
            ssl=address.tls,
            socket_timeout=seconds,
            socket_connect_timeout=seconds,
            # One more try, for a connection that had gone stale; with more of them an outage takes ten seconds.
            retry=Retry(NoBackoff(), 1),
        )
        try:
            with self._explained():
                self._client.ping()
        except StoreError:
            self._client.close()
            raise

    def write(self, rows: Iterable[tuple[bytes, bytes]], marks: Mapping[str, int] = NO_MARKS) -> Written:
        """Write all rows and marks or none; the server keeps what was sent until EXEC, this process does not.

        Raises StoreError; where the connection broke after EXEC, the message says that it may have been done.
        """
        order: list[str] = []
        with self._explained(), self._connected() as connection:
            _ask(connection, "MULTI")
            for view, some in batches_by_view(rows, ROWS_A_SCRIPT):
                _ask(connection, "EVAL", _WRITE, len(some), *(key for key, _ in some), *(row for _, row in some))
                order.append(view)
            if marks:
                pairs = [part for view, until in marks.items() for part in (view.encode(), until)]
                _ask(connection, "EVAL", _MARK, 1, MARKS, *pairs)
            answers = self._execute(connection)
        views: dict[str, Counts] = {}
        for view, (written, same, older) in zip(order, answers, strict=False):  # the marks' answer is left over
            views[view] = views.get(view, Counts()) + Counts(written=written, same=same, older=older)
        return Written(views=views)

    def read(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """The rows under the keys, by one command."""
        with self._explained():
            return list(self._client.mget(keys)) if keys else []

    def marks(self) -> dict[str, int]:
        with self._explained():
            return {view.decode(): int(until) for view, until in self._client.hgetall(MARKS).items()}

    def remove(self, view: str) -> int:
        """Remove the view's rows and mark, some at a time."""
        pattern = b"".join(
            b"\\" + bytes([each]) if each in b"*?[]\\^-" else bytes([each]) for each in row_key(view, ())
        )
        with self._explained():
            found = self._client.scan_iter(match=pattern + b"*", count=1000)
            removed = sum(int(self._client.unlink(*keys)) for keys in batches(found, 1000))
            self._client.hdel(MARKS, view.encode())
        return removed

    def close(self) -> None:
        self._client.close()

    @contextmanager
    def _connected(self) -> Iterator[_Connection]:
        """A connection for one transaction; where it is broken off, the server forgets what was sent."""
        connection = self._client.connection_pool.get_connection()
        try:
            yield connection
        except BaseException:
            connection.disconnect()
            raise
        finally:
            self._client.connection_pool.release(connection)

    def _execute(self, connection: _Connection) -> list[Any]:
        import redis

        try:
            answers = _ask(connection, "EXEC")
        except (redis.ConnectionError, redis.TimeoutError) as error:
            raise StoreError(
                f"the connection to the online store {self._address} broke off as it was told to write ({error}): all "
                "of it is written, or nothing; run again, which does no harm"
            ) from error
        assert isinstance(answers, list)
        for answer in answers:
            # The server goes on after a command that failed. It refuses all of EXEC where it can tell before.
            if isinstance(answer, redis.RedisError):
                raise StoreError(
                    f"the online store {self._address} {_explain(answer)}; a part may be written: run again with "
                    "--whole once that is mended"
                ) from answer
        return answers

    @contextmanager
    def _explained(self) -> Iterator[None]:
        import redis

        try:
            yield
        except redis.RedisError as error:
            raise StoreError(f"the online store {self._address} {_explain(error)}") from error


def _ask(connection: _Connection, *words: bytes | str | int) -> object:
    connection.send_command(*words)
    return connection.read_response()


def _explain(error: redis.RedisError) -> str:
    """What the store does, why, and what to do next."""
    import redis

    text, known = str(error), redis.exceptions
    if isinstance(error, known.AuthenticationError | known.AuthenticationWrongNumberOfArgsError):
        return f"refused the password ({text}): expected that of the user; correct NORIA_ONLINE_PASSWORD_FILE"
    if isinstance(error, known.BusyLoadingError):
        return "is still loading its data: expected it to be up; run again in a moment"
    if isinstance(error, known.ConnectionError | known.TimeoutError):
        return f"does not answer ({text}): expected a Redis there; check that it runs and NORIA_ONLINE, then run again"
    return _explain_refusal(error, text)


def _explain_refusal(error: redis.RedisError, text: str) -> str:
    """Why a server that answers does not do it."""
    import redis

    # In a script there is no error of its own for it, only the words.
    if isinstance(error, redis.exceptions.NoPermissionError) or "can't run this command" in text:
        return (
            f"does not let this user do that ({text}): expected GET, MGET, SET, HGET, HGETALL, HSET, EVAL and "
            "transactions, on keys that begin with noria:; look at its ACL"
        )
    if any(mark in text for mark in _OF_CLUSTERS):
        return (
            f"is a node of a Redis Cluster ({text}): expected one Redis, with or without replicas, because a "
            "transaction does not span nodes; name such a one with NORIA_ONLINE"
        )
    if isinstance(error, redis.exceptions.OutOfMemoryError) or "maxmemory" in text:
        return (
            f"has no memory left ({text}): expected room under maxmemory; raise it and run again: nothing was written"
        )
    return f"failed ({text}): expected a Redis that takes scripts and writes; look at its log, then run again"
