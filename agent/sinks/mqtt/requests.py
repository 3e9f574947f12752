"""What the cloud may ask for: a JSON object on <prefix>/request, answered on <prefix>/answer with its `id` and `do`.

    {"id": "7", "do": "resend", "class": "event", "epoch": 1, "from": 5, "to": 9}          those records once more
    {"id": "8", "do": "raw", "asset": "pump-1", "from": "2026-11-24T10:00:00Z", "to": ...} raw history of that time
    {"id": "9", "do": "ack", "condition": "pump-1/motor/temperature.high", "comment": ...} the alarm is seen
    {"id": "10", "do": "status"}                                                           what there is, what waits

    {"id": "7", "do": "resend", "ok": true, "text": "5 records of class event were sent again", "sent": 5}

With MQTT 5 the answer goes to the response topic, with the correlation data, where it is below <prefix>/answer or
outside of what begins as our topics do: nobody makes us speak to another gateway. The same id again (the broker may
deliver twice) gets the same answer and does nothing. Each request but `status` goes through the gate, which writes it
down; one after the other, a few a minute. No request writes a register.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, get_args

import anyio

from agent.core.nouns import Request
from agent.runtime import clock, meters
from agent.runtime.journal import Record, StoreError
from agent.sinks.mqtt import Ask, Config, Wish, asked, bucket, payload, raw
from agent.sinks.mqtt.around import Around
from agent.sinks.mqtt.asked import RequestError, Tree
from agent.sinks.mqtt.form import Form, Heard, prefix_of
from agent.sinks.mqtt.link import Link
from agent.sinks.mqtt.sending import say
from agent.store.read import Found, Reader
from agent.store.record import CLASSES, RAW

if TYPE_CHECKING:
    from agent.runtime.taps import Taps

log = logging.getLogger(__name__)

MOST_WAITING = 16
MOST_RECORDS = 1000  # sent again for one request; the answer says where to go on
MOST_BLOCKS = 500
AT_ONCE = 32
A_MINUTE, AT_FIRST = 30.0, 20.0  # requests
REMEMBERED = 64  # answers


async def run(config: Config, taps: Taps, ask: Ask, said_as: Form, link: Link) -> None:
    """Answer as long as the connection lives."""
    if not config.requests or said_as.request is None:
        return
    desk = Desk(config, taps, ask, said_as, link)
    send, receive = anyio.create_memory_object_stream[Heard](MOST_WAITING)

    def take(heard: Heard) -> None:
        if send.statistics().open_receive_streams == 0:
            return  # the connection ends
        try:
            send.send_nowait(heard)
        except anyio.WouldBlock:
            meters.current().add(f"{config.id}/requests_dropped")
            log.warning("%s: more than %d requests wait, one was dropped", config.id, MOST_WAITING)

    with send, receive:
        await link.hear(said_as.request, take)
        async for heard in receive:
            await desk.serve(said_as.understood(heard))


class Desk:
    """Takes requests one by one."""

    def __init__(self, config: Config, taps: Taps, ask: Ask, said_as: Form, link: Link) -> None:
        """Nothing was asked yet."""
        self._config, self._taps, self._ask, self._form, self._link = config, taps, ask, said_as, link
        self._prefix = prefix_of(config, taps.gateway)
        self._around = Around(config, taps, said_as, link)
        self._answered: OrderedDict[str, bytes] = OrderedDict()
        self._bucket = bucket.full(A_MINUTE / 60, AT_FIRST, clock.now_ns())
        self._does = {"resend": self._resend, "raw": self._raw, "status": self._status, "ack": self._ack}

    async def serve(self, heard: Heard) -> None:
        """Do what is asked, and answer."""
        meters.current().add(f"{self._config.id}/requests")
        tree: dict[str, Any] = {}
        try:
            tree |= asked.tree_of(heard.payload)
            number = asked.word(tree, "id")
            answer = self._answered.get(number) or await self._done(tree)
            self._remember(number, answer)
        except (RequestError, StoreError) as error:
            answer = asked.answer(tree, False, str(error))
            log.info("%s: a request was refused: %s", self._config.id, error)
        out = self._form.answer(answer)
        await self._link.publish(self._reply_to(heard, out.topic), out.payload, correlation=heard.correlation)

    async def _done(self, tree: Tree) -> bytes:
        do = asked.word(tree, "do")
        self._bucket, wait_s = bucket.taken(self._bucket, 1, clock.now_ns())
        if wait_s:
            self._bucket, _ = bucket.taken(self._bucket, -1, clock.now_ns())
            raise RequestError(
                f"too many requests, expected {A_MINUTE:g} a minute at most: ask again in {wait_s:.0f} s"
            )
        if do == "write":
            await self._ask(
                self._request(tree, asked.shown(tree.get("target")), {})
            )  # which refuses it, and writes down who tried
            raise RequestError("no message from the cloud writes a register: a person at the gateway may")
        if do not in self._config.requests:
            off = f"{do} is not switched on here" if do in get_args(Wish) else f"{do!r} is not known"
            raise RequestError(f"{off}, expected one of {', '.join(self._config.requests)}")
        return await self._does[do](tree)

    async def _resend(self, tree: Tree) -> bytes:
        asked.expect(tree, "class", "epoch", "from", "to")
        class_, epoch, first, last = (
            asked.word(tree, "class"),
            asked.whole(tree, "epoch"),
            asked.whole(tree, "from"),
            asked.whole(tree, "to"),
        )
        if class_ not in CLASSES or (class_ == RAW and self._form.raw is None):
            raise RequestError(f"class: {class_!r}, expected one of {', '.join(CLASSES)}")
        if first > last:
            raise RequestError(f"from {first} is behind to {last}, expected the first number of a range and its last")
        await self._allowed(tree, f"{class_}/{epoch}/{first}-{last}")
        end, sent = min(last, first + MOST_RECORDS - 1), 0
        missing, at = list[tuple[int, int]](), first
        while at <= end:
            found = await self._taps.records.read(partial(_between, class_, epoch, at, end))
            for record in found.records:
                missing += [(at, record.seq - 1)] if record.seq > at else []
                await self._again(record)
                at, sent = record.seq + 1, sent + 1
            if not found.records:
                missing.append((at, end))
                break
        there = f"{sent} records of class {class_} were sent again"
        more = {"next": end + 1} if end < last else {}
        holes = {"missing": missing} if missing else {}
        return asked.answer(tree, True, _told(there, holes, more), sent=sent, **holes, **more)

    async def _again(self, record: Record) -> None:
        if record.class_ == RAW:
            ask = partial(raw.of, self._taps, record.asset, record)
            await self._around.publish(record.asset, await self._taps.records.read(ask))
            return
        said = self._form.record(record)
        await say(self._link, (*said.before, *said.outs))
        await self._around.pace(sum(len(out.payload) for out in said.outs))

    async def _raw(self, tree: Tree) -> bytes:
        asked.expect(tree, "asset", "from", "to")
        asset, start_ns, end_ns = asked.word(tree, "asset"), asked.utc_ns(tree, "from"), asked.utc_ns(tree, "to")
        known = [part.asset for part in self._taps.hub.catalogue.parts]
        if asset not in known:
            raise RequestError(f"asset: {asset!r} is not here, expected one of {', '.join(known)}")
        if start_ns >= end_ns:
            raise RequestError("from is not before to, expected the beginning of a time and its end")
        if self._form.raw is None:
            raise RequestError(f"format {self._config.format} has no place for raw history")
        await self._allowed(tree, f"{asset}/{payload.iso(start_ns)}/{payload.iso(end_ns)}")
        await self._around.stored(asset, min(end_ns - clock.wall_ns(), 0) + clock.now_ns())
        count = 0
        async for block in raw.window(self._taps, asset, start_ns, end_ns):
            if count == MOST_BLOCKS:
                text = f"the first {MOST_BLOCKS} blocks of raw history were sent, expected a shorter time"
                return asked.answer(tree, True, text, blocks=count, complete=False)
            await self._around.publish(asset, block.content)
            count += 1
        text = f"{count} blocks of raw history were sent" if count else "there is no raw history of that time"
        return asked.answer(tree, bool(count), text, blocks=count)

    async def _ack(self, tree: Tree) -> bytes:
        asked.expect(tree, "condition", "comment")
        answer = await self._ask(self._request(tree, asked.word(tree, "condition"), asked.comment(tree)))
        return asked.answer(tree, answer.ok, answer.text)

    async def _status(self, tree: Tree) -> bytes:
        """What there is of each class as [epoch, first, last], and how much of it waits."""
        asked.expect(tree)
        spans = await self._taps.records.read(_spans)
        counters = meters.current()
        waits = counters.read(f"{self._config.id}/pending") or 0
        assets = [part.asset for part in self._taps.hub.catalogue.parts]
        return asked.answer(tree, True, f"{waits:g} records wait", pending=waits, records=spans, assets=assets)

    async def _allowed(self, tree: Tree, target: str) -> None:
        """Written down, and let through."""
        answer = await self._ask(self._request(tree, target, {}))
        if not answer.ok:
            raise RequestError(answer.text)

    def _request(self, tree: Tree, target: str, arguments: Mapping[str, str]) -> Request:
        return Request(f"cloud-{asked.word(tree, 'id')}", tree["do"], target, f"cloud:{self._taps.gateway}", arguments)

    def _remember(self, number: str, answer: bytes) -> None:
        self._answered[number] = answer
        if len(self._answered) > REMEMBERED:
            self._answered.popitem(last=False)

    def _reply_to(self, heard: Heard, ours: str) -> str:
        """Where the answer goes."""
        wished = heard.reply_to
        outside = wished.partition("/")[0] != self._prefix.partition("/")[0]
        fit = wished and not (set(wished) & set("+#\0")) and wished[0] != "$"
        return wished if fit and (outside or wished.startswith(f"{ours}/")) else ours


def _between(class_: str, epoch: int, first: int, last: int, reader: Reader) -> Found:
    return reader.of_sequence(class_, epoch, first, last, 1 if class_ == RAW else AT_ONCE)


def _spans(reader: Reader) -> dict[str, list[tuple[int, int, int]]]:
    return {class_: list(reader.spans(class_)) for class_ in reversed(CLASSES)}


def _told(there: str, holes: Tree, more: Tree) -> str:
    gone = "; some are not in the journal any more" if holes else ""
    return there + gone + (f"; ask again from {more['next']}" if more else "")
