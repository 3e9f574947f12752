"""The 300 numbered statements of Sparkplug 3.0.0 (`tck-id-...`), and what becomes of each here.

CHECKS: by id, a function that looks at every packet an edge node sent (test_sparkplug_wire.py records runs for it).
ELSEWHERE: the test that shows it. NOT_OURS: why it says nothing about an edge node such as ours. OPEN: not met.
"""

from dataclasses import dataclass
from itertools import pairwise

CHECKS = {}
DATA, BIRTHS = ("NDATA", "DDATA"), ("NBIRTH", "DBIRTH")
BASIC = range(1, 16)  # data types of properties
CARRIED = {1: "int", 2: "int", 3: "int", 4: "long", 5: "int", 6: "int", 8: "long", 9: "float", 10: "double",
           11: "boolean", 12: "string", 13: "long", 31: "bytes"}  # fmt: skip


def states(*ids):
    def add(check):
        for one in " ".join(ids).split():
            assert one not in CHECKS, one
            CHECKS[one] = check
        return check

    return add


@dataclass(frozen=True)
class Packet:
    """One PUBLISH of the edge node."""

    topic: str
    qos: int
    retain: bool
    payload: dict

    @property
    def levels(self):
        return self.topic.split("/")

    @property
    def verb(self):
        return self.levels[2]

    @property
    def metrics(self):
        return self.payload["raw"]

    def named(self, name):
        (found,) = [m for m in self.metrics if m["name"] == name]
        return found


@dataclass(frozen=True)
class Connection:
    """From CONNECT to the end: what was sent, in its order."""

    connect: dict
    subscribed: dict
    sent: tuple
    order: tuple
    disconnect: int | None

    def of(self, *verbs):
        return [p for p in self.sent if p.verb in verbs]


def connections(lines):
    """Of a tap's lines; those that were begun after the first CONNECT."""
    found = {}
    for line in lines:
        if "connection" in line:
            found.setdefault(line["connection"], []).append(line)
    return [_connection(packets) for packets in found.values()]


def _connection(packets):
    sent = tuple(Packet(p["topic"], p["qos"], p["retain"], p["payload"]) for p in packets if p["cmd"] == "publish")
    subscribed = {topic: qos for p in packets if p["cmd"] == "subscribe" for topic, qos in p["to"]}
    leaving = [p["reason"] for p in packets if p["cmd"] == "disconnect"]
    order = tuple(p["cmd"] for p in packets if p["cmd"] in ("connect", "subscribe", "publish", "disconnect"))
    (connect,) = [p for p in packets if p["cmd"] == "connect"]
    return Connection(connect, subscribed, sent, order, leaving[0] if leaving else None)


def lives(connection):
    """Packets from each NBIRTH to the next."""
    found = []
    for packet in connection.sent:
        if packet.verb == "NBIRTH":
            found.append([])
        if packet.verb != "NDEATH":
            found[-1].append(packet)
    return found


def _topic(packet, verb, device):
    assert packet.levels == ["spBv1.0", "plant", verb, "gw1", *([device] if device else [])], packet.topic


# --- names and topics


@states("""topic-structure topic-structure-namespace-a topic-structure-namespace-valid-group-id
    topic-structure-namespace-valid-edge-node-id topic-structure-namespace-valid-device-id
    topic-structure-namespace-device-id-associated-message-types
    topic-structure-namespace-device-id-non-associated-message-types intro-group-id-string intro-group-id-chars
    intro-edge-node-id-string intro-edge-node-id-chars intro-device-id-string intro-device-id-chars
    topics-nbirth-topic topics-ndata-topic topics-ndeath-topic topics-dbirth-topic topics-ddata-topic
    topics-ddeath-topic message-flow-edge-node-birth-publish-nbirth-topic
    message-flow-device-birth-publish-dbirth-topic message-flow-device-birth-publish-dbirth-match-edge-node-topic
    message-flow-edge-node-birth-publish-will-message-topic""")
def topics(run):
    for connection in run:
        assert connection.connect["will"]["topic"] == "spBv1.0/plant/NDEATH/gw1"
        for packet in connection.sent:
            device = packet.levels[4] if packet.verb[0] == "D" else ""
            _topic(packet, packet.verb, device)
            assert packet.verb in ("NBIRTH", "NDATA", "NDEATH") or device in ("tank", "pump")
            assert not set("".join(packet.levels)) & set("+#\0")


