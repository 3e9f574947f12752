"""A PLC's connection to the plant: newest I/O image, requests and their answers, reconnecting by itself."""

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from hil.control_socket import LINE_LIMIT
from hil.process import wait_before_retry
from hil.registers import Value

ANSWER_TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True)
class Image:
    """One scan: tag values, plant time s, wall time of the sensors ns, PLCs that are cut off."""

    values: Mapping[str, Value]
    plant_time_s: float
    wall_ns: int
    cut: frozenset[str]


class PlantLink:
    """`run()` keeps `image` up to date and calls `on_image`; `ask` sends a request on the same connection."""

    def __init__(self, path: Path, on_image: Callable[[Image], None] | None = None) -> None:
        self.image: Image | None = None
        self.first = asyncio.Event()
        self._path = path
        self._on_image = on_image
        self._writer: asyncio.StreamWriter | None = None
        self._answers: list[asyncio.Future[dict[str, object]]] = []
        self._seen_s = 0.0

    @property
    def age_s(self) -> float:
        """Seconds since the last image."""
        return time.monotonic() - self._seen_s

    async def run(self) -> None:
        """Connects and reads until cancelled."""
        attempt = 0
        while True:
            try:
                reader, writer = await asyncio.open_unix_connection(self._path, limit=4 * LINE_LIMIT)
                attempt = 0
                await self._read(reader, writer)
            except (OSError, ValueError):
                attempt += 1
            await wait_before_retry(attempt, longest_s=0.5)

    async def ask(self, request: Mapping[str, object]) -> dict[str, object]:
        """The plant's answer; ConnectionError without a plant, TimeoutError without an answer."""
        if self._writer is None:
            raise ConnectionResetError("no plant")
        answer: asyncio.Future[dict[str, object]] = asyncio.get_running_loop().create_future()
        self._answers.append(answer)
        self._writer.write(json.dumps(request).encode() + b"\n")
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            return await answer

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._answers.append(asyncio.get_running_loop().create_future())  # that of subscribe
        writer.write(b'{"do":"subscribe"}\n')
        self._writer = writer
        try:
            while line := await reader.readline():
                self._take(json.loads(line))
        finally:
            self._writer = None
            for answer in self._answers:
                answer.cancel()
            self._answers.clear()
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    def _take(self, message: dict[str, object]) -> None:
        values, cut = message.get("values"), message.get("cut")
        if not isinstance(values, dict) or not isinstance(cut, list):
            answer = self._answers.pop(0)
            if not answer.done():
                answer.set_result(message)
            return
        time_s, wall_ns = message["plant_time_s"], message["wall_ns"]
        if not isinstance(time_s, int | float) or not isinstance(wall_ns, int):
            raise ValueError("an image needs plant_time_s and wall_ns")
        self._seen_s = time.monotonic()
        self.image = Image(values, time_s, wall_ns, frozenset(cut))
        self.first.set()
        if self._on_image is not None:
            self._on_image(self.image)
