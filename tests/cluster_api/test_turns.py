"""Turns: one release of a task at a time, and none that waits for a dead one's."""

from __future__ import annotations

import time
from threading import Barrier, Event, Thread

import pytest
from cluster_api.candidates import TASK
from cluster_api.surroundings import NAMESPACE, PACE, Cluster

from cluster.lease import Pace, hold
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
