"""The edge server, put together: broker, link, ingest, signals, the door for people."""

from __future__ import annotations

import os
import resource
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import structlog

from edge_server.accounts.accounts import Accounts
from edge_server.accounts.file import FILE_NAME as ACCOUNTS_FILE
from edge_server.beacon import EVERYWHERE, Beacon, lan_addresses
from edge_server.bundles import shelf
from edge_server.bus import Bus
from edge_server.closet import Closet
from edge_server.cloud_link.reporter import CloudReporter
from edge_server.cloud_link.sender import load_sender
from edge_server.context import EdgeContext
from edge_server.events import BrokerLink
from edge_server.gateway.app import Gateway
from edge_server.gateway.auth import load_or_make_token
from edge_server.gateway.config_desk import ConfigDesk
from edge_server.gateway.server import GatewayServer
from edge_server.home_assistant.bridge import HomeAssistant
from edge_server.ingest.acks import Acks
from edge_server.ingest.broker_drops import BrokerDrops
from edge_server.ingest.inbox import Inbox
from edge_server.ingest.receiver import Receiver, bulky
from edge_server.ingest.worker import IngestWorker
from edge_server.neighbours.door import NeighbourDoor, neighbour_routes
from edge_server.pair.asking import PeerAsker
from edge_server.pair.backfill import Backfill, stored_after
from edge_server.pair.keeping import PairKeeper
from edge_server.pair.link import PairLink
from edge_server.pair.peer import Peer, load_peer
from edge_server.pair.routes import pair_routes
from edge_server.pair.shared_things import SharedThings
from edge_server.pair.site_file import SiteFile
from edge_server.pair.vehicle_file import VehiclesOfPair
from edge_server.presence import Presence
from edge_server.signals.preemption.episode_routes import Episodes
from edge_server.steering import PairTerms, Steering
from edge_server.store.retention import Limits
from edge_server.store.room import Marks
from edge_server.store.rows import LogEntry
from edge_server.store.store import Store
from edge_server.store.writer import StoreWriter
from edge_server.trust.device_routes import device_of
from edge_server.trust.pair_sync import PairSync
from edge_server.trust.parts import TrustParts
from edge_server.trust.trust import PLAIN_HOSTS, EdgeTrust, TrustOptions
from edge_server.trust.watch import Broker as TrustBroker
from edge_server.trust.watch import TrustWatch
from edge_server.updates.setting_up import update_service
from models.escalation.served import Served
from node.broker.acl import Member
from node.broker.host import Kind, start_broker, takes_joined
from node.broker.lanes import Lanes
from node.broker.paho_client import PahoClient
from node.broker.password import broker_password
from node.broker.port import BrokerAddress, BrokerClient, BrokerHost
from node.broker.tls import MQTTS_PORT, BrokerTls
from node.clock import Clock, SystemClock
from node.config.load import is_loopback
from node.config.schema import Backup, Power
from node.file_lock import hold_state
from node.identity import Identity
from node.link import death_will
from node.ports import check_port_free
from node.ready_structs import ready_structs
from node.service.heart import Heart
from node.service.notify import find_manager
from node.trust.keeper import CHECK_TRUST
from node.update.health import HealthFile, running_version
from protocol.codec import encode
from protocol.errors import KinflowError
from protocol.ids import DeviceId, new_message_id
from protocol.messages import Death
from protocol.site import Site
from protocol.topics import DEFAULT_PREFIX, PRESENCE

OPEN_FILES = 65_536
BROKER_LOOK_S = 1.0
# Good-byes, the last commit and the fold of the log into the store; a service manager waits longer than this.
STOP_LIMIT_S = 30.0
# Writing waits for a disk; what steers may not wait for anything.
LOOP_LIMITS_S = {"ingest": 60.0, "signals": 10.0, "gateway": 30.0, "broker": 60.0}

log = structlog.get_logger("edge")


@dataclass(frozen=True)
class EdgeOptions:
    """broker: one that runs already; None starts one of `embed`, on loopback by broker_port. joined: its door for
    devices that have joined, by TLS; None for the one that our own authority makes, by mqtts_port, once `host` is
    reached from elsewhere. certificate_days: of devices; code_minutes: of join codes. hosts: names
    besides loopback by which people call the dashboard. home_assistant: its discovery prefix, "" for off.
    update_source: where the mirror of updates is filled from, "" for nowhere; serve_bytes_s: how fast it is handed on,
    0 for any speed. marks: how little room on the disk of the store is little. passphrase: of
    the assistant's diary."""

    home: Path
    database: Path
    device: DeviceId
    version: str
    site: Site
    site_path: str = "site.toml"
    host: str = "127.0.0.1"
    port: int = 8800
    hosts: frozenset[str] = frozenset()
    broker: BrokerAddress | None = None
    embed: Kind = "auto"
    broker_port: int = 1883
    joined: BrokerTls | None = None
    mqtts_port: int = MQTTS_PORT
    certificate_days: float = 7.0
    code_minutes: float = 15.0
    prefix: str = DEFAULT_PREFIX
    home_assistant: str = ""
    update_source: str = ""
    serve_bytes_s: int = 0
    limits: Limits = field(default_factory=Limits)
    marks: Marks = field(default_factory=Marks)
    backup: Backup = field(default_factory=Backup)
    power: Power = field(default_factory=Power)
    serving: Served | None = None
    passphrase: Callable[[], str | None] = lambda: None


