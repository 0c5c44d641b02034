"""An operator's word to an agent that a vehicle comes by an approach, and what the agent makes of it."""

from __future__ import annotations

import queue
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from edge_server.errors import AgentUnheard, ApproachUnwatched, DeclarationUnanswered
from node.broker.address import parse_broker
from node.broker.paho_client import PahoClient
from node.broker.password import USERNAME, broker_password, has_broker_password
from node.broker.port import BrokerAddress, Received
from node.clock import Clock
from node.config.schema import Broker
from node.identity import Identity
from protocol.codec import decode_addressed, encode
from protocol.errors import KinflowError
from protocol.ids import ApproachId, DeviceId
from protocol.messages import Birth, Declaration, Message, Observation
from protocol.messages.observation import EmergencyKind, EmergencyState
from protocol.topics import DECLARATION, OBSERVATION, PRESENCE

ANSWER_S = 5.0


@dataclass(frozen=True)
class Wanted:
    """valid_ms: 0 ends what this edge server declared there."""

    agent: DeviceId
    approach: ApproachId
    vehicle: EmergencyKind
    valid_ms: int


def broker_of(home: Path, settings: Broker) -> BrokerAddress:
    """The broker that the edge server of this state folder uses. Raises AgentUnheard (KF300) where it never ran."""
    if settings.url:
        return parse_broker(settings.url)
    if not has_broker_password(home):
        raise AgentUnheard(agent="any agent", detail=f"no edge server has run from {home} yet")
    return BrokerAddress(port=settings.port, username=USERNAME, password=broker_password(home))


def declare(
    address: BrokerAddress, prefix: str, edge: DeviceId, wanted: Wanted, clock: Clock, *, answer_s: float = ANSWER_S
) -> EmergencyState:
    """Bring it, and wait for the agent to take it: the approach's emergency state after that.

    Raises AgentUnheard (KF300) where the agent is not there, ApproachUnwatched (KF301) where it has no camera on the
    approach, DeclarationUnanswered (KF302) where it doesn't take it.
    """
    identity, heard = Identity(edge, clock), _Heard(prefix)
    client = PahoClient(address, f"{edge}.declare-{secrets.token_hex(4)}")
    client.subscribe(PRESENCE.of(wanted.agent, prefix=prefix), PRESENCE.qos, heard.put)
    watched = OBSERVATION.every(prefix).replace("/+/", f"/{wanted.agent}/", 1)
    client.subscribe(watched, OBSERVATION.qos, heard.put)
    client.start()
    try:
        birth = heard.wait(lambda one: isinstance(one, Birth), answer_s)
        if not isinstance(birth, Birth):
            raise AgentUnheard(agent=wanted.agent, detail=str(client.error or "the broker holds no registration of it"))
        approaches = {camera.approach for camera in birth.cameras}
        if wanted.approach not in approaches:
            raise ApproachUnwatched(
                agent=wanted.agent, approach=wanted.approach, known=", ".join(sorted(approaches)) or "none"
            )
        said = Declaration(
            **identity.live(),
            approach=wanted.approach,
            vehicle=wanted.vehicle,
            beacons=True,
            authenticated=True,
            agent_boot=birth.boot,
            sequence=clock.wall_ms(),
            valid_ms=wanted.valid_ms,
        )
        client.publish(DECLARATION.of(wanted.agent, prefix=prefix), encode(said), DECLARATION.qos)

        def taken(one: Message) -> bool:
            if not isinstance(one, Observation) or one.approach != wanted.approach:
                return False
            return ("declared" in one.emergency_senses) is (wanted.valid_ms > 0)

        answer = heard.wait(taken, answer_s)
        if not isinstance(answer, Observation):
            raise DeclarationUnanswered(agent=wanted.agent, approach=wanted.approach, waited_s=round(answer_s))
        return answer.emergency
    finally:
        client.stop()


class _Heard:
    """What the agent says, in order; what can't be read is passed over."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._waiting: queue.SimpleQueue[Received] = queue.SimpleQueue()

    def put(self, received: Received) -> None:
        self._waiting.put(received)

    def wait(self, wanted: Callable[[Message], bool], seconds: float) -> Message | None:
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            with suppress(queue.Empty, KinflowError):
                received = self._waiting.get(timeout=left)
                if received.payload:
                    message = decode_addressed(received.topic, received.payload, self._prefix)[1]
                    if wanted(message):
                        return message
        return None
