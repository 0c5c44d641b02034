"""Every setting there is, with its type, range and default. kinflow.toml beside this file explains each in words."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from protocol.ids import SLUG_PATTERN

Slug = Annotated[str, Meta(pattern=SLUG_PATTERN)]
SlugOrEmpty = Annotated[str, Meta(pattern=rf"^$|{SLUG_PATTERN}")]
Port = Annotated[int, Meta(ge=1, le=65535)]
# A server may also take any port that is free, by the number 0.
ServerPort = Annotated[int, Meta(ge=0, le=65535)]
TopicPrefix = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$", max_length=100)]
Metres = Annotated[float, Meta(gt=0.0, le=2000.0)]
Point = tuple[float, float]


class Device(Struct, frozen=True, kw_only=True):
    id: SlugOrEmpty = ""
    name: Annotated[str, Meta(max_length=100)] = ""


class Broker(Struct, frozen=True, kw_only=True):
    url: str = ""
    kind: Literal["auto", "mosquitto", "amqtt"] = "auto"
    port: Port = 1883
    tls_port: Port = 8883
    prefix: TopicPrefix = "kinflow"


class Edge(Struct, frozen=True, kw_only=True):
    host: Annotated[str, Meta(min_length=1)] = "127.0.0.1"
    port: ServerPort = 8800
    allow_lan: bool = False
    hosts: tuple[Annotated[str, Meta(min_length=1, max_length=253)], ...] = ()
    site: str = ""
    database: str = ""
    retention_days: Annotated[int, Meta(ge=1, le=3650)] = 30
    max_store_gb: Annotated[float, Meta(ge=0.05, le=100_000.0)] = 4.0
    low_disk_mb: Annotated[float, Meta(ge=0.0, le=1_000_000.0)] = 500.0


class Camera(Struct, frozen=True, kw_only=True):
    """One `[[agent.cameras]]` table. road: four pixels, near-left, near-right, far-right, far-left. detector: "auto",
    "shipped", "off" or a model's path."""

    id: Slug
    source: Annotated[str, Meta(min_length=1)]
    approach: SlugOrEmpty = ""
    road_width_m: Metres | None = None
    road_length_m: Metres | None = None
    road: Annotated[tuple[Point, ...], Meta(min_length=4, max_length=4)] | None = None
    detector: Annotated[str, Meta(min_length=1, max_length=500)] = "auto"
    detect_every: Annotated[int, Meta(ge=1, le=100)] = 1
    real_thumbnails: bool = False
    sound: Annotated[str, Meta(min_length=1, max_length=500)] = "off"


class Agent(Struct, frozen=True, kw_only=True):
    port: ServerPort = 8801
    cameras: tuple[Camera, ...] = ()


class Cloud(Struct, frozen=True, kw_only=True):
    host: Annotated[str, Meta(min_length=1)] = "127.0.0.1"
    port: ServerPort = 8802
    allow_lan: bool = False
    hosts: tuple[Annotated[str, Meta(min_length=1, max_length=253)], ...] = ()
    releases: str = ""


class Hardware(Struct, frozen=True, kw_only=True):
    """Wishes that override what probing finds; 0 and "" leave it to the probe."""

    profile: SlugOrEmpty = ""
    threads: Annotated[int, Meta(ge=0, le=256)] = 0
    detector: SlugOrEmpty = ""
    member: SlugOrEmpty = ""
    memory_mb: Annotated[int, Meta(ge=0)] = 0
    camera_width: Annotated[int, Meta(ge=0, le=7680)] = 0
    camera_height: Annotated[int, Meta(ge=0, le=4320)] = 0


class Update(Struct, frozen=True, kw_only=True):
    """gate_s: how long all that worked before must work under a new version before it stays. trial_s: how long it may
    take to come to that."""

    source: Annotated[str, Meta(max_length=500)] = ""
    automatic: bool = False
    gate_s: Annotated[float, Meta(ge=1.0, le=86_400.0)] = 120.0
    trial_s: Annotated[float, Meta(ge=5.0, le=86_400.0)] = 300.0
    keep_previous: bool = False
    serve_kbytes_s: Annotated[int, Meta(ge=0, le=10_000_000)] = 4_000


class Backup(Struct, frozen=True, kw_only=True):
    """folder: "" makes no backups by itself. key_file: holds the passphrase, in its first line."""

    folder: str = ""
    every_hours: Annotated[float, Meta(ge=0.01, le=8_760.0)] = 24.0
    keep: Annotated[int, Meta(ge=1, le=1_000)] = 7
    key_file: str = ""


