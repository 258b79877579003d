"""Stream: many inference messages over one call, answered in their order while later ones are already being read."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Any

import grpc

from serving.batching import OverloadError
from serving.rpc.asking import Inference
from serving.rpc.schema import ModelInferResponse, ModelStreamInferResponse
from serving.rpc.status import Refusal, refuse

AHEAD = 16  # messages of one stream that may be in work; more of them wait in the network

Asked = asyncio.Queue[asyncio.Task[bytes] | None]  # None ends it


class Streams:
    """Answers streams; a message that is refused does not end its stream, for the answer says which one it was."""

    def __init__(self, inference: Inference) -> None:
        self._inference = inference
        self._readers: set[asyncio.Task[None]] = set()
        self._stopping = False

    async def answer(self, context: Any) -> Refusal | None:
        """Answer until the client has no more to ask; a refusal if it is the server that stops."""
        asked: Asked = asyncio.Queue()
        room = asyncio.Semaphore(AHEAD)
        reader = asyncio.create_task(self._read(context, asked, room))
        self._readers.add(reader)
        try:
            while (answer := await asked.get()) is not None:
                await context.write(await answer)
                room.release()
        finally:
            self._readers.discard(reader)
            reader.cancel()
            while not asked.empty():
                if (left := asked.get_nowait()) is not None:
                    left.cancel()
        return refuse(OverloadError("the server stops: ask again, another one answers", 1)) if self._stopping else None

    def stop(self) -> None:
        """Read no more; what has been read is answered."""
        self._stopping = True
        for reader in self._readers:
            reader.cancel()

    async def _read(self, context: Any, asked: Asked, room: asyncio.Semaphore) -> None:
        try:
            while not self._stopping:
                await room.acquire()
                data = await context.read()
                if data is grpc.aio.EOF:
                    break
                asked.put_nowait(asyncio.create_task(self._answer_one(data, context.time_remaining())))
        finally:
            asked.put_nowait(None)

    async def _answer_one(self, data: bytes, seconds: float | None) -> bytes:
        outcome = await self._inference.answer(data, monotonic(), seconds)
        if isinstance(outcome, bytes):
            return _wrap(outcome)
        message = ModelStreamInferResponse(
            error_message=outcome.message, infer_response=ModelInferResponse(id=outcome.request)
        )
        return bytes(message.SerializeToString())


def _wrap(answer: bytes) -> bytes:
    """A ModelStreamInferResponse around a serialized answer, which is its field 2, without reading it again."""
    size, length = len(answer), b""
    while size >= 0x80:
        length += bytes((size & 0x7F | 0x80,))
        size >>= 7
    return b"\x12%b%c%b" % (length, size, answer)