@states("""topics-nbirth-mqtt topics-ndata-mqtt topics-dbirth-mqtt topics-ddata-mqtt topics-ddeath-mqtt
    message-flow-edge-node-birth-publish-nbirth-qos message-flow-edge-node-birth-publish-nbirth-retained
    message-flow-device-birth-publish-dbirth-qos message-flow-device-birth-publish-dbirth-retained
    payloads-nbirth-qos payloads-nbirth-retain payloads-dbirth-qos payloads-dbirth-retain payloads-ndata-qos
    payloads-ndata-retain payloads-ddata-qos payloads-ddata-retain""")
def qos_and_retain(run):
    for packet in (p for c in run for p in c.of("NBIRTH", "DBIRTH", "NDATA", "DDATA", "DDEATH")):
        assert (packet.qos, packet.retain) == (0, False)


# --- CONNECT, the will, the session


@states("""message-flow-edge-node-birth-publish-will-message message-flow-edge-node-birth-publish-will-message-qos
    message-flow-edge-node-birth-publish-will-message-will-retained payloads-ndeath-will-message
    payloads-ndeath-will-message-qos payloads-ndeath-will-message-retain""")
def will(run):
    for connection in run:
        assert (connection.connect["will"]["qos"], connection.connect["will"]["retain"]) == (1, False)


@states("""message-flow-edge-node-birth-publish-will-message-payload payloads-ndeath-seq topics-ndeath-seq
    topics-ndeath-payload payloads-ndeath-bdseq""")
def deaths_say_bdseq_and_nothing_else(run):
    for connection in run:
        deaths = [connection.connect["will"]["payload"], *(p.payload for p in connection.of("NDEATH"))]
        for death in deaths:
            assert not death["has"]["seq"]
            (metric,) = death["raw"]
            assert (metric["name"], metric["datatype"]) == ("bdSeq", 4)
            assert metric["value"] == _will_bdseq(connection)


@states("""message-flow-edge-node-birth-publish-will-message-payload-bdSeq topics-nbirth-bdseq-increment""")
def bdseq_grows_by_one_with_each_connect(run):
    numbers = [_will_bdseq(c) for c in run]
    assert numbers[0] == 0
    assert all(later == (earlier + 1) % 256 for earlier, later in pairwise(numbers))


@states("""topics-nbirth-bdseq-included topics-nbirth-bdseq-matching payloads-nbirth-bdseq
    payloads-nbirth-bdseq-repeat message-flow-edge-node-birth-publish-nbirth-payload-bdSeq
    operational-behavior-data-commands-rebirth-action-3""")
def bdseq_of_births_is_that_of_the_will(run):
    assert any(len(lives(c)) > 1 for c in run)  # a rebirth among them
    for connection in run:
        for birth in connection.of("NBIRTH"):
            metric = birth.named("bdSeq")
            assert (metric["datatype"], metric["value"]) == (4, _will_bdseq(connection))


def _will_bdseq(connection):
    return connection.connect["will"]["payload"]["raw"][0]["value"]


@states("principles-persistence-clean-session-311 principles-persistence-clean-session-50")
def clean_sessions(run):
    for connection in run:
        assert connection.connect["clean"]
        assert connection.connect["expiry"] == 0


@states("message-flow-edge-node-ncmd-subscribe message-flow-device-dcmd-subscribe")
def subscriptions(run):
    for connection in run:
        assert connection.subscribed["spBv1.0/plant/NCMD/gw1"] == 1
        assert connection.subscribed["spBv1.0/plant/DCMD/gw1/+"] == 1


@states("""principles-birth-certificates-order message-flow-edge-node-birth-publish-connect
    message-flow-device-birth-publish-nbirth-wait""")
def births_come_first(run):
    for connection in run:
        if connection.sent:
            assert connection.sent[0].verb == "NBIRTH"
            commands = [n for n, cmd in enumerate(connection.order) if cmd != "publish"]
            assert connection.order.index("publish") > commands[connection.order.count("subscribe")]


