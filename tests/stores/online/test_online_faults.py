"""Faults: what cannot be a store is refused in words that lead on, and no password is in them."""

from __future__ import annotations

import resource
import sqlite3
import traceback
from pathlib import Path

import pytest
from known_views import key, packed, pieces
from redis_server import RedisServer, running_redis

from noria.errors import StoreError, UsageError
from noria.stores.online.address import RedisAddress, SqliteAddress, parse_address
from noria.stores.online.store import Counts, open_online

pytestmark = pytest.mark.xdist_group("online")
SECRET = "correct horse"


def test_a_file_that_is_none_of_sqlite_is_refused_and_left(tmp_path: Path) -> None:
    path = tmp_path / "online.db"
    path.write_text("rows, but of another kind\n" * 100)
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"is no SQLite file: expected Noria's online store"):
        open_online(str(path))
    assert path.read_bytes() == before


def test_a_database_of_another_program_is_refused_and_left(tmp_path: Path) -> None:
    path = tmp_path / "online.db"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE rows (entity_key BLOB)")
    other.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"of another program: expected Noria's online store.*move the file away"):
        open_online(str(path))
    assert path.read_bytes() == before


def test_a_store_of_another_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "online.db"
    open_online(str(path)).close()
    with sqlite3.connect(path) as other:
        other.execute("PRAGMA user_version = 99")
    other.close()
    with pytest.raises(StoreError, match=r"version 99: expected 1"):
        open_online(str(path))


def test_a_torn_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "online.db"
    store = open_online(str(path))
    store.write((key(number), packed(1, label="x" * 50)) for number in range(2000))
    store.close()
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + bytes(len(whole) - 4096))
    with pytest.raises(StoreError, match=r"is torn .*materialise again"):
        open_online(str(path)).read([key(1)])


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"cannot be used"):
        open_online(str(tmp_path / "file" / "online.db"))


