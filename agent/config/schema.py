"""The configuration file: every key, what it means, and what stands there where it is left out.

Each part is small enough to be read by an engineer beside the machine; drivers and sinks bring a `Config` of their own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from agent.config.fields import (
    IMMUTABLE,
    TYPES,
    Id,
    ModeWord,
    ModeWords,
    NotNegative,
    Number,
    Part,
    Positive,
    Seconds,
    TagName,
    Whole,
    options_of,
    order_of,
    unit_of,
    words_of,
)
from agent.core.nouns import Mode


class Models(Part):
    """Which model files may be loaded."""

    signature: Literal["required", "warn"] = Field(
        default="required",
        description="required: an ONNX file is loaded only with a signature that is trusted here (edgetwin model sign, "
        "trust); warn: it is only told. A wrong signature is never loaded.",
    )


class Gateway(Part):
    """This gateway."""

    id: Id = Field(description="Name of this gateway in topics and NodeIds. " + IMMUTABLE)
    name: str = Field(default="", description="What people call it.")
    managed: Literal["local", "fleet"] = Field(
        default="local",
        description="local: it runs this file. fleet: it runs the signed version that it was sent (edgetwin fleet), "
        "this file until there is one; a local change needs a reason and an end (edgetwin fleet override).",
    )
    confirm_s: Annotated[Positive, Field(ge=1, le=3600)] = Field(
        default=120.0,
        description="Of a fleet: a new version that is not as well as the one before it within so long, in s, is taken "
        "back.",
    )
    models: Models = Field(default=Models(), description="Which model files may be loaded.")


class Journal(Part):
    """The store of everything that was measured, told and sent."""

    path: Path | None = Field(
        default=None, description="The database file; journal.db in the state directory if left out."
    )
    cap_mb: Positive = Field(
        default=512.0, description="Largest size in MB: beyond it the least important is deleted first."
    )
    flush_s: Positive = Field(
        default=60.0,
        description="Raw values are written about this often; a power cut loses at most these. Events: at once.",
    )
    raw: bool = Field(
        default=True, description="Keep each cycle, so that models can be tested on what really happened."
    )


class Feed(Part):
    """The local socket that the OPC UA server, `watch` and `status` read."""

    socket: Path | None = Field(default=None, description="Unix socket; feed.sock in the state directory if left out.")
    group: str | None = Field(default=None, description="Unix group whose members may use it too.")


class Rule(Part):
    """One declared rule: the asset is in `mode` while the tag is within its bounds."""

    mode: ModeWord = Field(description="off, starting, running, idle, stopping, cleaning, maintenance or fault.")
    tag: TagName = Field(description="The tag that tells, group/tag.")
    at_least: Number | None = Field(default=None, description="Lower bound in the tag's unit, itself included.")
    at_most: Number | None = Field(default=None, description="Upper bound in the tag's unit, itself included.")
    for_s: Seconds = Field(default=0.0, description="So long it must hold, in s.")


class Modes(Part):
    """How the mode of the asset is found: `tag` with `words`, or `rules`, or `always`."""

    tag: TagName | None = Field(default=None, description="A tag in which the PLC tells its state as a number.")
    words: dict[Whole, ModeWord] = Field(default_factory=dict, description="The mode for each number of that tag.")
    rules: tuple[Rule, ...] = Field(default=(), description="Tried in order; the first that holds gives the mode.")
    otherwise: ModeWord = Field(default=Mode.UNKNOWN, description="The mode where nothing else gives one.")
    always: ModeWord | None = Field(default=None, description="The asset has only this mode.")


class Limit(Part):
    """A limit of one value."""

    id: str | None = Field(
        default=None, pattern=r"^[A-Za-z0-9_./-]+$", description="group/tag.high or .low if left out."
    )
    tag: str = Field(description="What is watched: group/tag, or a point of a model such as group/tag.residual.")
    high: Number | None = Field(default=None, description="Raised above this, in the tag's unit.")
    low: Number | None = Field(default=None, description="Raised below this, in the tag's unit.")
    hysteresis: NotNegative = Field(
        default=0.0, description="So far it must come back before it ends, in the tag's unit."
    )
    on_delay_s: Seconds = Field(default=0.0, description="So long it must be beyond the limit, in s.")
    off_delay_s: Seconds = Field(default=0.0, description="So long it must be back, in s.")
    category: Literal["alarm", "alert", "event"] = Field(
        default="alert",
        description="alarm: an operator must act (needs priority, consequence, response, respond_within_s); "
        "alert: somebody should look; event: only noted.",
    )
    priority: Literal["", "low", "medium", "high", "critical"] = Field(
        default="", description="How urgent an alarm is."
    )
    consequence: str = Field(default="", description="What happens if nobody acts.")
    response: str = Field(default="", description="What the operator is to do.")
    respond_within_s: Seconds = Field(default=0.0, description="The time there is to do it, in s.")
    modes: ModeWords = Field(default=(Mode.RUNNING,), description="Modes in which it is watched, or all.")
    settle_s: Seconds = Field(default=0.0, description="Not watched for so long after such a mode began, in s.")
    message: str = Field(default="", description="What people are told; made from tag and limit if left out.")

    @property
    def name(self) -> str:
        """Its id, given or made."""
        return self.id or f"{self.tag}.{'low' if self.high is None else 'high'}"


class Shadow(Part):
    """A new model that runs beside the one of `file` until it takes its place: it is compared, and raises nothing."""

    file: Path = Field(description="The new model's file, of the same type, beside this file if the path is relative.")
    promote_after_h: Positive | None = Field(
        default=None,
        description="It takes over by itself after so many hours beside the old one, once its alarms are with 95 % "
        "certainty as rare as it promises; only by command (edgetwin model promote) if left out.",
    )
    alarms_per_day: Positive = Field(default=1.0, description="What it promises: alarms a day of a healthy machine.")
    probation_h: NotNegative = Field(
        default=72.0,
        description="So many hours after it took over it is taken back by itself where it breaks its promise, fails or "
        "is silent.",
    )


class ModelFile(Part):
    """One model of the asset."""

    name: Id = Field(description="What it is called here.")
    type: str = Field(description="Its kind: twin or detect.onnx.")
    file: Path = Field(description="The model file, beside this file if the path is relative.")
    every: Annotated[Whole, Field(ge=1)] = Field(default=1, description="It runs each so many cycles.")
    modes: ModeWords | None = Field(
        default=None, description="Modes in which it runs; those it was made for if left out."
    )
    settle_s: Seconds | None = Field(
        default=None, description="Silent so long after such a mode began; as the file says."
    )
    life_lead_h: Positive = Field(
        default=72.0, description="A remaining life below this is reported, in h: the time that a repair needs ahead."
    )
    most_ms: Positive = Field(
        default=5.0,
        description="CPU time that a step may take, in ms; who takes more again and again is suspended for a while.",
    )
    shadow: Shadow | None = Field(default=None, description="A new model beside it, see `config options shadow`.")


class Residuals(Part):
    """When a deviation of a twin is reported: for each measured value that a twin expects."""

    limit: Positive = Field(
        default=1.0, description="Deviation that is reported; 1 is what the fit found to be too much."
    )
    on_delay_s: Seconds = Field(default=3.0, description="So long it must last, in s.")
    off_delay_s: Seconds = Field(default=10.0, description="So long it must be back, in s.")
    hysteresis: NotNegative = Field(default=0.2, description="So far it must come back before it ends.")


class Cusum(Part):
    """When the sum of small deviations of one sign is reported; the sum itself is the delay."""

    on_delay_s: Seconds = Field(default=0.0, description="So long it must last, in s.")
    off_delay_s: Seconds = Field(default=60.0, description="So long it must be back, in s.")
    hysteresis: NotNegative = Field(default=0.2, description="So far it must come back before it ends; 1 is its limit.")


class Isolation(Part):
    """When a fault that a twin names is reported."""

    limit: Annotated[Positive, Field(lt=1)] = Field(default=0.9, description="Probability that is reported.")
    on_delay_s: Seconds = Field(default=10.0, description="So long it must last, in s.")
    off_delay_s: Seconds = Field(default=60.0, description="So long it must be back, in s.")
    hysteresis: NotNegative = Field(default=0.2, description="So far it must come back before it ends.")


class Trust(Part):
    """When a twin that does not trust itself is reported."""

    on_delay_s: Seconds = Field(default=60.0, description="So long it must last, in s.")
    off_delay_s: Seconds = Field(default=60.0, description="So long it must be back, in s.")


class Anomaly(Part):
    """When a score of a detector beyond its own limit is reported."""

    on_delay_s: Seconds = Field(default=3.0, description="So long it must last, in s.")
    off_delay_s: Seconds = Field(default=10.0, description="So long it must be back, in s.")
    hysteresis: NotNegative = Field(default=0.1, description="So far the score must come back before it ends.")


class Class(Part):
    """A kind of machine: its tags, modes, limits and models, used by one or more assets."""

    tags: Path = Field(description="CSV file with the tag list.")
    sources: tuple[Id, ...] | None = Field(
        default=None, description="Names in the CSV's column source, mapped by each asset."
    )
    modes: Modes = Field(description="How the mode is found.")
    context: dict[Id, TagName] = Field(default_factory=dict, description="Tags that tell product, recipe, batch.")
    limits: tuple[Limit, ...] = Field(default=(), description="Limits of single values.")
    models: tuple[ModelFile, ...] = Field(default=(), description="Twins and detectors, run in this order.")
    residuals: Residuals = Field(default=Residuals(), description="When a twin's deviation is reported.")
    cusum: Cusum = Field(default=Cusum(), description="When a sum of small deviations is reported.")
    isolation: Isolation = Field(default=Isolation(), description="When a fault that a twin names is reported.")
    trust: Trust = Field(default=Trust(), description="When a twin that does not trust itself is reported.")
    anomaly: Anomaly = Field(default=Anomaly(), description="When a detector's score is reported.")
    summary_s: Positive = Field(default=60.0, description="Length of a summary window, in s.")
    stale_periods: Annotated[Number, Field(ge=2)] = Field(
        default=3.0, description="A value not confirmed for so many scans of its tag is stale."
    )


class Overrides(Part):
    """What is different for one asset of a class."""

    tags: dict[str, dict[str, Any]] = Field(default_factory=dict, description="Columns of the CSV by group/tag.")
    limits: dict[str, dict[str, Any]] = Field(default_factory=dict, description="Keys of limits by their id.")
    models: dict[str, dict[str, Any]] = Field(default_factory=dict, description="Keys of models by name (file, ...).")
    residuals: dict[str, Any] = Field(default_factory=dict, description="Keys of residuals.")
    cusum: dict[str, Any] = Field(default_factory=dict, description="Keys of cusum.")
    isolation: dict[str, Any] = Field(default_factory=dict, description="Keys of isolation.")
    trust: dict[str, Any] = Field(default_factory=dict, description="Keys of trust.")
    anomaly: dict[str, Any] = Field(default_factory=dict, description="Keys of anomaly.")
    summary_s: Positive | None = Field(default=None, description="Length of a summary window, in s.")


class Asset(Part):
    """One machine."""

    id: Id = Field(description="Name of the asset in topics and NodeIds. " + IMMUTABLE)
    name: str = Field(default="", description="What people call it.")
    path: tuple[str, ...] = Field(default=(), description="Where it stands: site, area, line.")
    kind: str = Field(alias="class", description="Its class and version, such as pump@1.")
    period_s: Annotated[Positive, Field(ge=0.01, le=3600)] = Field(default=1.0, description="Its cycle, in s.")
    sources: dict[Id, Id] = Field(default_factory=dict, description="The source id for each source name of the class.")
    overrides: Overrides = Field(default=Overrides(), description="What is different from its class.")


class File(Part):
    """One gateway: its assets, where their values come from and who is told."""

    gateway: Gateway = Field(description="This gateway.")
    state_dir: Path = Field(default=Path("/var/lib/edgetwin"), description="What is kept between starts lies here.")
    journal: Journal = Field(default=Journal(), description="The store.")
    feed: Feed = Field(default=Feed(), description="The local socket.")
    classes: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+@\d+$")], Class] = Field(
        description="Kinds of machine, name@version."
    )
    assets: tuple[Asset, ...] = Field(description="The machines.", min_length=1)
    sources: tuple[dict[str, Any], ...] = Field(description="PLCs and other devices: {id, type, ...}.", min_length=1)
    sinks: tuple[dict[str, Any], ...] = Field(default=(), description="Who is told: {type, ...}.")


class TagRow(Part):
    """One row of a tag list: the columns of the CSV."""

    group: Id = Field(description="Part of the machine. " + IMMUTABLE)
    tag: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")] = Field(description="Name in its group. " + IMMUTABLE)
    description: str = Field(default="", description="What people call it.")
    source: Id | None = Field(default=None, description="A source name of the class; its only one if left out.")
    address: str = Field(
        default="",
        description="Where it is read. Modbus: input:30, 30031, holding:0x1F, 2/coil:5 (unit 2). OPC UA: "
        "nsu=http://maker/plc;s=Pump.Speed, ns=2;i=1001, path:/Objects/2:Pump/2:Speed, with #Member or #[2] behind.",
    )
    expression: str = Field(
        default="",
        description="Computed instead of read, from tags in braces: {motor/voltage} * {motor/current} / 1000.",
    )
    type: Annotated[str, Field(pattern=TYPES)] = Field(
        default="float64",
        description="Type in the device: bool, bit3, uint16.3, int8l, uint8h, int16 .. uint64, float16 .. float64, "
        "bcd16, bcd32, string(16); float32[8] for an array. OPC UA: number, text or array, whatever its size.",
    )
    order: Annotated[str, BeforeValidator(order_of)] = Field(
        default="ABCD", description="Order of bytes: ABCD, CDAB, BADC, DCBA or a name such as word-swapped."
    )
    scan: Positive | None = Field(
        default=None, description="Read this often, in s; each cycle of the asset if left out."
    )
    phase: NotNegative = Field(default=0.0, description="So long after each whole scan period it is read, in s.")
    scale: Number = Field(default=1.0, description="value = scale * raw + offset.")
    offset: Number = Field(default=0.0, description="In the tag's unit.")
    eu_lo: Number | None = Field(default=None, description="Lower end of its range, in its unit.")
    eu_hi: Number | None = Field(default=None, description="Upper end of its range, in its unit.")
    beyond: Literal["uncertain", "clamp", "bad"] = Field(
        default="uncertain",
        description="A value beyond its range is kept and Uncertain, or set to the end of the range, or Bad.",
    )
    unit: Annotated[str, BeforeValidator(unit_of)] = Field(default="", description="UCUM or UNECE unit.")
    invalid: Number | None = Field(default=None, description="Raw value that says that there is none.")
    deadband: NotNegative = Field(
        default=0.0,
        description="OPC UA: changes up to this are not passed on, in its unit. What is polled passes on each value; "
        "Sparkplug hosts are told of larger changes only.",
    )
    trace: NotNegative | None = Field(
        default=None,
        description="Summaries have a trace of it: lines that miss no sample by more than this, in its unit.",
    )
    enum: Annotated[dict[int, str], BeforeValidator(words_of)] = Field(
        default_factory=dict, description="Words for its numbers: 0=off;1=starting."
    )
    heartbeat: Positive | None = Field(
        default=None,
        description="It changes within so long, in s, while the program of its PLC runs; else nothing of it is fresh.",
    )
    writable: bool = Field(default=False, description="May be written, through the gate.")
    options: Annotated[dict[str, str], BeforeValidator(options_of)] = Field(
        default_factory=dict, description="What its driver knows besides: sampling=0.1;queue=20."
    )

    @property
    def name(self) -> str:
        """`group/tag`."""
        return f"{self.group}/{self.tag}"