@states("""operational-behavior-edge-node-intentional-disconnect-ndeath payloads-ndeath-will-message-publisher
    operational-behavior-edge-node-intentional-disconnect-packet
    payloads-ndeath-will-message-publisher-disconnect-mqtt311
    payloads-ndeath-will-message-publisher-disconnect-mqtt50""")
def death_before_leaving(run):
    left = [c for c in run if c.disconnect is not None]
    assert left
    for connection in left:
        assert connection.sent[-1].verb == "NDEATH"
        assert connection.order[-1] == "disconnect"
        assert connection.disconnect == (4 if connection.connect["version"] == 5 else 0)


# --- sequence and time


@states("""topics-nbirth-seq-num payloads-sequence-num-zero-nbirth payloads-nbirth-seq
    message-flow-edge-node-birth-publish-nbirth-payload-seq payloads-sequence-num-always-included
    payloads-sequence-num-incrementing topics-ndata-seq-num topics-dbirth-seq topics-ddata-seq-num
    topics-ddeath-seq-num message-flow-device-birth-publish-dbirth-payload-seq payloads-dbirth-seq
    payloads-dbirth-seq-inc payloads-ndata-seq payloads-ndata-seq-inc payloads-ddata-seq payloads-ddata-seq-inc
    payloads-ddeath-seq payloads-ddeath-seq-inc payloads-ddeath-seq-number""")
def sequence(run):
    longest = 0
    for life in (life for c in run for life in lives(c)):
        assert all(p.payload["has"]["seq"] for p in life)
        assert [p.payload["seq"] for p in life] == [n % 256 for n in range(len(life))]
        longest = max(longest, len(life))
    assert longest > 257  # it went round


@states("""topics-nbirth-timestamp topics-ndata-timestamp topics-dbirth-timestamp topics-ddata-timestamp
    topics-ddeath-timestamp payloads-nbirth-timestamp payloads-dbirth-timestamp payloads-ndata-timestamp
    payloads-ddata-timestamp payloads-ddeath-timestamp payloads-timestamp-in-UTC""")
def sent_at(run):
    stamps = [p.payload["timestamp"] for c in run for p in c.sent if p.payload["has"]["timestamp"]]
    assert len(stamps) == sum(len(c.sent) for c in run)
    assert all(abs(stamp - run.now_ms) < 120_000 for stamp in stamps)
    assert all(later >= earlier for c in run for earlier, later in pairwise(p.payload["timestamp"] for p in c.sent))


@states("payloads-name-birth-data-requirement payloads-metric-timestamp-in-UTC")
def each_metric_says_when(run):
    for metric in (m for c in run for p in c.of(*BIRTHS, *DATA) for m in p.metrics):
        assert abs(metric["timestamp"] - run.now_ms) < 120_000


@states("operational-behavior-data-publish-nbirth-order operational-behavior-data-publish-dbirth-order")
def chronological(run):
    for packet in (p for c in run for p in c.of(*DATA)):
        stamps = [m["timestamp"] for m in packet.metrics if not m["historical"]]
        assert stamps == sorted(stamps)


# --- metrics


@states("""topics-nbirth-metrics topics-dbirth-metrics payloads-metric-datatype-req payloads-name-requirement
    payloads-metric-datatype-value-type payloads-metric-datatype-value
    operational-behavior-data-publish-nbirth-values operational-behavior-data-publish-dbirth-values
    message-flow-edge-node-birth-publish-nbirth-payload message-flow-device-birth-publish-dbirth-payload""")
def births_are_complete(run):
    for metric in (m for c in run for p in c.of(*BIRTHS) for m in p.metrics):
        assert metric["name"]
        assert metric["datatype"] in CARRIED
        if metric["null"]:
            assert metric["carried"] is None
        else:
            assert metric["carried"] == f"{CARRIED[metric['datatype']]}Value"


@states("""topics-nbirth-metric-reqs topics-dbirth-metric-reqs operational-behavior-data-publish-nbirth
    operational-behavior-data-publish-dbirth payloads-alias-data-cmd-requirement topics-ndata-payload
    topics-ddata-payload""")
