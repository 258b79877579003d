"""Reach: which cluster the scripts are about to change, and whether it answers; `python -m helm.reach VERB` says it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from helm.kubectl import Kubectl, told
from noria.errors import ClusterError

REACHED = "that `kubectl get nodes` reaches"
EXPECTED = f"expected one {REACHED}"
NEXT = "start it, choose another with `kubectl config use-context`, or let `make cluster` make one"
SECONDS = 15
_STRANGERS = ("Unauthorized", "provide credentials", "must be logged in", "Forbidden", "forbidden")


@dataclass(frozen=True, kw_only=True)
class Reached:
    """A cluster that answers: kubectl's name for it, and its address."""

    context: str
    server: str


def main(arguments: list[str]) -> int:
    """Say which cluster answers, or why none does, for the verb of make that is named; returns the exit code."""
    try:
        found = reach(Kubectl())
    except ClusterError as error:
        sys.stderr.write(f"make {arguments[0]}: {error}\n")
        return error.exit_code
    sys.stdout.write(f"Cluster: context {found.context}, {found.server}\n")
    return 0


def reach(kubectl: Kubectl, environment: Mapping[str, str] = os.environ) -> Reached:
    """The cluster that kubectl is set up for; ClusterError where there is none, or it does not answer."""
    named = [path for path in environment.get("KUBECONFIG", "").split(os.pathsep) if path]
    where = os.pathsep.join(named) or "~/.kube/config"
    if named and not any(Path(path).expanduser().exists() for path in named):
        raise ClusterError(
            f"KUBECONFIG names {where}, which is not there: expected the file of a cluster {REACHED}; mend it, or "
            "unset it"
        )
    asked = kubectl.ask(["config", "current-context"])
    context = asked.stdout.strip()
    if asked.returncode and "KUBERNETES_SERVICE_HOST" in environment:
        context, server = "of this pod", environment["KUBERNETES_SERVICE_HOST"]
    elif asked.returncode:
        raise ClusterError(f"{where} has no current context, so no cluster is chosen: {EXPECTED}; {_which()}")
    else:
        words = ["config", "view", "--minify", "--output=jsonpath={.clusters[0].cluster.server}"]
        server = kubectl.ask(words).stdout.strip() or "no address"
    answer = kubectl.ask(["get", "--raw", "/version", f"--request-timeout={SECONDS}s"])
    if answer.returncode:
        raise _silence(context, server, where, told(answer.stderr))
    return Reached(context=context, server=server)


def _silence(context: str, server: str, where: str, said: str) -> ClusterError:
    place = f"{server} (context {context}, KUBECONFIG {where})"
    if any(word in said for word in _STRANGERS):
        return ClusterError(f"the cluster at {place} does not let you in ({said}): {EXPECTED}; log in to it again")
    return ClusterError(f"no cluster answers at {place}: {EXPECTED}; {NEXT}. kubectl says: {said}")


def _which() -> str:
    """The next step where nothing is chosen: kind may have a cluster that kubectl knows nothing of."""
    kind = shutil.which("kind")
    done = subprocess.run([kind, "get", "clusters"], capture_output=True, text=True, check=False) if kind else None
    names = done.stdout.split() if done and done.returncode == 0 else []
    if names:
        return f"kind has {', '.join(names)}: `kind export kubeconfig --name {names[0]}` tells kubectl of it"
    return NEXT


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