class Power(Struct, frozen=True, kw_only=True):
    """source: nut://host:port/ups, file:/path, or "" for no UPS. on_battery: what the file holds while the mains are
    out. low_after_s: a source that knows no charge counts as low after so long on battery."""

    source: Annotated[str, Meta(max_length=500)] = ""
    on_battery: Annotated[str, Meta(max_length=100)] = "1"
    low_percent: Annotated[float, Meta(ge=0.0, le=100.0)] = 20.0
    low_after_s: Annotated[float, Meta(ge=1.0, le=86_400.0)] = 300.0
    shutdown_command: Annotated[str, Meta(max_length=500)] = ""


class Time(Struct, frozen=True, kw_only=True):
    """gps: a serial device, gpsd://host:port, or "" for none. gps_wait_s: how long it may take to see satellites."""

    gps: Annotated[str, Meta(pattern=r"^$|^/.+$|^gpsd://[^/]+$", max_length=200)] = ""
    gps_speed: Literal[4800, 9600, 38400, 115200] = 9600
    gps_wait_s: Annotated[float, Meta(ge=1.0, le=3_600.0)] = 15.0
    set_clock: bool = False


class HomeAssistant(Struct, frozen=True, kw_only=True):
    enabled: bool = False
    prefix: TopicPrefix = "homeassistant"


class Log(Struct, frozen=True, kw_only=True):
    level: Literal["debug", "info", "warning", "error"] = "info"


class Assistant(Struct, frozen=True, kw_only=True):
    """edge: the edge server that is asked what is not known here, "" for none. token_file: holds a token of it.
    key_file: holds the passphrase of the notes, in its first line. eyes_model, eyes_projector: a .gguf and its mmproj,
    which say on a device's own page what a camera sees; "" for none."""

    edge: Annotated[str, Meta(pattern=r"^$|^https?://[A-Za-z0-9._:\[\]-]{1,253}/?$", max_length=300)] = ""
    token_file: Annotated[str, Meta(max_length=500)] = ""
    key_file: Annotated[str, Meta(max_length=500)] = ""
    eyes_model: Annotated[str, Meta(max_length=500)] = ""
    eyes_projector: Annotated[str, Meta(max_length=500)] = ""


class Serving(Struct, frozen=True, kw_only=True):
    """Which language model this machine's servers answer `/v1` with. family: a folder with a family.toml, or its name
    below the state folder's models/; "" is the one that comes with Kinflow. member: of it, "" for that of the
    server's tier. sequences: answers at once; context_tokens: for each, but one takes more while others need less.
    prefix_mb: memory for beginnings of prompts, so that they need not be computed again; prefix_disk_mb: disk for those
    that no longer fit, 0 for none. threads: 0 leaves one processor to the rest.
    fast: keys in F16 and fused attention; off, in F32, where steps of any shape agree to a thousandth. above: the
    server of the next tier ("https://cloud.city.example:8802"), "" for none; above_token_file: holds a token of it;
    above_ca_file: the certificate that it is believed by, "" for those of this machine. prefill: "host:port" of a
    worker that computes prompts, "" for none; prefill_secret_file: what both share, "" for prefill-secret in the state
    folder."""

    family: Annotated[str, Meta(max_length=500)] = ""
    member: SlugOrEmpty = ""
    sequences: Annotated[int, Meta(ge=1, le=64)] = 4
    context_tokens: Annotated[int, Meta(ge=64, le=131_072)] = 2048
    prefix_mb: Annotated[int, Meta(ge=0, le=1_000_000)] = 128
    prefix_disk_mb: Annotated[int, Meta(ge=0, le=100_000_000)] = 0
    threads: Annotated[int, Meta(ge=0, le=256)] = 0
    fast: bool = True
    above: Annotated[str, Meta(pattern=r"^$|^https?://[A-Za-z0-9._:\[\]-]{1,253}/?$", max_length=300)] = ""
    above_token_file: Annotated[str, Meta(max_length=500)] = ""
    above_ca_file: Annotated[str, Meta(max_length=500)] = ""
    prefill: Annotated[str, Meta(pattern=r"^$|^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]{1,253}):[0-9]{1,5}$")] = ""
    prefill_secret_file: Annotated[str, Meta(max_length=500)] = ""


class Trust(Struct, frozen=True, kw_only=True):
    """certificate_days: how long a device's certificate lasts. code_minutes: how long a join code is good."""

    certificate_days: Annotated[float, Meta(ge=1e-4, le=365.0)] = 7.0
    code_minutes: Annotated[float, Meta(gt=0.0, le=43_200.0)] = 15.0


class Settings(Struct, frozen=True, kw_only=True):
    device: Device = Device()
    broker: Broker = Broker()
    edge: Edge = Edge()
    agent: Agent = Agent()
    cloud: Cloud = Cloud()
    hardware: Hardware = Hardware()
    update: Update = Update()
    assistant: Assistant = Assistant()
    serving: Serving = Serving()
    trust: Trust = Trust()

    backup: Backup = Backup()
    power: Power = Power()
    time: Time = Time()
    home_assistant: HomeAssistant = HomeAssistant()
    log: Log = Log()
