"""Asking: one request at a time over a plain socket, every answer compared with the right one."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bench.serving.questions import Question

PATIENCE = 60.0  # seconds for one answer


class WrongAnswerError(Exception):
    """An answer was wrong or no answer at all, so the round is void."""


class Connection:
    """A connection that stays open for one request after the other."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._asked = False
        self._open()

    def _open(self) -> None:
        self._socket = socket.create_connection(("127.0.0.1", self._port), timeout=PATIENCE)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._reader = self._socket.makefile("rb")

    def ask(self, question: Question) -> None:
        """Ask, and check the answer; WrongAnswerError if it is not the right one, or if there is none."""
        body = b""
        try:
            status, headers, body = self._exchange(question.encode())
            if status != 200:
                raise WrongAnswerError(f"status {status}: {body[:500]!r}")
            question.check(headers, body)
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise WrongAnswerError(f"{question.protocol}: {error}: {body[:200]!r}") from error

    def _exchange(self, request: bytes) -> tuple[int, dict[str, str], bytes]:
        """Send and read; anew where the server has let go of the connection since its last answer, as HTTP allows."""
        try:
            self._socket.sendall(request)
            answer = self._read()
        except (ConnectionResetError, BrokenPipeError):
            if not self._asked:
                raise
            self.close()
            self._open()
            self._asked = False
            return self._exchange(request)
        self._asked = True
        return answer

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._reader.close()
        self._socket.close()

    def _read(self) -> tuple[int, dict[str, str], bytes]:
        line = self._reader.readline()
        if not line:
            raise ConnectionResetError("the server closed the connection without an answer")
        headers = {}
        while (entry := self._reader.readline().strip()) != b"":
            name, _, value = entry.decode("latin-1").partition(":")
            headers[name.strip().lower()] = value.strip()
        if headers.get("transfer-encoding") == "chunked":
            return int(line.split()[1]), headers, b"".join(self._chunks())
        return int(line.split()[1]), headers, self._reader.read(int(headers.get("content-length", 0)))

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self._reader.readline(), 16):
            yield self._reader.read(size)
            self._reader.readline()
        self._reader.readline()


def ask_until_right(port: int, question: Question, alive: Callable[[], bool], patience: float) -> None:
    """Ask until the first right answer, without a pause: its moment is measured."""
    deadline = time.monotonic() + patience
    while True:
        try:
            with Connection(port) as connection:
                return connection.ask(question)
        except (OSError, WrongAnswerError, ValueError) as error:
            if not alive():
                raise WrongAnswerError("the server ended before its first answer; its log says why") from error
            if time.monotonic() > deadline:
                raise WrongAnswerError(f"no right answer within {patience:.0f} s, the last was: {error}") from error


@contextmanager
def witness(port: int, question: Question, pause: float = 0.2) -> Iterator[list[int]]:
    """While others load the server, ask it something else now and then: answers that were mixed up would show.

    Yields a list that holds the number of answers; WrongAnswerError at the end if one was wrong.
    """
    over, faults, answers = threading.Event(), list[Exception](), [0]

    def look() -> None:
        try:
            with Connection(port) as connection:
                while not over.wait(pause):
                    connection.ask(question)
                    answers[0] += 1
        except (OSError, WrongAnswerError) as error:
            faults.append(error)

    thread = threading.Thread(target=look, name="witness")
    thread.start()
    try:
        yield answers
    finally:
        over.set()
        thread.join()
    if faults:
        raise WrongAnswerError(f"under load: {faults[0]}") from faults[0]
