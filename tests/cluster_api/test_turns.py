"""Turns: one release of a task at a time, and none that waits for a dead one's."""

from __future__ import annotations

import time
from threading import Barrier, Event, Thread

import pytest
from cluster_api.candidates import TASK
from cluster_api.kube_server import Asked
from cluster_api.surroundings import NAMESPACE, PACE, Cluster

from cluster.lease import Held, Pace, hold
from cluster.permissions import LEASES
from noria.errors import ClusterError, ConflictError, NoriaError, ReleaseError

KEY = ("leases", NAMESPACE, "noria-x")


def test_the_second_of_two_is_refused_and_hears_who_is_at_work(cluster: Cluster) -> None:
    api = cluster.stage().api
    refused = pytest.raises(ConflictError, match=r"pipeline on pod-1 \(.*\) has the turn noria-x")
    with hold(api, "noria-x", "pipeline on pod-1", PACE), refused, hold(api, "noria-x", "pipeline on pod-2", PACE):
        pytest.fail("both have it")
    with hold(api, "noria-x", "pipeline on pod-2", PACE):
        pass


def test_a_dead_holders_turn_ends_by_itself(cluster: Cluster) -> None:
    api, brief = cluster.stage().api, Pace(lasts=1.0, renew=100.0, look=0.05)
    started = time.monotonic()
    with hold(api, "noria-x", "killed", brief), hold(api, "noria-x", "next", brief) as held:
        assert 1.0 <= time.monotonic() - started < 10.0
        held.check()
    lease = cluster.server.objects.get(KEY)
    assert lease is not None
    assert lease["spec"]["holderIdentity"] == ""


def test_the_next_hears_who_it_waits_for_and_for_how_long_and_the_refused_one_when_to_come_again(
    cluster: Cluster,
) -> None:
    api, heard = cluster.stage().api, []
    brief = Pace(lasts=1.0, renew=100.0, look=0.05)
    with hold(api, "noria-x", "killed", brief), hold(api, "noria-x", "next", brief, hear=heard.append):
        assert len(heard) == 1
        assert heard[0].startswith("killed (")
        assert "waiting 1 s at most" in heard[0]
    told = pytest.raises(ConflictError, match=r"last sign of life 20.*its turn ends 3 s after the last sign")
    with hold(api, "noria-x", "one", PACE), told, hold(api, "noria-x", "two", PACE):
        pytest.fail("both have it")


def _overdue(held: Held) -> None:
    """Wait until the holder gave no sign of life for as long as its turn lasts."""
    deadline = time.monotonic() + 10
    while time.monotonic() - held.renewed <= held.pace.lasts:
        assert time.monotonic() < deadline
        Event().wait(0.01)


def test_one_that_was_stopped_for_long_keeps_the_turn_that_nobody_took(cluster: Cluster) -> None:
    with hold(cluster.stage().api, "noria-x", "one", Pace(lasts=0.2, renew=100.0, look=0.05)) as held:
        _overdue(held)
        held.check()
        assert not held.lost
        _overdue(held)
        lease = cluster.server.objects.get(KEY)
        assert lease is not None
        lease["metadata"].pop("resourceVersion")
        cluster.server.objects.replace(KEY, {**lease, "spec": {**lease["spec"], "holderIdentity": "other"}})
        with pytest.raises(ConflictError, match="was lost"):
            held.check()


def test_one_that_was_stopped_for_long_and_cannot_ask_does_not_go_on(cluster: Cluster) -> None:
    with hold(cluster.stage().api, "noria-x", "one", Pace(lasts=0.2, renew=100.0, look=0.05)) as held:
        _overdue(held)
        cluster.server.inject("500", times=100)
        with pytest.raises(ConflictError, match="not renewed"):
            held.check()


