"""An OpenAI-compatible chat server on the loopback: `rating_provider` behind HTTP/1.1.

As a context manager it serves from a thread of the test. Alone, `python tests/rating_server.py
--port 8765 --latency 0.1` prints its address and hands out its ledger at `/ledger`; options as JSON
take all arguments of the provider, and end the server with its standard input.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import threading
from dataclasses import dataclass

from rating_provider import (
    CRITERIA,
    REFUSALS,
    Bought,
    Provider,
    content_key,
    ratings_of,
    tags_of,
)

__all__ = ["CRITERIA", "Bought", "RatingServer", "content_key", "ratings_of", "tags_of"]


@dataclass
class RatingServer(Provider):
    """The provider on a socket."""

    port: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._tasks: set[asyncio.Task[None]] = set()
        self.connections: set[asyncio.Transport] = set()

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    # -- life
    # ---------------------------------------------------------------------------------------
    def __enter__(self) -> RatingServer:
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        server = await self._loop.create_server(
            lambda: _Connection(self), "127.0.0.1", self.port, backlog=4096
        )
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        for transport in list(self.connections):
            transport.abort()
        await asyncio.sleep(0)

    # -- one request
    # ----------------------------------------------------------------------------------
    def handle(self, connection: _Connection, authorization: str, body: bytes) -> None:
        request = json.loads(body)
        messages = request.pop("messages")
        entry, delay = self.receive(messages, request, authorization)
        self._loop.call_later(delay, self._finish, connection, entry, len(body))

    def _finish(self, connection: _Connection, entry: Bought, size: int) -> None:
        self.in_flight -= 1
        kind = entry.kind
        if kind in REFUSALS:
            connection.send(REFUSALS[kind][0], *self.refusal(entry))
            return
        if kind == "hang":
            return
        if kind == "reset":
            connection.transport.abort()
            return
        entry.answered = connection.alive
        entry.done = self.now()
        body = json.dumps(self.completion(entry, 0 if entry.messages else size)).encode()
        if kind == "cut":
            connection.send(200, body, cut=len(body) // 2)
        elif kind == "slow":
            task = self._loop.create_task(connection.drip(body, self.slow_seconds))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        else:
            connection.send(200, body, dict(self.headers))

    def told(self) -> bytes:
        """The ledger as JSON lines: key, attempt, kind, answered, at, done."""
        rows = ([e.key, e.attempt, e.kind, e.answered, e.at, e.done] for e in self.ledger)
        return "".join(json.dumps(row) + "\n" for row in rows).encode()


class _Connection(asyncio.Protocol):
    """One keep-alive connection: enough HTTP/1.1 for the clients at hand."""

    def __init__(self, server: RatingServer) -> None:
        self.server = server
        self.buffer = b""
        self.alive = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.server.connections.add(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.alive = False
        self.server.connections.discard(self.transport)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        end = self.buffer.find(b"\r\n\r\n")
        while end >= 0:
            head = self.buffer[:end].decode("latin-1")
            fields = dict(
                line.lower().split(": ", 1)
                if "authorization" not in line.lower()
                else ("authorization", line.split(": ", 1)[1])
                for line in head.split("\r\n")[1:]
            )
            length = int(fields.get("content-length", "0"))
            if len(self.buffer) < end + 4 + length:
                return
            body = self.buffer[end + 4 : end + 4 + length]
            self.buffer = self.buffer[end + 4 + length :]
            path = head.split("\r\n", 1)[0]
            if "/chat/completions" in path:
                self.server.handle(self, fields.get("authorization", ""), body)
            elif "/ledger" in path:
                self.send(200, self.server.told())
            else:
                self.send(404, b'{"error": {"message": "no such path"}}')
            end = self.buffer.find(b"\r\n\r\n")

    def send(
        self,
        status: int,
        body: bytes,
        headers: dict[str, str] | None = None,
        cut: int | None = None,
    ) -> None:
        if not self.alive:
            return
        extra = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
        head = (
            f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n{extra}\r\n"
        )
        self.transport.write(head.encode() + body[:cut])
        if cut is not None:
            self.transport.close()

    async def drip(self, body: bytes, seconds: float) -> None:
        """Send a byte every 100 ms: alive for a socket timeout, dead for a deadline."""
        self.transport.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
            + f"Content-Length: {len(body)}\r\n\r\n".encode()
        )
        for index in range(min(len(body), int(seconds * 10))):
            if not self.alive:
                return
            self.transport.write(body[index : index + 1])
            await asyncio.sleep(0.1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("options", nargs="?", type=json.loads, help="any of `Provider`, as JSON")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--latency", type=float, default=0.1)
    parser.add_argument("--rpm", type=float, default=0.0)
    parser.add_argument("--faults", type=json.loads, default={})
    given = vars(parser.parse_args())
    attached = given.pop("options")
    with RatingServer(**{"keep_messages": False, **given, **(attached or {})}) as server:
        print(server.base, flush=True)
        if attached is not None:
            sys.stdin.read()  # until whoever started it ends
        threading.Event().wait(0 if attached is not None else None)


if __name__ == "__main__":
    main()
