"""The plant's Unix socket: JSON lines in, one answer line each; subscribers get the I/O image at each scan."""

import asyncio
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

Answer = dict[str, object]
LINE_LIMIT = 65536
BACKLOG_LIMIT = 262_144  # bytes behind at which a slow subscriber loses images


class ControlSocket:
    """A server on one socket file. `do(request)` gives the answer; ValueError becomes an error answer."""

    def __init__(self, path: Path, do: Callable[[Mapping[str, object]], Answer]) -> None:
        self._path = path
        self._do = do
        self._subscribers: set[asyncio.StreamWriter] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self.lost_images = 0

    async def start(self) -> None:
        """Listens; a socket file left by a dead process is replaced, one of a live process is an OSError."""
        if self._path.is_socket():
            await self._remove_dead()
        try:
            self._server = await asyncio.start_unix_server(self._talk, self._path, limit=LINE_LIMIT)
        except OSError as error:
            raise OSError(f"{self._path}: cannot listen there: {error.strerror or error}") from error

    async def stop(self) -> None:
        """Closes all connections and removes the file."""
        if self._server is not None:
            self._server.close()
        for writer in self._writers:
            writer.close()
        self._path.unlink(missing_ok=True)

    def publish(self, image: Mapping[str, object]) -> None:
        """Sends an image to all subscribers without waiting."""
        if not self._subscribers:
            return
        line = json.dumps(image, separators=(",", ":")).encode() + b"\n"
        for writer in self._subscribers:
            if writer.transport.get_write_buffer_size() < BACKLOG_LIMIT:
                writer.write(line)
            else:
                self.lost_images += 1

    async def _remove_dead(self) -> None:
        try:
            _, writer = await asyncio.open_unix_connection(self._path)
        except (ConnectionRefusedError, FileNotFoundError):
            self._path.unlink(missing_ok=True)
            return
        writer.close()
        raise OSError(f"{self._path}: another plant listens there")

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            with suppress(ConnectionError, asyncio.CancelledError):
                await self._answer_lines(reader, writer)
        finally:
            self._subscribers.discard(writer)
            self._writers.discard(writer)
            writer.close()

    async def _answer_lines(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                line = await reader.readline()
            except ValueError:
                writer.write(_line({"ok": False, "error": f"line longer than {LINE_LIMIT} bytes"}))
                return
            if not line:
                return
            answer = self._answer(line, writer)
            writer.write(_line(answer))
            await writer.drain()

    def _answer(self, line: bytes, writer: asyncio.StreamWriter) -> Answer:
        try:
            request = json.loads(line)
            if not isinstance(request, dict) or not isinstance(request.get("do"), str):
                return {"ok": False, "error": 'a request is {"do": NAME, ...}'}
            if request["do"] == "subscribe":
                self._subscribers.add(writer)
                return {"ok": True, "do": "subscribe"}
            return {"ok": True, "do": request["do"], **self._do(request)}
        except (ValueError, TypeError, UnicodeDecodeError) as error:
            return {"ok": False, "error": str(error)}


def _line(answer: Answer) -> bytes:
    return json.dumps(answer, separators=(",", ":")).encode() + b"\n"
