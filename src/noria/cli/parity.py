"""Parity: whether two runs came to the same, fact by fact."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rich.text import Text

from noria.cli.naming import find_task
from noria.cli.output import console, make_table, print_json, show_path
from noria.cli.parity_facts import Ran
from noria.cli.parity_runs import find_run

RUN_OWN = ("plan", "basis", "champion")  # parameters that follow from others, or from the ledger


@dataclass(frozen=True, kw_only=True)
class Compared:
    """One thing of two runs; `one` or `other` is "" where that run has none of it."""

    what: str
    equal: bool
    one: str
    other: str


@dataclass(frozen=True, kw_only=True)
class Report:
    """`compared` has to be equal, `figures` may differ; `parameters` holds those that do.

    `lacks` says what is not kept of a run, and could not be compared.
    """

    task: str
    equal: bool
    one: str
    other: str
    compared: tuple[Compared, ...]
    figures: tuple[Compared, ...]
    parameters: tuple[Compared, ...]
    lacks: tuple[str, ...]


def compare_runs(one: str, other: str, task: str, *, as_json: bool) -> int:
    """Compare two runs of a task and tell; returns the exit code, 1 where they differ."""
    find_task(task)
    report = compare(find_run(one, task), find_run(other, task), task)
    if as_json:
        print_json(report)
    else:
        _show(report)
    return 0 if report.equal else 1


def compare(one: Ran, other: Ran, task: str) -> Report:
    """Put the two side by side."""
    unknown = {*one.unknown, *other.unknown}
    compared = tuple(each for each in _pair(one.facts, other.facts) if each.what not in unknown)
    known = one.parameters and other.parameters
    parameters = [each for each in _pair(_words(one), _words(other)) if not each.equal] if known else []
    return Report(
        task=task,
        equal=all(each.equal for each in compared),
        one=f"{one.place}#{one.run}",
        other=f"{other.place}#{other.run}",
        compared=compared,
        figures=_pair(one.figures, other.figures),
        parameters=tuple(parameters),
        lacks=tuple(f"{ran.place}: {ran.lacks}" for ran in (one, other) if ran.lacks),
    )


def _words(ran: Ran) -> dict[str, str]:
    return {name: str(value) for name, value in ran.parameters.items() if name not in RUN_OWN}


def _pair(one: Mapping[str, str], other: Mapping[str, str]) -> tuple[Compared, ...]:
    names = dict.fromkeys((*one, *other))
    pairs = ((name, one.get(name, ""), other.get(name, "")) for name in names)
    return tuple(Compared(what=name, equal=left == right, one=left, other=right) for name, left, right in pairs)


def _show(report: Report) -> None:
    screen = console()
    for letter, run in (("A", report.one), ("B", report.other)):
        screen.print(f"{letter}  {show_path(run)}", soft_wrap=True, markup=False)
    table = make_table("\nHas to be equal", ["", "", "A", "B"], padding=1)
    for each in report.compared:
        mark = Text("=", "green") if each.equal else Text("≠", "bold red")
        table.add_row(mark, each.what, _short(each.one), "" if each.equal else _short(each.other))
    screen.print(table)
    table = make_table("\nMay differ", ["", "A", "B"])
    for each in report.figures:
        table.add_row(each.what, each.one, each.other)
    screen.print(table)
    if report.parameters:
        screen.print("\n[bold]Parameters that differ[/bold]")
        table = make_table("", ["", "A", "B"])
        for each in report.parameters:
            table.add_row(each.what, each.one, each.other)
        screen.print(table)
    for said in report.lacks:
        screen.print(f"\nNot compared\n  {show_path(said)}", soft_wrap=True, markup=False)
    equal = sum(each.equal for each in report.compared)
    word = "The runs are equal" if report.equal else "[bold red]The runs differ[/bold red]"
    screen.print(f"\n{word}: {equal} of {len(report.compared)} facts of {report.task} are the same")


def _short(value: str) -> str:
    return value[:16] if len(value) == 64 else value
