"""Plan: how long and how often each thing is measured."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace

from bench.serving.peers import NORIA, Peer


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Seconds are of one point; wrk counts in whole ones."""

    quick: bool = False
    rounds: int = 5
    table_rounds: int = 1  # of the large table, which has many points
    warm_seconds: int = 10
    seconds: int = 3
    table_seconds: int = 1
    overload_seconds: float = 20.0
    starts: int = 5
    models: tuple[str, ...] = ("fashion", "nothing", "resnet")
    connections: tuple[int, ...] = (1, 16, 64)
    batches: tuple[int, ...] = (1, 8, 32)
    shares: tuple[float, ...] = (0.5, 0.7, 0.9)  # of the slower server's peak, for the open loop
    peers: tuple[Peer, ...] = ()

    @property
    def servers(self) -> tuple[Peer, ...]:
        """In the order in which they take their turns."""
        return (*self.peers, NORIA)


QUICK = Plan(
    quick=True,
    rounds=1,
    warm_seconds=1,
    seconds=1,
    table_seconds=1,
    overload_seconds=1.0,
    starts=1,
    models=("fashion", "nothing"),
    connections=(16,),
    batches=(8,),
    shares=(0.5,),
)


def read_plan(words: list[str], known: tuple[Peer, ...]) -> Plan:
    """Read the command line of a serving program, whose peers are these."""
    parser = argparse.ArgumentParser(description="Measure the predictor against other servers.")
    by_name = {peer.name: peer for peer in known}
    parser.add_argument("--quick", action="store_true", help="one short round: shows that the programs work")
    parser.add_argument("--peers", help=f"some of {','.join(by_name)} (default: all; none of them in a quick run)")
    for name, what in (
        ("rounds", "rounds of the rates, the latencies and the processor time"),
        ("table-rounds", "rounds of the table of models, batches and connections"),
        ("warm-seconds", "load before a server is measured"),
        ("seconds", "length of one point of a round"),
        ("table-seconds", "length of one point of the table"),
        ("overload-seconds", "length of the overload"),
        ("starts", "starts of each server"),
    ):
        parser.add_argument(f"--{name}", type=int, help=what)
    given = vars(parser.parse_args(words))
    peers, quick = given.pop("peers"), given.pop("quick")
    wanted = peers.split(",") if peers else [] if quick else list(by_name)
    if strange := sorted(set(wanted) - set(by_name)):
        parser.error(f"no peer {', '.join(strange)}: there are {', '.join(by_name)}")
    changes = {name: value for name, value in given.items() if value is not None}
    return replace(QUICK if quick else Plan(), **changes, peers=tuple(by_name[name] for name in wanted))
