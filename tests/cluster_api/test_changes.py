"""Changes: what is sent follows what was looked at, so a try that comes late undoes nothing that came before it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from cluster_api.kube_server import Asked, Kubernetes
from cluster_api.surroundings import NAMESPACE

from cluster.api import MANAGER, Api
from cluster.change import LOOKS, put_in_place, remove
from cluster.inference_service import digest_of, render
from noria.errors import ConflictError

KEY = ("inferenceservices", NAMESPACE, "fashion")
MINE, THEIRS, FORMER = "a" * 64, "b" * 64, "c" * 64


def made(digest: str) -> dict[str, Any]:
    return render("fashion", NAMESPACE, digest, f"s3://models/bundles/{digest}", "", {})


class Turn:
    """The right to change something for as many tries as are left."""

    def __init__(self, tries: int) -> None:
        self.left = tries

    def __call__(self) -> None:
        if not self.left:
            raise ConflictError("the turn was lost")
        self.left -= 1


@pytest.fixture
def server() -> Iterator[Kubernetes]:
    with Kubernetes() as server:
        yield server


@pytest.fixture
def api(server: Kubernetes) -> Api:
    from kubernetes import client

    settings = client.Configuration(host=server.url)
    settings.api_key = {"authorization": f"Bearer {server.token}"}
    return Api(client.ApiClient(settings), NAMESPACE, pause=0.001)


def put(server: Kubernetes, digest: str) -> None:
    server.objects.apply(KEY, MANAGER, made(digest), force=True)


def serves(server: Kubernetes) -> str:
    live = server.objects.get(KEY)
    return digest_of(live) if live is not None else ""


def sent(server: Kubernetes, verb: str) -> int:
    return len([asked for asked in server.asked if asked.verb == verb])


def once(server: Kubernetes, verb: str, act: Callable[[], object], times: int = 1) -> None:
    """Let something happen when a request of this kind is there, and before it is done."""
    left = [times]

    def before(asked: Asked) -> None:
        if asked.verb == verb and left[0]:
            left[0] -= 1
            act()

    server.before = before


@pytest.mark.parametrize("way", ["apply", "delete"])
def test_no_try_is_made_once_the_turn_is_lost(server: Kubernetes, api: Api, way: str) -> None:
    put(server, FORMER)
    server.inject("500", method="PATCH" if way == "apply" else "DELETE", times=9)
    change = partial(put_in_place, wanted=made(MINE)) if way == "apply" else partial(remove, bundle=FORMER)
    with pytest.raises(ConflictError, match="the turn was lost"):
        change(api, "fashion", check=Turn(2))
    assert [fault.left for fault in server.faults] == [7]
    assert serves(server) == FORMER


def test_a_late_try_does_not_change_what_the_next_holder_did(server: Kubernetes, api: Api) -> None:
    put(server, FORMER)
    once(server, "patch", lambda: put(server, THEIRS))
    with pytest.raises(ConflictError, match="the turn was lost"):
        put_in_place(api, "fashion", made(MINE), check=Turn(1))
    assert serves(server) == THEIRS


def test_a_late_try_to_make_one_does_not_change_the_one_that_the_next_holder_made(server: Kubernetes, api: Api) -> None:
    once(server, "create", lambda: put(server, THEIRS))
    with pytest.raises(ConflictError, match="the turn was lost"):
        put_in_place(api, "fashion", made(MINE), check=Turn(1))
    assert serves(server) == THEIRS


def test_a_late_try_does_not_make_anew_what_the_next_holder_removed(server: Kubernetes, api: Api) -> None:
    put(server, FORMER)
    once(server, "patch", lambda: server.objects.delete(KEY, {}))
    with pytest.raises(ConflictError, match="the turn was lost"):
        put_in_place(api, "fashion", made(MINE), check=Turn(1))
    assert serves(server) == ""


def test_what_became_another_bundles_is_neither_put_back_nor_removed(server: Kubernetes, api: Api) -> None:
    put(server, MINE)
    once(server, "patch", lambda: put(server, THEIRS))
    assert not put_in_place(api, "fashion", made(FORMER), check=Turn(9), of_bundle=MINE)
    assert serves(server) == THEIRS
    put(server, MINE)
    once(server, "delete", lambda: put(server, THEIRS))
    assert not remove(api, "fashion", MINE, check=Turn(9))
    assert serves(server) == THEIRS


def test_a_status_that_kserve_writes_meanwhile_is_no_reason_to_give_up(server: Kubernetes, api: Api) -> None:
    put(server, FORMER)
    times = iter(range(99))
    once(server, "patch", lambda: server.objects.set_status(KEY, {"time": next(times)}), times=3)
    assert put_in_place(api, "fashion", made(MINE), check=Turn(9))
    assert serves(server) == MINE
    once(server, "delete", lambda: server.objects.set_status(KEY, {"time": next(times)}), times=3)
    assert remove(api, "fashion", MINE, check=Turn(9))
    assert serves(server) == ""


def test_one_that_is_never_left_alone_is_told(server: Kubernetes, api: Api) -> None:
    put(server, FORMER)
    times = iter(range(99))
    once(server, "patch", lambda: server.objects.set_status(KEY, {"time": next(times)}), times=99)
    with pytest.raises(ConflictError, match=f"changed {LOOKS} times while"):
        put_in_place(api, "fashion", made(MINE), check=Turn(99))


@pytest.mark.parametrize("former", ["", FORMER])
def test_an_answer_that_was_lost_is_found_to_have_been_yes(server: Kubernetes, api: Api, former: str) -> None:
    if former:
        put(server, former)
    server.inject("lost answer", method="PATCH")
    assert put_in_place(api, "fashion", made(MINE), check=Turn(9), of_bundle=former or None)
    assert serves(server) == MINE
    assert sent(server, "patch") == 2
    server.inject("lost answer", method="DELETE")
    assert remove(api, "fashion", MINE, check=Turn(9))
    assert serves(server) == ""


def test_what_is_there_already_is_not_sent(server: Kubernetes, api: Api) -> None:
    put(server, MINE)
    assert not put_in_place(api, "fashion", made(MINE), check=Turn(0))
    assert not remove(api, "fashion", THEIRS, check=Turn(0))
    assert {asked.verb for asked in server.asked} == {"get"}