def test_a_full_disk_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "online.db"
    store = open_online(str(path))
    store.write([(key("a"), packed(1, 1))])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))
    try:
        with pytest.raises(StoreError, match=r"look at the path|free some"):
            store.write((key(number or "a"), packed(2, 2, label="x" * 500)) for number in range(20_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert pieces(store.read([key("a")])[0]) == 1
    store.write([(key("a"), packed(2, 3))])
    assert pieces(store.read([key("a")])[0]) == 3
    store.close()


def test_a_redis_that_is_not_there_is_named_soon(redis_server: RedisServer) -> None:
    with pytest.raises(StoreError, match=r"redis://127.0.0.1:1/0 does not answer .*NORIA_ONLINE"):
        open_online("redis://127.0.0.1:1", seconds=1)


@pytest.fixture
def guarded(tmp_path: Path):
    with running_redis(tmp_path / "redis", "--requirepass", SECRET) as server:
        yield server


def test_the_password_comes_from_a_file(guarded: RedisServer, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text(f"{SECRET}\n")
    store = open_online(guarded.address(), password_file=file)
    assert store.write([(key("a"), packed(1))]).total == Counts(written=1)
    store.close()


@pytest.mark.parametrize("said", ["wrong horse", None])
def test_a_wrong_password_is_named_and_not_shown(guarded: RedisServer, tmp_path: Path, said: str | None) -> None:
    file = tmp_path / "password"
    file.write_text(said or "")
    with pytest.raises(StoreError, match=r"refused the password .*NORIA_ONLINE_PASSWORD_FILE") as caught:
        open_online(guarded.address(), password_file=file if said else None)
    assert "horse" not in "".join(traceback.format_exception(caught.value))


def test_a_password_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot be read .*NORIA_ONLINE_PASSWORD_FILE"):
        open_online("redis://127.0.0.1:1", password_file=tmp_path / "none")


def test_a_redis_without_room_keeps_what_it_has(tmp_path: Path) -> None:
    with running_redis(tmp_path / "redis", "--maxmemory-policy", "noeviction") as server:
        store = open_online(server.address())
        store.write([(key("a"), packed(1, 1))], {"stock": 1})
        with server.client() as client:
            client.config_set("maxmemory", client.info("memory")["used_memory"] + 3_000_000)
        with pytest.raises(StoreError, match=r"has no memory left .*raise it"):
            store.write(((key(number or "a"), packed(2, 2, label="x" * 500)) for number in range(20_000)), {"stock": 2})
        assert [pieces(each) for each in store.read([key("a"), key(1)])] == [1, None]
        assert store.marks() == {"stock": 1}
        store.close()


def test_what_a_user_may_not_do_inside_a_script_is_named_and_so_is_what_may_be_written(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    (tmp_path / "password").write_text(SECRET)
    allowed = ("+ping", "+mget", "+get", "+set", "+eval", "+multi", "+exec", "+select")
    with redis_server.client(db=4) as client:
        client.execute_command("ACL", "SETUSER", "writer", "on", f">{SECRET}", "~noria:*", *allowed)
    store = open_online(
        redis_server.address(4).replace("//", "//writer@"), password_file=tmp_path / "password", seconds=5
    )
    with pytest.raises(StoreError, match=r"does not let this user do that .*HSET.*a part may be written.*--whole"):
        store.write([(key("a"), packed(1))], {"stock": 1})
    store.close()


def test_what_is_no_row_does_not_keep_the_others_from_being_written(redis_server: RedisServer) -> None:
    store = open_online(redis_server.address(5))
    with redis_server.client(db=5) as client:
        client.flushdb()
        client.lpush(key(700), "a list")
    done = store.write([(key(shop), packed(1, 3)) for shop in range(1000)], {"stock": 1})
    assert done.total == Counts(written=1000)
    assert [pieces(each) for each in store.read([key(699), key(700), key(999)])] == [3, 3, 3]
    store.close()


def test_a_redis_that_forgot_its_scripts_is_written_to(redis_server: RedisServer) -> None:
    store = open_online(redis_server.address(3))

    def rows():
        for number in range(1500):
            if number == 1000:
                with redis_server.client() as client:
                    client.script_flush()
            yield key(number), packed(1, number)

    assert store.write(rows()).total.seen == 1500
    assert pieces(store.read([key(1499)])[0]) == 1499
    store.close()


def test_a_redis_that_was_started_again_is_used_on(tmp_path: Path) -> None:
    with running_redis(tmp_path / "redis") as server:
        store = open_online(server.address(), seconds=5)
        store.write([(key("a"), packed(1))])
        server.kill()
        with pytest.raises(StoreError, match=r"does not answer"):
            store.read([key("a")])
        assert server.start()
        assert store.read([key("a")]) == [None]
        store.close()


@pytest.mark.parametrize(
    "address",
    ["http://host/1", "redis://", "redis://a..b", "redis://host/x", "redis://host:port", "redis://host?db=1",
     "sqlite:", "", "redis://user:hidden@host", "mysql://user:hidden@host/db"],
)  # fmt: skip
def test_an_address_that_is_none_is_refused_without_showing_secrets(address: str) -> None:
    with pytest.raises(UsageError, match=r"expected") as caught:
        parse_address(address)
    assert "hidden" not in str(caught.value)


def test_addresses_are_read() -> None:
    assert parse_address("redis://host") == RedisAddress(host="host")
    assert parse_address("rediss://me@[::1]:7/3") == RedisAddress(host="::1", port=7, database=3, user="me", tls=True)
    assert parse_address("sqlite:a/b.db") == parse_address("a/b.db") == SqliteAddress(path=Path("a/b.db"))
    assert str(parse_address("redis://me@host/2")) == "redis://host:6379/2"


def test_a_node_of_a_cluster_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    with running_redis(tmp_path, "--cluster-enabled", "yes") as server:
        store = open_online(server.address())
        with pytest.raises(StoreError, match=r"is a node of a Redis Cluster .*expected one Redis"):
            store.write([(key(1), packed(1)), (key(2), packed(1))])
        store.close()
        with pytest.raises(StoreError, match=r"is a node of a Redis Cluster"):
            open_online(server.address(1))