def only_what_was_born_is_told_and_by_alias(run):
    told = 0
    for life in (life for c in run for life in lives(c)):
        born = {}
        for packet in life:
            device = packet.levels[4:]
            if packet.verb in BIRTHS:
                born[tuple(device)] = {m["alias"]: m["datatype"] for m in packet.metrics}
            for metric in packet.metrics if packet.verb in DATA else ():
                kind = born[tuple(device)][metric["alias"]]
                assert metric["name"] is None
                assert metric["null"] or metric["carried"] == f"{CARRIED[kind]}Value"
                told += 1
            if packet.verb == "DDEATH":
                del born[tuple(device)]
    assert told > 100


@states("payloads-alias-uniqueness payloads-alias-birth-requirement")
def aliases(run):
    for life in (life for c in run for life in lives(c)):
        by_alias = {}
        for packet in (p for p in life if p.verb in BIRTHS):
            for metric in packet.metrics:
                if metric["name"] not in ("bdSeq", "Node Control/Rebirth"):
                    name = (packet.topic, metric["name"])
                    assert metric["alias"] is not None
                    assert by_alias.setdefault(metric["alias"], name) == name


@states("payloads-metric-datatype-not-req")
def data_do_not_repeat_types(run):
    assert all(m["datatype"] is None for c in run for p in c.of(*DATA) for m in p.metrics)


@states("""topics-nbirth-rebirth-metric payloads-nbirth-rebirth-req operational-behavior-data-commands-rebirth-name
    operational-behavior-data-commands-rebirth-name-aliases operational-behavior-data-commands-rebirth-datatype
    operational-behavior-data-commands-rebirth-value""")
def rebirth_can_be_asked_for(run):
    for birth in (p for c in run for p in c.of("NBIRTH")):
        metric = birth.named("Node Control/Rebirth")
        assert (metric["datatype"], metric["value"], metric["alias"]) == (11, False, None)


@states("""payloads-dbirth-order payloads-ndata-order payloads-ddata-order""")
def data_after_all_births(run):
    """Of the devices that there are: one that comes back later is born later."""
    for life in (life for c in run for life in lives(c)):
        verbs = [p.verb for p in life]
        first = next((n for n, verb in enumerate(verbs) if verb in (*DATA, "DDEATH")), len(verbs))
        assert verbs[0] == "NBIRTH"
        assert set(verbs[1:first]) <= {"DBIRTH"}
        born = {p.topic for p in life[:first] if p.verb == "DBIRTH"}
        for n, packet in enumerate(life[first:], first):
            before = [p.topic for p in life[:n]]
            died = packet.topic.replace("DBIRTH", "DDEATH") in before
            assert packet.verb != "DBIRTH" or died or packet.topic not in born, packet.topic


@states("""operational-behavior-data-publish-nbirth-change operational-behavior-data-publish-dbirth-change
    principles-rbe-recommended""")
def by_exception(run):
    """Live values are told only when they differ from what was told."""
    for life in (life for c in run for life in lives(c)):
        known = {}
        for packet in life:
            for metric in packet.metrics:
                if metric["historical"] or packet.verb not in (*BIRTHS, *DATA):
                    continue
                quality = {key: value for key, _, value in metric["properties"] if key == "Quality"}
                says = (metric["value"], metric["null"], tuple(quality.items()))
                if packet.verb in DATA:
                    assert known[metric["alias"]][:2] != says[:2] or quality, packet.topic
                known[metric["alias"]] = says


@states("""payloads-propertyset-keys-array-size payloads-propertyset-values-array-size
    payloads-metric-propertyvalue-type-type payloads-metric-propertyvalue-type-value
    payloads-metric-propertyvalue-type-req""")
def properties(run):
    for metric in (m for c in run for p in c.of(*BIRTHS, *DATA) for m in p.metrics):
        assert metric["keys"] == metric["values"]
        assert all(kind in BASIC and carried == f"{CARRIED[kind]}Value" for _, kind, carried in metric["properties"])


@states("payloads-propertyset-quality-value-type payloads-propertyset-quality-value-value")
def quality(run):
    seen = set()
    for packet in (p for c in run for p in c.of(*BIRTHS, *DATA)):
        for metric in packet.payload["metrics"]:
            if "Quality" in metric.get("properties", {}):
                said = metric["properties"]["Quality"]
                assert (said["type"], said["value"]) in (("Int32", 0), ("Int32", 192), ("Int32", 500))
                seen.add(said["value"])
    assert seen == {0, 192, 500}


