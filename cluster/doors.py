"""Doors: the ports of a predictor's Service, and which of them lets somebody in."""

from __future__ import annotations

import http.client
from dataclasses import dataclass

from noria.errors import ServingError
from noria.steps.served import TIMEOUT_SECONDS

# KServe's Service has port 80, which leads to the container's. Where it makes headless ones (serviceClusterIPNone) the
# name leads to the pods themselves, which have only the container's.
PORTS = (80, 8080)
KNOCK_SECONDS = 3.0


@dataclass(kw_only=True)
class Doors:
    """Where what serves is asked.

    It is not the address in the object's status: that has the scheme of KServe's ingress (urlScheme), and the Service
    speaks plain HTTP whatever that is.
    """

    host: str
    ports: tuple[int, ...] = PORTS

    @classmethod
    def of(cls, task: str, namespace: str) -> Doors:
        """Those of the task's predictor."""
        return cls(host=f"{task}-predictor.{namespace}.svc")

    def enter(self) -> http.client.HTTPConnection:
        """A connection to the first port that takes one, which comes first from then on; ServingError if none does."""
        refused = []
        for port in self.ports:
            connection = http.client.HTTPConnection(self.host, port, timeout=KNOCK_SECONDS)
            try:
                connection.connect()
            except OSError as error:
                connection.close()
                refused.append(f"http://{self.host}:{port} ({error})")
                continue
            self.ports = (port, *(each for each in self.ports if each != port))
            connection.timeout = TIMEOUT_SECONDS
            connection.sock.settimeout(TIMEOUT_SECONDS)
            return connection
        raise ServingError(
            f"no port of what serves takes a connection; tried {', '.join(refused)}: expected the Service that KServe "
            "makes, reachable from here; look at the network policies, and run this within the cluster"
        )