def test_the_end_of_a_turn_does_not_wait_for_an_answer_that_does_not_come(cluster: Cluster) -> None:
    renews, answers = Event(), Event()

    def block(asked: Asked) -> None:
        if asked.verb == "update":
            renews.set()
            answers.wait(12)

    cluster.server.before = block
    try:
        with hold(cluster.stage().api, "noria-x", "one", Pace(lasts=1.0, renew=0.01, look=0.05)):
            assert renews.wait(10)
            ended = time.monotonic()
        assert time.monotonic() - ended < 6.0
    finally:
        answers.set()


def test_whoever_lost_the_turn_notices_and_leaves_it_to_the_other(cluster: Cluster) -> None:
    api = cluster.stage().api
    with hold(api, "noria-x", "one", Pace(lasts=30.0, renew=0.05, look=0.05)) as held:
        lease = cluster.server.objects.get(KEY)
        assert lease is not None
        lease["metadata"].pop("resourceVersion")
        cluster.server.objects.replace(KEY, {**lease, "spec": {**lease["spec"], "holderIdentity": "other"}})
        deadline = time.monotonic() + 10
        while not held.lost:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        with pytest.raises(ConflictError, match="was lost"):
            held.check()
    lease = cluster.server.objects.get(KEY)
    assert lease is not None
    assert lease["spec"]["holderIdentity"] == "other"


def test_a_turn_outlives_answers_that_are_lost(cluster: Cluster) -> None:
    cluster.server.inject("lost answer", method="POST")
    with hold(cluster.stage().api, "noria-x", "one", Pace(lasts=30.0, renew=100.0, look=0.05)) as held:
        for _ in range(2):
            cluster.server.inject("lost answer", method="PUT")
            held.renew()
            held.check()


def test_many_at_once_are_one_after_the_other(cluster: Cluster) -> None:
    inside, most, ended, barrier = [0], [0], [0], Barrier(4)

    def work(number: int) -> None:
        api = cluster.stage().api
        barrier.wait()
        try:
            with hold(api, "noria-x", f"worker {number}", PACE):
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                Event().wait(0.05)
                inside[0] -= 1
                ended[0] += 1
        except ConflictError:
            ended[0] += 1

    threads = [Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert (ended, most) == ([4], [1])


def test_of_two_releases_of_a_task_one_is_champion_and_the_other_was_refused(cluster: Cluster) -> None:
    one, other = cluster.candidates.judged(1.0), cluster.candidates.judged(2.0)
    told: dict[str, NoriaError] = {}

    def release(which: object) -> None:
        try:
            cluster.candidates.deploy(which, cluster.stage())  # type: ignore[arg-type]
        except NoriaError as error:
            told[which.digest] = error  # type: ignore[attr-defined]

    threads = [Thread(target=release, args=(each,)) for each in (one, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert len(told) == 1
    assert cluster.serves == cluster.candidates.champion
    assert cluster.candidates.champion not in told
    assert cluster.candidates.kinds.count("promoted") == 1
    assert cluster.world.starts == [cluster.candidates.champion]


def test_who_lost_the_turn_does_not_touch_what_serves(cluster: Cluster, champion: str) -> None:
    release = cluster.candidates.judged(2.0)
    cluster.world.behaviours[release.digest] = "never ready"
    key = (LEASES.plural, NAMESPACE, f"noria-{TASK}")

    def steal(asked: object) -> None:
        lease = cluster.server.objects.get(key)
        if cluster.serves == release.digest and lease is not None and lease["spec"]["holderIdentity"] != "other":
            lease["metadata"].pop("resourceVersion")
            cluster.server.objects.replace(key, {**lease, "spec": {**lease["spec"], "holderIdentity": "other"}})

    cluster.server.after = steal
    with pytest.raises((ClusterError, ReleaseError), match="was not put back"):
        cluster.candidates.deploy(release, cluster.stage(seconds=30.0))
    assert cluster.serves == release.digest  # it is the other's to say what serves
    assert cluster.candidates.champion == champion
