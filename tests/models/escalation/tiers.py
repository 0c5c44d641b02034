"""Two tiers of a tiny nested family: files, an upper tier that really listens, and the lower one's own parts."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from fastapi import FastAPI

from models.engine.port import Engine
from models.engine.trust import Trust, fingerprint
from models.escalation.answer import Here
from models.escalation.http_above import HttpAbove
from models.escalation.lower import identity_of
from models.escalation.relay import Own
from models.escalation.served import Served, served
from models.family.manifest import Manifest
from models.family.splitting import split
from models.serving.holding import Holding
from node.config.schema import Serving
from node.door.listener import Door
from node.door.server import DoorServer
from tests.models.engine import tiny

PROMPT = [1, 100, 40, 77, 250, 251, 150, 99, 201, 30]


class AcceptingTrust(Trust):
    """For files that the tests have made themselves."""

    def check(self, path: Path) -> str:
        return fingerprint(path)


def family(folder: Path, seed: int = 6) -> Manifest:
    folder.mkdir(parents=True, exist_ok=True)
    source = tiny.nested(folder / "whole.gguf", seed=seed)
    return split(source, folder, AcceptingTrust(folder))


@dataclass
class Tiny:
    """settings: in F32 without fused attention, so that steps of another shape differ by rounding alone."""

    folder: Path
    manifest: Manifest

    def holding(self, member: str, sequences: int = 4, context_tokens: int = 256) -> Holding:
        settings = Serving(
            family=str(self.folder), sequences=sequences, context_tokens=context_tokens, threads=1, fast=False
        )
        found = next(one for one in self.manifest.members if one.name == member)
        return Holding(self.folder, self.manifest, found, settings, lambda: AcceptingTrust(self.folder))

    @property
    def own(self) -> Own:
        identity = identity_of(self.holding("small"))
        after = tiny.EXITS[0] - 1
        return Own(identity.family, identity.version, identity.tokenizer, identity.source, after)

    def here(self, engine: Engine, threshold: float = 0.0) -> Here:
        return Here(engine, "device", self.own, hands_over=True, threshold=threshold)

    def device(self) -> Engine:
        return self.holding("small").engine(sequences=1, tap=tiny.EXITS[0] - 1)

    def upper(self) -> Served:
        return served(lambda: self.holding("large"))


@contextmanager
def listening(upper: Served) -> Iterator[int]:
    """The upper tier on a port of loopback, for whoever comes."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await upper.close()

    app = FastAPI(lifespan=lifespan)
    for router in upper.routers():
        app.include_router(router)
    server = DoorServer(app, Door(None), lifespan="on")
    # Named as TCP, so that small answers are sent at once (asyncio looks at it).
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen(16)
    port = listener.getsockname()[1]
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.005)
    try:
        yield port
    finally:
        server.should_exit = True
        thread.join(5)


def above_at(port: int, timeout_s: float = 10.0) -> HttpAbove:
    return HttpAbove(f"http://127.0.0.1:{port}", "", "edge", timeout_s=timeout_s)


def other_source(own: Own) -> Own:
    return replace(own, source="f" * 64)