@states("case-sensitivity-metric-names case-sensitivity-sparkplug-ids")
def no_two_names_but_for_capitals(run):
    for packet in (p for c in run for p in c.of(*BIRTHS)):
        names = [m["name"].casefold() for m in packet.metrics]
        assert len(names) == len(set(names))
    assert len({p.topic.casefold() for c in run for p in c.sent}) == len({p.topic for c in run for p in c.sent})


ELSEWHERE = {
    "test_who_asks_for_a_rebirth_gets_one_and_no_data_before_it": """
        operational-behavior-data-commands-rebirth-action-1 operational-behavior-data-commands-rebirth-action-2""",
    "test_a_machine_that_is_not_heard_dies_and_is_born_again": "operational-behavior-device-ddeath",
    "test_nothing_is_published_until_the_primary_host_is_there_nor_once_it_has_gone": """
        message-flow-edge-node-birth-publish-phid-wait message-flow-edge-node-birth-publish-phid-wait-id
        message-flow-edge-node-birth-publish-phid-wait-online message-flow-edge-node-birth-publish-phid-wait-timestamp
        message-flow-edge-node-birth-publish-phid-offline operational-behavior-edge-node-termination-host-offline
        operational-behavior-edge-node-termination-host-offline-reconnect
        operational-behavior-edge-node-termination-host-offline-timestamp
        operational-behavior-edge-node-birth-sequence-wait""",
    "test_of_two_brokers_the_one_with_the_host_and_never_both": """
        operational-behavior-primary-application-state-with-multiple-servers-single-server
        operational-behavior-primary-application-state-with-multiple-servers-state-subs
        operational-behavior-primary-application-state-with-multiple-servers-walk""",
}

