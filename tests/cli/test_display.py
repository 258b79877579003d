"""Display: a run is drawn on a terminal, and told in plain lines elsewhere."""

import contextlib
import io

import pytest
from rich.console import Console

from noria.cli.display import Display
from noria.errors import NoriaError


def console(*, terminal):
    return Console(file=io.StringIO(), force_terminal=terminal, width=100)


def test_plain_output_has_no_control_characters():
    screen = console(terminal=False)
    with Display(screen, ["ingest", "train"]) as display:
        display.start("ingest")
        display.progress("ingest", "10 rows read", None)
        display.end("ingest", "done", 1.25)
        display.end("train", "failed", text="TrainingError")
    text = screen.file.getvalue()
    assert "\x1b" not in text
    assert text.splitlines() == [
        "ingest: started",
        "ingest: done in 1.2 s (10 rows read)",
        "train: failed (TrainingError)",
    ]


def test_a_terminal_shows_every_step_with_its_state():
    screen = console(terminal=True)
    with Display(screen, ["ingest", "train", "deploy"]) as display:
        display.end("ingest", "cached")
        display.start("train")
        display.progress("train", "epoch 2/12", 0.5)
        display.end("train", "done", 61.0)
        display.end("deploy", "skipped", text="a gate said no")
    last = screen.file.getvalue()
    for word in ("ingest", "cached", "train", "61.0 s", "deploy", "a gate said no", "✓"):
        assert word in last


@pytest.mark.parametrize(
    ("error", "said", "mark"),
    [(KeyboardInterrupt, "stopped at epoch 2/12", "■"), (NoriaError, "failed at epoch 2/12", "✗")],
)
def test_a_step_that_was_broken_off_says_so_and_turns_no_more(error, said, mark):
    for terminal in (True, False):
        screen = console(terminal=terminal)
        display = Display(screen, ["ingest", "train"])
        with contextlib.suppress(error), display:
            display.end("ingest", "done", 1.0)
            display.start("train")
            display.progress("train", "epoch 2/12", 0.5)
            raise error
        assert {name: line.state for name, line in display.lines.items()} == {"ingest": "done", "train": said[:-14]}
        shown = screen.file.getvalue()
        assert said in shown.splitlines()[-1] + shown.splitlines()[-2]
        assert (mark in shown) is terminal


def test_no_line_is_wider_than_the_terminal():
    screen = console(terminal=True)
    with Display(screen, ["train"]) as display:
        display.start("train")
        display.progress("train", "x" * 300, 0.5)
    plain = Console(file=io.StringIO(), width=100)
    plain.print(display._draw())
    assert max(map(len, plain.file.getvalue().splitlines())) <= 100