class EdgeServer:
    """start() returns once the door is open; stop() ends it all in good order. Raises PortInUse (KF48), StateInUse
    (KF53), StoreNewer (KF51), or what starting a broker raises."""

    def __init__(self, options: EdgeOptions, clock: Clock | None = None) -> None:  # noqa: PLR0915 (all its parts)
        # Before anything is started: what names the service manager is not for our children.
        self._heart = Heart(LOOP_LIMITS_S, find_manager(), clock)
        check_port_free(options.host, options.port)
        self._options = options
        self._identity = Identity(options.device, clock or SystemClock())
        options.home.mkdir(parents=True, exist_ok=True)
        self._health_file = HealthFile(
            options.home, "edge", running_version(), self._identity.boot, self._identity.clock
        )
        _allow_files()
        self._lock = hold_state(options.database)
        store = Store(options.database)
        self.bus = Bus()
        peer = load_peer(options.home)
        trust = self._open_trust(options, peer)
        if options.joined is None and options.broker is None:
            options = replace(options, joined=trust.door(options.prefix))
        peer = peer if options.joined is not None and options.broker is None else None
        if options.joined is not None and peer is not None:
            options = replace(options, joined=_with_peer(options.joined, peer))
        self._host = _start_host(options) if options.broker is None else None
        self._client = _own_client(options, self._identity, options.broker or self._host_address())
        own_client, self._pair = self._client, None
        if options.joined is not None and peer is not None:
            self._pair = PairLink(peer, self._identity, own_client, options.joined, options.prefix)
            self._client = self._pair.lines
        inbox = Inbox()
        receiver = Receiver(inbox, self.bus, self._identity.clock, options.prefix)
        drops = BrokerDrops()
        if self._host is not None:
            drops.subscribe(own_client)
        acks = Acks(self._client, self._identity, options.prefix)
        self._worker = IngestWorker(
            store,
            inbox,
            receiver,
            acks,
            self.bus,
            self._identity,
            limits=options.limits,
            marks=options.marks,
            peer=peer.edge if peer is not None else None,
            broker_dropped=lambda: drops.count,
            beat=self._heart.of("ingest"),
        )
        self._presence = Presence(self._identity, self._client, options.version, options.prefix)
        if self._pair is not None:
            self._pair.lines.watch_peer(self._presence.connected)
        receiver.subscribe(self._client)
        self._client.watch(lambda connected: self.bus.publish(BrokerLink(connected=connected)))
        if options.home_assistant:
            HomeAssistant(
                own_client,
                lambda: self._worker.devices,
                self._identity.clock,
                options.device,
                options.version,
                discovery_prefix=options.home_assistant,
                prefix=options.prefix,
            ).attach(self.bus, store.reader.alarms(limit=10_000, active=True))
        write = StoreWriter(self._worker.submit, self.bus)
        desk = ConfigDesk(self._client, self._identity, write.append_event, options.prefix)
        desk.attach()
        self._updates = update_service(
            options.home,
            options.update_source,
            lambda: self._worker.devices,
            desk.ask,
            self._identity.clock,
            lambda text, bad: write.append_event(self._update_entry(text, bad)),
        )
        desk.watch(self._updates.heard)
        watch = TrustWatch(
            trust,
            TrustBroker(self.reload_broker, self.kick),
            self._identity,
            write.append_event,
            self._worker.report,
            lambda device: desk.ask(device, CHECK_TRUST, {}),
        )
        self._accounts = Accounts(options.home / ACCOUNTS_FILE, self._identity.clock, load_or_make_token(options.home))
        site_file = SiteFile(Path(options.site_path), options.home)
        self._steering = Steering(
            options.site,
            options.site_path,
            options.home,
            self._identity,
            self._client,
            options.prefix,
            self.bus,
            self._worker,
            write,
            trust.authority,
            self._heart.of("signals"),
            PairTerms(peer.edge, self._pair.defers) if peer is not None and self._pair is not None else PairTerms(),
        )
        vehicles = VehiclesOfPair(options.home)
        routes = pair_routes(
            options.home,
            site_file,
            trust.authority,
            self._accounts.shared,
            # A store that was replaced while we run is another file.
            lambda read: stored_after(store.reader, f"{self._identity.boot}-{options.database.stat().st_ino}", read),
            self._steering.modes.shared,
            vehicles,
        )
        self._pair_keepers = self._keep_pair(peer, trust, store, site_file, vehicles, write) if peer is not None else ()
        door = NeighbourDoor(options.site.neighbours, trust.authority.root, self._identity.clock)
        self._trust = TrustParts(trust, watch, routes, neighbour_routes(door, self._steering.wave))
        self.context = EdgeContext(
            version=options.version,
            device=options.device,
            site=options.site,
            clock=self._identity.clock,
            accounts=self._accounts,
            bus=self.bus,
            read=store.reader,
            write=write,
            devices=lambda: self._worker.devices,
            figures=self._worker.figures,
            broker_connected=lambda: self._client.connected,
            remove_device=self._remove_device,
            configure=desk.ask,
            updates=self._updates,
            serve_bytes_s=options.serve_bytes_s,
            bind_host=options.host,
            port=options.port,
            bundles=options.home / shelf.FOLDER,
            serving=options.serving,
            home=options.home,
            passphrase=options.passphrase,
            trust=self._trust,
            preemption=self._steering.preemption,
            wave=self._steering.wave,
            episodes=Episodes(options.home, store.reader, self._steering.preemption.numbers),
            signals=self._steering.desk,
            device_of=lambda scope, body: device_of(trust, scope, body),
        )
        gateway = Gateway(self.context, options.hosts, self._heart.of("gateway"))
        # Beyond this machine the door speaks HTTPS, whether devices may join or not.
        tls = None if options.host in PLAIN_HOSTS else trust.server_context()
        self._gateway = GatewayServer(gateway, options.host, options.port, tls)
        self._scheme = "http" if tls is None else "https"
        self._closet = self._equip(options)
        self._beacon = _beacon(options) if self._host is not None else None
        self._cloud = CloudReporter(self.context, lambda: load_sender(options.home), self._identity.clock)

    def start(self) -> None:
        ready_structs()
        self._worker.start()
        self._steering.start()
        self._gateway.start()
        self._trust.watch.start()
        for keeper in self._pair_keepers:
            keeper.start()
        self._client.start()
        self._updates.start()
        self._closet.start()
        if self._beacon is not None:
            self._beacon.start()
        self._cloud.start()
        self._heart.start()
        log.info(
            "the edge server runs",
            device=self._options.device,
            url=f"{self._scheme}://{self._options.host}:{self._gateway.port}",
        )

    def stop(self) -> None:
        self._heart.stop()
        self._closet.stop()
        self._cloud.stop()
        if self._beacon is not None:
            self._beacon.stop()
        self._gateway.stop()
        self._updates.stop()
        for keeper in self._pair_keepers:
            keeper.stop()
        self._trust.watch.stop()
        self._trust.trust.close()
        self._accounts.close()
        self._steering.stop()
        self._worker.stop()
        self._presence.farewell()
        self._client.stop()
        self.bus.close()
        if self._host is not None:
            self._host.stop()
        self._lock.close()

    def run(self, stopping: threading.Event) -> None:
        """Serve until `stopping` is set, and start a broker of our own again when it ends by itself."""
        self.start()
        failing = False
        try:
            while not (stopping.wait(BROKER_LOOK_S) or self._closet.end.is_set()):
                self._heart.beat("broker")
                self._steering.keep()
                self._health_file.tell(self._client.connected)
                failing = self._revive_broker(failing)
                if self._pair is not None and (alarm := self._pair.look()) is not None:
                    self._worker.report(alarm)
        finally:
            patience = threading.Timer(STOP_LIMIT_S, self._give_up)
            patience.daemon = True
            patience.start()
            self.stop()
            patience.cancel()
            self._closet.after_end()

    def _give_up(self) -> None:
        """What hangs must not eat the battery. The store is a log that any moment leaves whole."""
        log.error("stopping took too long; ending as it is", limit_s=STOP_LIMIT_S)
        self._closet.after_end()
        os._exit(1)

    def _keep_pair(  # noqa: PLR0917 (what the two share)
        self,
        peer: Peer,
        trust: EdgeTrust,
        store: Store,
        site_file: SiteFile,
        vehicles: VehiclesOfPair,
        write: StoreWriter,
    ) -> tuple[PairKeeper, ...]:
        asker = PeerAsker(trust.authority, peer)
        backfill = Backfill(peer.edge, asker, store.reader, self._worker.recover)
        shared = SharedThings(
            peer.edge,
            asker,
            self._accounts.shared,
            site_file,
            self._steering.modes,
            vehicles,
            write.append_event,
            self._identity.clock.wall_ms,
        )
        return (
            # By themselves: a revocation and a lowered mode must not wait for a long backfill.
            PairKeeper(
                {
                    "who has joined": PairSync(trust, peer).pull,
                    "the modes of the signals": shared.modes,
                    "the vehicles that may ask": shared.vehicles,
                }
            ),
            PairKeeper(
                {"what it has stored": backfill.step, "accounts": shared.accounts, "the site file": shared.site}
            ),
        )

    def _equip(self, options: EdgeOptions) -> Closet:
        return Closet(
            options.home,
            options.device,
            options.backup,
            options.power,
            self._identity.clock,
            self._worker.alarm,
            self._worker.submit,
        )

    def _open_trust(self, options: EdgeOptions, peer: Peer | None) -> EdgeTrust:
        own = tuple(lan_addresses()) if options.host == EVERYWHERE else (options.host,)
        trust = TrustOptions(
            host=options.host,
            http_port=options.port,
            mqtts_port=options.joined.port if options.joined is not None else options.mqtts_port,
            takes_joined=options.broker is None and takes_joined(options.embed),
            # A device that has joined one of a pair may come to either.
            addresses=own + (peer.hosts if peer is not None else ()),
            names=options.hosts,
            life_days=options.certificate_days,
            code_minutes=options.code_minutes,
        )
        return EdgeTrust(options.home, options.device, self._identity.clock, trust)

    def reload_broker(self) -> None:
        """Let joined devices in, and keep revoked ones out, from now on. From any thread; see BrokerHost.reload."""
        if self._host is not None:
            self._host.reload()

    def kick(self, device: DeviceId) -> None:
        """End a joined device's connection. After reload_broker() it can't come back. From any thread."""
        if self._host is not None:
            self._host.kick(device)
            self._bury(device)

    def _revive_broker(self, failing: bool) -> bool:
        """Whether it ended and could not be started again; told once. failing: what the last call returned."""
        try:
            if self._host is not None and self._host.revive():
                log.warning("the broker had ended by itself; it runs again")
        except KinflowError as error:
            if not failing:
                log.error(str(error))
            return True
        return False

    def _host_address(self) -> BrokerAddress:
        assert self._host is not None
        return self._host.address

    def _update_entry(self, text: str, bad: bool) -> LogEntry:
        return LogEntry(
            at_ms=self._identity.clock.wall_ms(),
            kind="update",
            severity="warning" if bad else "info",
            device=self._options.device,
            subject="updates",
            text=text[:500],
        )

    def _bury(self, device: DeviceId) -> None:
        """Publish the will of a device that was put out: its own may not come through, since it has no rights left."""
        known = self._worker.devices.get(device)
        if known is None or known.state == "offline":
            return
        clock = self._identity.clock
        death = Death(
            id=new_message_id(clock.wall_ms()),
            source=device,
            boot=known.boot,
            seq=1,
            at_ms=clock.wall_ms(),
            mono_ms=clock.monotonic_ms(),
            reason="will",
        )
        topic = PRESENCE.of(device, prefix=self._options.prefix)
        self._client.publish(topic, encode(death), PRESENCE.qos, retained=True)

    def _remove_device(self, device: DeviceId) -> None:
        self._client.publish(PRESENCE.of(device, prefix=self._options.prefix), b"", PRESENCE.qos, retained=True)


def _own_client(options: EdgeOptions, identity: Identity, address: BrokerAddress) -> BrokerClient:
    """Our connections to our own broker. No joined device goes by such names, and so none can take their place."""
    name = f"{options.device}.{identity.boot[:8]}"
    urgent = PahoClient(address, name, death_will(identity, options.prefix))
    return Lanes(urgent, PahoClient(address, f"{name}.bulk"), bulky(options.prefix))


def _with_peer(joined: BrokerTls, peer: Peer) -> BrokerTls:
    """The door, open to the other edge server of the pair too."""
    return replace(joined, members=lambda: (*joined.members(), Member(peer.edge, "edge")))


def _allow_files() -> None:
    """A broker needs an open file for each device, and our door one for each visit: as many as this user may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _start_host(options: EdgeOptions) -> BrokerHost:
    folder, password = options.home / "broker", broker_password(options.home)
    return start_broker(options.embed, folder, options.broker_port, password, options.joined)


def _beacon(options: EdgeOptions) -> Beacon | None:
    """None while the broker's door for joined devices can't be reached from the network."""
    if options.joined is None or is_loopback(options.joined.bind):
        return None
    return Beacon(options.device, options.host, options.joined.port, options.port)