NOT_OURS = {
    "of the host, which is not us": """
        intro-sparkplug-host-state components-ph-state topics-ncmd-topic topics-ncmd-mqtt topics-ncmd-timestamp
        topics-ncmd-payload topics-dcmd-topic topics-dcmd-mqtt topics-dcmd-timestamp topics-dcmd-payload
        host-topic-phid-birth-message host-topic-phid-birth-qos host-topic-phid-birth-retain
        host-topic-phid-birth-topic host-topic-phid-birth-sub-required host-topic-phid-birth-required
        host-topic-phid-birth-payload host-topic-phid-birth-payload-timestamp host-topic-phid-death-qos
        host-topic-phid-death-retain host-topic-phid-death-topic host-topic-phid-death-required
        host-topic-phid-death-payload host-topic-phid-death-payload-timestamp-connect
        host-topic-phid-death-payload-timestamp-disconnect-clean
        host-topic-phid-death-payload-timestamp-disconnect-with-no-disconnect-packet
        message-flow-phid-sparkplug-clean-session-311 message-flow-phid-sparkplug-clean-session-50
        message-flow-phid-sparkplug-subscription message-flow-phid-sparkplug-state-publish
        message-flow-phid-sparkplug-state-publish-payload message-flow-phid-sparkplug-state-publish-payload-timestamp
        message-flow-hid-sparkplug-state-message-delivered
        operational-behavior-edge-node-termination-host-action-ndeath-node-offline
        operational-behavior-edge-node-termination-host-action-ndeath-node-tags-stale
        operational-behavior-edge-node-termination-host-action-ndeath-devices-offline
        operational-behavior-edge-node-termination-host-action-ndeath-devices-tags-stale
        operational-behavior-edge-node-termination-host-action-ddeath-devices-offline
        operational-behavior-edge-node-termination-host-action-ddeath-devices-tags-stale
        operational-behavior-host-reordering-param operational-behavior-host-reordering-start
        operational-behavior-host-reordering-rebirth operational-behavior-host-reordering-success
        operational-behavior-primary-application-state-with-multiple-servers-state
        operational-behavior-host-application-host-id operational-behavior-host-application-connect-will
        operational-behavior-host-application-connect-will-topic
        operational-behavior-host-application-connect-will-payload
        operational-behavior-host-application-connect-will-qos
        operational-behavior-host-application-connect-will-retained
        operational-behavior-host-application-connect-birth
        operational-behavior-host-application-connect-birth-topic
        operational-behavior-host-application-connect-birth-payload
        operational-behavior-host-application-connect-birth-qos
        operational-behavior-host-application-connect-birth-retained
        operational-behavior-host-application-multi-server-timestamp operational-behavior-host-application-termination
        operational-behavior-host-application-death-topic operational-behavior-host-application-death-payload
        operational-behavior-host-application-death-qos operational-behavior-host-application-death-retained
        operational-behavior-host-application-disconnect-intentional
        operational-behavior-data-commands-ncmd-rebirth-verb operational-behavior-data-commands-ncmd-rebirth-name
        operational-behavior-data-commands-ncmd-rebirth-value operational-behavior-data-commands-ncmd-verb
        operational-behavior-data-commands-ncmd-metric-name operational-behavior-data-commands-ncmd-metric-value
        operational-behavior-data-commands-dcmd-verb operational-behavior-data-commands-dcmd-metric-name
        operational-behavior-data-commands-dcmd-metric-value payloads-name-cmd-requirement payloads-ncmd-timestamp
        payloads-ncmd-seq payloads-ncmd-qos payloads-ncmd-retain payloads-dcmd-timestamp payloads-dcmd-seq
        payloads-dcmd-qos payloads-dcmd-retain payloads-state-will-message payloads-state-will-message-qos
        payloads-state-will-message-retain payloads-state-will-message-payload payloads-state-subscribe
        payloads-state-birth payloads-state-birth-payload conformance-primary-host""",
    "of the broker": """
        conformance-mqtt-qos0 conformance-mqtt-qos1 conformance-mqtt-will-messages conformance-mqtt-retained
        conformance-mqtt-aware-basic conformance-mqtt-aware-store conformance-mqtt-aware-nbirth-mqtt-topic
        conformance-mqtt-aware-nbirth-mqtt-retain conformance-mqtt-aware-dbirth-mqtt-topic
        conformance-mqtt-aware-dbirth-mqtt-retain conformance-mqtt-aware-ndeath-timestamp""",
    "of whoever gives names: that no other edge node has ours, nor another group": """
        intro-edge-node-id-uniqueness topic-structure-namespace-unique-edge-node-descriptor
        topic-structure-namespace-duplicate-device-id-across-edge-node payloads-nbirth-edge-node-descriptor""",
    "a configuration with two assets of one id is refused (test_config)": """
        topic-structure-namespace-unique-device-id""",
    "we send no templates": """
        topics-nbirth-templates payloads-template-definition-nbirth-only
        payloads-template-definition-is-definition payloads-template-definition-ref
        payloads-template-definition-members payloads-template-definition-nbirth
        payloads-template-definition-parameters payloads-template-definition-parameters-default
        payloads-template-instance-is-definition payloads-template-instance-ref payloads-template-instance-members
        payloads-template-instance-members-birth payloads-template-instance-members-data
        payloads-template-instance-parameters payloads-template-version payloads-template-ref-definition
        payloads-template-ref-instance payloads-template-is-definition payloads-template-is-definition-definition
        payloads-template-is-definition-instance payloads-template-parameter-name-required
        payloads-template-parameter-name-type payloads-template-parameter-value-type
        payloads-template-parameter-type-value payloads-template-parameter-type-req
        payloads-template-parameter-value""",
    "we send no data sets": """
        payloads-dataset-column-size payloads-dataset-column-num-headers payloads-dataset-types-def
        payloads-dataset-types-num payloads-dataset-types-type payloads-dataset-types-value
        payloads-dataset-parameter-type-req payloads-template-dataset-value""",
}

OPEN = {}


def accounted():
    """(id, what becomes of it) of every statement, in alphabetical order."""
    rows = [(one, f"checked in every packet: {check.__name__}") for one, check in CHECKS.items()]
    for table, words in ((ELSEWHERE, ""), (NOT_OURS, "not ours: "), (OPEN, "OPEN: ")):
        rows += [(one, f"{words}{why}") for why, ids in table.items() for one in ids.split()]
    return sorted(rows)
