"""Output: tables for people, JSON for programs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TextIO

import msgspec
from rich.console import Console
from rich.table import Table

from noria.cli.project import started_in

WIDTH = 100


def print_json(facts: object) -> None:
    """Print facts as indented JSON."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(facts), indent=2).decode() + "\n")


def make_table(title: str, headings: Sequence[str], padding: int = 2) -> Table:
    """A table in the command's one style."""
    table = Table(
        title=title, title_justify="left", title_style="bold", box=None, padding=(0, padding), header_style="dim"
    )
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table


def console(stream: TextIO | None = None) -> Console:
    """A console on the stream; a file or a pipe has no width of its own and gets 100 columns."""
    made = Console(file=stream or sys.stdout, highlight=False)
    if not made.is_terminal:
        made.width = WIDTH
    return made


def show_path(address: str) -> str:
    """A path from the folder that the person stands in, where it lies below it; all else as it is."""
    return address.removeprefix(f"{started_in()}/")


def show_time(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
