"""A Sparkplug B 3.0 edge node: live values as they change, births and deaths that say what they are worth.

    spBv1.0/<group>/NBIRTH NDATA NDEATH/<node>             the gateway itself
    spBv1.0/<group>/DBIRTH DDATA DDEATH/<node>/<asset>     each machine

proto.py      the wire format                         connecting.py one connection after another, never two
metrics.py    what a catalogue has to tell            session.py    one of them, from CONNECT to death
changes.py    what of a snapshot is news              node.py       what was told on it, and how the next is numbered
payload.py    the messages                            history.py    what nobody could be told at its time
commands.py   what hosts may command                  host.py       the primary host
settings.py   what is configured                      bdseq.py      the number that outlasts a restart

All of it is QoS 0, as the specification wants it: what must not be lost goes in our own format too, by a second sink.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent.runtime.taps import Taps
    from agent.sinks.mqtt import Ask, Config


async def run(config: Config, taps: Taps, ask: Ask) -> None:
    """See `agent.sinks.mqtt.run`; its meters are in `agent.sinks.mqtt.meters`."""
    from agent.sinks.mqtt.sparkplug import connecting  # the configuration needs none of it

    await connecting.run(config, taps, ask)
