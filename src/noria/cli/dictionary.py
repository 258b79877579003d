"""Dictionary: a dataset's columns as people read them, in 100 columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console

from noria.cli.output import make_table
from noria.ml.dataset import DatasetFacts
from noria.ml.dictionary import ColumnFacts


def show_dictionary(screen: Console, digest: str, columns: Sequence[ColumnFacts], facts: DatasetFacts) -> None:
    """The columns, who answers for them, which ones are about persons, and what was counted in the source."""
    headings = ["column", "type", "role", "unit", "missing", "declared", "observed"]
    table = make_table(f"Dataset {digest[:12]}, {facts.rows:,} rows of {facts.task}", headings, padding=1)
    table.columns[0].no_wrap = True
    for column in columns:
        shape = f" {list(column.shape)}" if column.shape else ""
        table.add_row(
            column.name,
            column.type + shape,
            column.role,
            column.unit,
            f"{column.null_share:.2%}",
            _bounds(column.minimum, column.maximum),
            _bounds(column.observed_minimum, column.observed_maximum),
        )
    screen.print(table)
    for title, lines in (
        ("Owners", _owners(columns)),
        ("About persons", _personal(columns)),
        ("Counted", _told(facts)),
    ):
        found = list(lines)
        if found:
            screen.print(f"\n[bold]{title}[/bold]")
        for line in found:
            screen.print(f" {line}", markup=False)


def _owners(columns: Sequence[ColumnFacts]) -> Iterator[str]:
    for owner in dict.fromkeys(column.owner for column in columns):
        yield f"{owner or 'nobody'}: {', '.join(column.name for column in columns if column.owner == owner)}"


def _personal(columns: Sequence[ColumnFacts]) -> Iterator[str]:
    for column in columns:
        if column.personal != "none":
            yield f"{column.name}: {column.personal}"


def _told(facts: DatasetFacts) -> Iterator[str]:
    """What the task counted in its source over the window, where there was any; first what is no row for it."""
    for tally in sorted(facts.tallies, key=lambda tally: not tally.left_out):
        if tally.rows:
            yield f"{tally.rows:,} of {tally.source}: {tally.what}"


def _bounds(low: float | str | None, high: float | str | None) -> str:
    return "" if low is None and high is None else f"{_value(low)} to {_value(high)}"


def _value(value: float | str | None) -> str:
    """A bound in few characters: a whole number as it is, another one in four digits, a moment to the day."""
    if isinstance(value, str):
        return value[:10]
    return "" if value is None else f"{value:.0f}" if value == round(value) else f"{value:.4g}"
