"""Ending: how a step's process ends: at once with its reader, or in order while there is something to put back."""

from __future__ import annotations

import os
import select
import signal
import stat
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

_in_order = threading.Event()  # while it is set, who wants this process to end asks it, as SIGTERM does


@dataclass(kw_only=True)
class Order:
    """The end of a process that puts things back first; `code` is what it ends with, 0 while nobody asked for it."""

    code: int = 0
    held_off: bool = False

    @contextmanager
    def held_off_for(self) -> Iterator[None]:
        """Let the block come to its end, whoever asks for that of the process meanwhile; that is done after it."""
        self.held_off = True
        try:
            yield
        finally:
            self.held_off = False
        if self.code:
            raise SystemExit(self.code)

    def ask(self, number: int, _: object) -> None:
        """End by this signal; a second one interrupts nothing."""
        first, self.code = not self.code, self.code or 128 + number
        if first and not self.held_off:
            raise SystemExit(self.code)


@contextmanager
def ended_in_order() -> Iterator[Order]:
    """Let the block put things back when this process is to end: by SIGTERM, or because nobody reads it any more.

    Only the main thread hears signals; in another one it stays as it was.
    """
    order = Order()
    if threading.current_thread() is not threading.main_thread():
        yield order
        return
    before = signal.signal(signal.SIGTERM, order.ask)
    _in_order.set()
    try:
        yield order
    finally:
        _in_order.clear()
        signal.signal(signal.SIGTERM, before)
    if order.code:
        raise SystemExit(order.code)


def end_with_reader() -> None:
    """End this process when nobody reads its output any more: a killed `noria run` leaves no step behind."""
    output = sys.stdout.fileno()
    if not _is_pipe(output):
        return
    poll = select.poll()
    poll.register(output, 0)  # POLLERR comes unasked, when the pipe's other end is closed

    def watch() -> None:
        poll.poll()
        if not _in_order.is_set():
            os._exit(1)
        try:
            _fall_silent()
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="end-with-reader", daemon=True).start()


def _fall_silent() -> None:
    """Lead what was read to nowhere: a line that cannot be written must not stop what is put back."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):  # whoever read the one read the other: both are a launcher's
        if _is_pipe(stream.fileno()):
            os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def _is_pipe(number: int) -> bool:
    return stat.S_ISFIFO(os.fstat(number).st_mode)
