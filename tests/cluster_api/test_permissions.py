"""Permissions: the verbs that a release really uses are those that the Role is made from, no more and no fewer."""

from __future__ import annotations

from collections.abc import Callable

from cluster.permissions import VERBS


def test_a_release_needs_these_verbs_and_no_other(recorded_verbs: Callable[[], set[tuple[str, str, str]]]) -> None:
    assert recorded_verbs() == VERBS


def test_nothing_is_asked_for_that_could_reach_beyond_a_release() -> None:
    assert not {"*", "list", "watch", "deletecollection"} & {verb for _, plural, verb in VERBS if plural == "leases"}
    assert not {"secrets", "configmaps", "serviceaccounts", "nodes"} & {plural for _, plural, _ in VERBS}
