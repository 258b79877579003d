"""Display: the steps of a run, drawn while they run; plain lines where the output is no terminal."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text


@dataclass(kw_only=True)
class Line:
    """What is known of one step by now."""

    name: str
    state: str = "waiting"  # waiting | running | done | cached | refused | failed | stopped | skipped
    text: str = ""
    done: float | None = None
    start: float = 0.0
    seconds: float = 0.0
    spinner: Spinner = field(default_factory=lambda: Spinner("dots", style="cyan"))


MARKS = {
    "waiting": Text("·", "dim"),
    "done": Text("✓", "green"),
    "cached": Text("=", "green"),
    "refused": Text("✗", "red"),
    "failed": Text("✗", "red"),
    "stopped": Text("■", "yellow"),
    "skipped": Text("-", "yellow"),
}


class Display:
    """Draws the lines of the steps; as a context, it redraws while a step runs."""

    def __init__(self, console: Console, steps: list[str]) -> None:
        self.lines = {name: Line(name=name) for name in steps}
        self._console = console
        self._live = (
            Live(get_renderable=self._draw, console=console, refresh_per_second=8) if console.is_terminal else None
        )
        self._told = 0.0

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for line in [line for line in self.lines.values() if line.state == "running"]:
            self._break_off(line, "stopped" if kind and issubclass(kind, KeyboardInterrupt) else "failed")
        if self._live:
            self._live.stop()

    def _break_off(self, line: Line, state: str) -> None:
        """End a step that did not say itself how it ended: no line keeps turning when nobody turns it any more."""
        text = f"{state} at {line.text}" if line.text else state
        self.end(line.name, state, time.monotonic() - line.start, text)

    def start(self, name: str) -> None:
        line = self.lines[name]
        line.state, line.start = "running", time.monotonic()
        self._tell(f"{name}: started")

    def progress(self, name: str, text: str, done: float | None) -> None:
        line = self.lines[name]
        line.text, line.done = text, done
        if time.monotonic() - self._told > 5:  # plain output: a line now and then is enough
            self._tell(f"{name}: {text}")

    def end(self, name: str, state: str, seconds: float = 0.0, text: str | None = None) -> None:
        line = self.lines[name]
        line.state, line.seconds, line.done = state, seconds, None
        line.text = line.text if text is None else text
        self._tell(
            f"{name}: {state}{f' in {seconds:.1f} s' if seconds else ''}{f' ({line.text})' if line.text else ''}"
        )

    def _tell(self, text: str) -> None:
        if not self._live:
            self._told = time.monotonic()
            self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def _draw(self) -> RenderableType:
        table = Table.grid(padding=(0, 1))
        table.add_column(width=2)
        table.add_column(width=9)
        table.add_column(width=8, justify="right")
        table.add_column(no_wrap=True, overflow="ellipsis")
        for line in self.lines.values():
            running = line.state == "running"
            seconds = time.monotonic() - line.start if running else line.seconds
            mark: RenderableType = line.spinner if running else MARKS[line.state]
            shown = "cached" if line.state == "cached" else f"{seconds:.1f} s" if seconds else ""
            table.add_row(mark, Text(line.name, "bold" if running else ""), Text(shown, "dim"), self._about(line))
        return table

    @staticmethod
    def _about(line: Line) -> RenderableType:
        text = Text(
            line.text, "red" if line.state in ("refused", "failed") else "dim" if line.state != "running" else ""
        )
        if line.state != "running" or line.done is None:
            return text
        row = Table.grid(padding=(0, 1))
        row.add_row(ProgressBar(total=1.0, completed=line.done, width=18), text)
        return Group(row)
