"""The contract of the online stores: the newest row of a key stays, and a call is written whole or not at all."""

from __future__ import annotations

import multiprocessing
import threading
from itertools import pairwise, permutations
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from known_views import key, packed, pieces

from noria.stores.online.rows import row_key
from noria.stores.online.store import Counts, OnlineStore, open_online

pytestmark = pytest.mark.xdist_group("online")
ANY = examples(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
SPAWN = multiprocessing.get_context("spawn")


def test_rows_come_back_in_the_order_that_was_asked_for(online: OnlineStore) -> None:
    online.write([(key(name), packed(1, place)) for place, name in enumerate("abc")])
    assert [pieces(each) for each in online.read([key(name) for name in "cxa"])] == [2, None, 0]
    assert online.read([]) == []


def test_many_rows_are_written_and_read_at_once(online: OnlineStore) -> None:
    keys = [key(f"shop {number}") for number in range(2500)]
    written = online.write((each, packed(1, place)) for place, each in enumerate(keys))
    assert written.total == Counts(written=2500)
    assert [pieces(each) for each in online.read(keys)] == list(range(2500))


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_the_newest_row_stays_in_whichever_order_rows_come(online: OnlineStore, order: tuple[int, ...]) -> None:
    instants = [(10, 5), (10, 7), (20, 1), (-3, 9)]
    for place in order:
        event, created = instants[place]
        online.write([(key("a"), packed(event, place, created=created))])
    assert [pieces(each) for each in online.read([key("a")])] == [2]


@ANY
@given(
    rows=st.lists(st.tuples(st.sampled_from("ab"), st.integers(-2, 2), st.integers(-1, 1), st.integers(0, 3))),
    cuts=st.sets(st.integers(0, 20)),
)
def test_any_calls_leave_the_row_that_is_newest_and_of_equals_the_last(online: OnlineStore, rows, cuts) -> None:
    _clear(online)
    expected: dict[str, tuple[int, int, int]] = {}
    edges = sorted({0, len(rows), *(cut for cut in cuts if cut < len(rows))})
    for start, end in pairwise(edges):
        call = rows[start:end]
        online.write([(key(shop), packed(event, value, created=created)) for shop, event, created, value in call])
    for shop, event, created, value in rows:
        if shop not in expected or (event, created) >= expected[shop][:2]:
            expected[shop] = (event, created, value)
    found = [pieces(each) for each in online.read([key("a"), key("b")])]
    assert found == [expected[shop][2] if shop in expected else None for shop in "ab"]


def _clear(store: OnlineStore) -> None:
    store.remove("stock")


def test_what_became_of_each_row_is_counted_by_view(online: OnlineStore) -> None:
    other = row_key("other", ("a",))
    online.write([(key("a"), packed(5)), (key("b"), packed(5)), (other, packed(5))])
    found = online.write([(key("a"), packed(4)), (key("b"), packed(5)), (key("c"), packed(1)), (other, packed(6))])
    assert found.views == {"stock": Counts(written=1, same=1, older=1), "other": Counts(written=1)}
    assert found.total.seen == 4


def test_of_equal_instants_the_later_write_wins(online: OnlineStore) -> None:
    online.write([(key("a"), packed(5, 1))])
    assert online.write([(key("a"), packed(5, 2))]).total == Counts(written=1)
    assert pieces(online.read([key("a")])[0]) == 2


def test_a_torn_row_is_replaced_by_any_whole_one(online: OnlineStore) -> None:
    online.write([(key("a"), b"\xff\xff")])
    online.write([(key("a"), packed(1, 3))])
    assert pieces(online.read([key("a")])[0]) == 3


def test_marks_are_kept_by_view_and_never_go_back(online: OnlineStore) -> None:
    assert online.marks() == {}
    online.write([], {"stock": 1_700_000_000_000_001, "other:ü": -5})
    online.write([], {"stock": 1_700_000_000_000_000, "other:ü": 7})
    assert online.marks() == {"stock": 1_700_000_000_000_001, "other:ü": 7}


def test_a_call_whose_rows_break_off_leaves_nothing(online: OnlineStore) -> None:
    online.write([(key("a"), packed(1, 1))], {"stock": 1})

    def rows():
        for number in range(1500):
            yield key("a" if number == 0 else f"shop {number}"), packed(2, 2)
        raise RuntimeError("the source broke off")

    with pytest.raises(RuntimeError, match="broke off"):
        online.write(rows(), {"stock": 2})
    assert [pieces(each) for each in online.read([key("a"), key("shop 1")])] == [1, None]
    assert online.marks() == {"stock": 1}
    online.write([(key("a"), packed(2, 3))])
    assert pieces(online.read([key("a")])[0]) == 3


@pytest.mark.parametrize("shop", ["", "ü", "雪", "a:b", "a\0b", "'; DROP TABLE rows; --", "\n", "*?[x]", "🛒", 7, -7])
def test_any_text_and_number_is_a_key(online: OnlineStore, shop: str | int) -> None:
    online.write([(key(shop), packed(1, 9)), (key(f"{shop}x"), packed(1, 8))])
    assert [pieces(each) for each in online.read([key(shop), key(f"{shop}x")])] == [9, 8]


@pytest.mark.parametrize("view", ["stock", "sto*", "[s]tock", "s\\tock"])
def test_a_view_is_removed_with_its_mark_and_no_other(online: OnlineStore, view: str) -> None:
    names = [view, "stock2", "store", "stack"]
    online.write([(row_key(name, (shop,)), packed(1)) for name in names for shop in "ab"], dict.fromkeys(names, 1))
    assert online.remove(view) == 2
    assert online.read([row_key(view, ("a",))]) == [None]
    assert None not in online.read([row_key(name, ("b",)) for name in names[1:]])
    assert set(online.marks()) == set(names[1:])


def _write_some(address: str, first: int) -> None:
    store = open_online(address)
    for event in range(first, 200, 4):
        store.write([(key(shop), packed(event, event)) for shop in "abcdefgh"], {"stock": event})
    store.close()


def test_writers_in_many_processes_leave_the_newest_of_all(online: OnlineStore, online_address: str) -> None:
    writers = [SPAWN.Process(target=_write_some, args=(online_address, first)) for first in (3, 0, 2, 1)]
    for each in writers:
        each.start()
    while any(each.is_alive() for each in writers):
        # A reader sees each call whole, whoever writes it.
        assert len({pieces(each) for each in online.read([key(shop) for shop in "abcdefgh"])}) == 1
    for each in writers:
        each.join()
    assert [each.exitcode for each in writers] == [0] * 4
    assert {pieces(each) for each in online.read([key(shop) for shop in "abcdefgh"])} == {199}
    assert online.marks() == {"stock": 199}


def _open_at_once(address: str, start: Barrier) -> None:
    for number in range(40):
        start.wait(30)  # one that fails does not keep the others waiting
        open_online(f"{address}{number}").close()


def test_a_file_that_many_processes_make_at_once_is_made(tmp_path: Path) -> None:
    start = SPAWN.Barrier(6)
    makers = [SPAWN.Process(target=_open_at_once, args=(str(tmp_path / "online.db"), start)) for _ in range(6)]
    for each in makers:
        each.start()
    for each in makers:
        each.join()
    assert [each.exitcode for each in makers] == [0] * 6


def test_a_store_is_shared_between_threads(online: OnlineStore) -> None:
    def work(number: int) -> None:
        for event in range(20):
            online.write([(key(number), packed(event, event))])
            assert pieces(online.read([key(number)])[0]) == event

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert [pieces(each) for each in online.read([key(number) for number in range(4)])] == [19] * 4


def test_readers_do_not_wait_for_a_writer(online: OnlineStore, online_address: str) -> None:
    online.write([(key("a"), packed(1, 1))])
    reader = open_online(online_address, seconds=1)

    def rows():
        yield key("a"), packed(2, 2)
        assert pieces(reader.read([key("a")])[0]) == 1

    online.write(rows())
    assert pieces(reader.read([key("a")])[0]) == 2
    reader.close()
