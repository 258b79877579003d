"""Reach: a cluster is named before anything is changed in it, and one that cannot be had is told by its cause."""

from __future__ import annotations

from pathlib import Path

import pytest

from helm.kubectl import Kubectl, told
from helm.reach import Reached, reach
from noria.errors import ClusterError


def play(folder: Path, monkeypatch: pytest.MonkeyPatch, answer: str, *, context: str = "echo play") -> Kubectl:
    """A kubectl with this context, and this answer of its server."""
    body = f'case "$*" in *current-context) {context};; *view*) echo https://there:6443;; *) {answer};; esac'
    (folder / "kubectl").write_text(f"#!/bin/sh\n{body}\n")
    (folder / "kubectl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return Kubectl()


def test_a_cluster_that_answers_is_told_by_its_context_and_address(tmp_path, monkeypatch):
    kubectl = play(tmp_path, monkeypatch, "echo {}")
    assert reach(kubectl, {}) == Reached(context="play", server="https://there:6443")


@pytest.mark.parametrize(
    ("says", "words"),
    [
        ("The connection to the server was refused", "no cluster answers at https://there:6443 (context play"),
        ("error: You must be logged in to the server (Unauthorized)", "does not let you in"),
        ("Error from server (Forbidden): forbidden", "does not let you in"),
    ],
)
def test_silence_and_a_closed_door_are_two_things(tmp_path, monkeypatch, says, words):
    kubectl = play(tmp_path, monkeypatch, f'echo "{says}" >&2; exit 1')
    with pytest.raises(ClusterError) as raised:
        reach(kubectl, {})
    assert words in str(raised.value)
    assert says in str(raised.value)


def test_a_kubeconfig_that_is_not_there_is_named(tmp_path, monkeypatch):
    kubectl = play(tmp_path, monkeypatch, "echo {}")
    with pytest.raises(
        ClusterError, match=r"names /nowhere/config, which is not there: expected the file of a cluster that `kubectl"
    ):
        reach(kubectl, {"KUBECONFIG": "/nowhere/config"})
    assert reach(kubectl, {"KUBECONFIG": f"/nowhere/config:{tmp_path}"}).context == "play"


def test_a_cluster_of_kind_that_kubectl_does_not_know_is_offered(tmp_path, monkeypatch):
    kubectl = play(tmp_path, monkeypatch, "echo {}", context="exit 1")
    with pytest.raises(ClusterError, match=r"has no current context.*make cluster"):
        reach(kubectl, {})
    (tmp_path / "kind").write_text("#!/bin/sh\necho noria\n")
    (tmp_path / "kind").chmod(0o755)
    with pytest.raises(ClusterError, match="`kind export kubeconfig --name noria`"):
        reach(kubectl, {})


def test_in_a_pod_the_cluster_is_that_of_the_pod(tmp_path, monkeypatch):
    kubectl = play(tmp_path, monkeypatch, "echo {}", context="exit 1")
    assert reach(kubectl, {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}) == Reached(context="of this pod", server="10.0.0.1")


def test_what_kubectl_notes_for_its_authors_is_left_out():
    assert told("E1121 12:00:00 7 memcache.go:265] noise\nno route\n to it\n") == "no route to it"
    assert told("E1121 12:00:00 only noise") == "E1121 12:00:00 only noise"
    assert told("") == "it does not say why"
