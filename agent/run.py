"""Put an agent together and run it."""

from __future__ import annotations

import logging
import sqlite3
import threading
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import cv2

from agent.detection.detectors import OFF, SHIPPED, Detectors
from agent.options import AgentOptions
from agent.page.assistant import PageAssistant, Parts
from agent.page.server import PageServer
from agent.service import AgentService
from node.broker.paho_client import PahoClient
from node.clock import Clock, SystemClock
from node.errors import OutboxDiskFull
from node.identity import Identity
from node.link import Link, death_will
from node.outbox.outbox import Outbox
from node.outbox.store import OutboxStore
from node.service.heart import Heart
from node.service.notify import find_manager
from node.stopping import on_stop_signals
from node.trust.keeper import CHECK_TRUST
from node.trust.membership import Membership

DRAIN_S = 2.0
# A picture takes a small board a second at most; a card that is wearing out may hold a write up for many.
LOOP_LIMITS_S = {"looking": 20.0, "link": 60.0}

log = logging.getLogger(__name__)


def run_agent(options: AgentOptions) -> None:
    """Run until SIGTERM or Ctrl-C; owns the main thread."""
    # One looking thread is what a device gives; OpenCV would start one for each core.
    cv2.setNumThreads(1)
    options.home.mkdir(parents=True, exist_ok=True)
    clock = SystemClock()
    heart = Heart(LOOP_LIMITS_S, find_manager(), clock)
    identity = Identity(options.device, clock)
    service = AgentService(
        options.cameras,
        options.home,
        clock,
        identity,
        software=_version(),
        name=options.name,
        fast=options.fast,
        detectors=Detectors(options.home, SHIPPED if options.carries else OFF),
        beat=heart.of("looking"),
    )
    on_stop_signals(service.stop)
    member = Membership(options.home, service.rename) if options.credentials is not None else None
    client = PahoClient(
        member.brokers if member is not None else options.broker,
        options.device,
        death_will(identity, options.prefix),
        tls=member.tls if member is not None else None,
    )
    outbox = open_outbox(identity, clock, options.home / f"outbox-{options.device}.db")
    link = Link(identity, client, outbox, options.prefix, birth=service.birth, beat=heart.of("link"))
    page = None
    if options.page_port is not None:
        assistant = PageAssistant(lambda: _assistant(options.home, service))
        page = PageServer(service.views, options.home, options.page_port, assistant)
        page.start()
        log.info("the page is at %s", page.url)
    link.start()
    if member is not None:
        service.orders[CHECK_TRUST] = member.keeper.nudge
        member.start(client)
    heart.start()
    try:
        service.run(link)
    finally:
        heart.stop()
        if member is not None:
            member.stop()
        if page is not None:
            page.stop()
        link.stop(drain_s=DRAIN_S)
    log.info("stopped; %d threads were left to end by themselves", threading.active_count() - 1)


def _assistant(home: Path, service: AgentService) -> Parts:
    from agent.assistant.opening import open_assistant  # noqa: PLC0415 (nothing of it before somebody asks)

    return open_assistant(home, service)


def open_outbox(identity: Identity, clock: Clock, path: Path) -> Outbox:
    """The outbox in its file. A disk that is full must not leave a road unwatched: without room the outbox lives in
    memory, and its fault (KF44) is told as an alarm."""
    try:
        return Outbox(identity.boot, clock, OutboxStore(path))
    except (sqlite3.OperationalError, OSError) as error:
        outbox = Outbox(identity.boot, clock, None)
        outbox.fault = OutboxDiskFull(path=path, detail=str(error))
        log.error("%s", outbox.fault)
        return outbox


def _version() -> str:
    try:
        return f"kinflow {version('kinflow')}"
    except PackageNotFoundError:
        return "kinflow"
