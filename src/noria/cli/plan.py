"""Plan: what a run would do and cost, before it starts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console

from noria.cli.output import console, make_table, print_json
from noria.cli.preparing import prepare
from noria.cli.spans import check_span

if TYPE_CHECKING:
    from pipelines.graph import Graph


def show_plan(task: str, environment: str, pairs: Sequence[str], *, as_of: str = "", as_json: bool) -> None:
    """Show the graph, the parameters and the cost of a run on a cluster."""
    prepared = prepare(task, environment, pairs, as_of=as_of)
    check_span(prepared)
    from pipelines.compiling import COMPILED
    from pipelines.graph import read_graph

    graph = read_graph(COMPILED)
    arguments = prepared.parameters.arguments()
    facts = {
        "pipeline": graph.name,
        "file": str(COMPILED),
        "steps": graph.steps,
        "pods": graph.pods,
        "peak": {"cpu_cores": _peak(graph, "cpu"), "memory_bytes": _peak(graph, "memory")},
        "parameters": arguments,
        "not_enforced_on_this_machine": graph.unheeded,
    }
    if as_json:
        print_json(facts)
        return
    screen = console()
    _show_graph(screen, graph)
    table = make_table("\nParameters", ["name", "value"])
    for name, value in arguments.items():
        usual = name == "environment_limits" and value == arguments["limits"]
        table.add_row(name, "the limits above" if usual else _words(value))
    screen.print(table)


def _words(value: object) -> str:
    """A parameter's value on one line; a group as its names and values."""
    if not isinstance(value, dict):
        return str(value) or "none"
    shown = (f"{key} {item:g}" if isinstance(item, float) else f"{key} {item}" for key, item in value.items())
    return ", ".join(shown) or "as the task has it"


def _show_graph(screen: Console, graph: Graph) -> None:
    table = make_table(
        f"{graph.name}: {len(graph.steps)} steps", ["step", "after", "only if", "CPU", "memory", "retries"]
    )
    for step in graph.steps:
        memory = f"{step.memory / 2**30:.0f} GiB"
        table.add_row(step.name, ", ".join(step.after), step.condition, f"{step.cpu:g}", memory, str(step.retries))
    screen.print(table)
    screen.print(
        f"\nOn a cluster: {graph.pods} pods, at most {_peak(graph, 'cpu'):g} cores and "
        f"{_peak(graph, 'memory') / 2**30:.0f} GiB at a time"
    )
    for phrase in graph.unheeded:
        screen.print(f"Not enforced on this machine: {phrase}")


def _peak(graph: Graph, what: str) -> float:
    """The most that the steps which may run side by side ask for: those at the same depth of the graph."""
    depth: dict[str, int] = {}
    sums: dict[int, float] = {}
    for step in graph.steps:
        depth[step.name] = 1 + max((depth[name] for name in step.after), default=0)
        sums[depth[step.name]] = sums.get(depth[step.name], 0.0) + float(getattr(step, what))
    return max(sums.values(), default=0.0)
