"""What stands in a cabinet, as the site file says it: how the signal controller there is spoken to.

An intersection without it has a controller that speaks MQTT by itself (docs/mqtt.md). No key stands here: the site file
goes to both edge servers of a pair, and to whoever may see the site.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from protocol.ids import PhaseId, StageId

Authentication = Literal["none", "md5", "sha-1", "sha-224", "sha-256", "sha-384", "sha-512"]
Privacy = Literal["none", "des", "aes-128", "aes-192", "aes-256"]


class Cabinet(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A controller that speaks NTCIP 1202 over SNMP.

    address: HOST or HOST:PORT (161). user: its SNMPv3 user. acts: whether it may be written to; without it the
    gateway only records. insecure: take
    what can be forged all the same. phases: [phase of this file, phase of the controller], where the numbers differ; a
    pedestrian phase has the number of the controller's phase that it walks in. pattern: systemPatternControl while a
    lease is held: 254 (free), a pattern, or 0 to leave it. preempts: [stage, preempt] for stages that a pre-empting
    vehicle gets by preemptControlState. backup_most_s: a longer unitBackupTime is not acted under."""

    protocol: Literal["ntcip-1202"] = "ntcip-1202"
    address: Annotated[str, Meta(min_length=1, max_length=255)]
    user: Annotated[str, Meta(min_length=1, max_length=32)] = "kinflow"
    version: Literal["v3", "v2c", "v1"] = "v3"
    authentication: Authentication = "sha-256"
    privacy: Privacy = "aes-128"
    acts: bool = False
    insecure: bool = False
    phases: tuple[tuple[PhaseId, Annotated[int, Meta(ge=1, le=32)]], ...] = ()
    pattern: Annotated[int, Meta(ge=0, le=254)] = 254
    preempts: tuple[tuple[StageId, Annotated[int, Meta(ge=1, le=255)]], ...] = ()
    backup_most_s: Annotated[int, Meta(ge=2, le=3600)] = 60

    @property
    def host(self) -> str:
        return self.address.rpartition(":")[0] or self.address

    @property
    def port(self) -> int:
        """Raises ValueError where the text after the colon is no port."""
        _, colon, port = self.address.rpartition(":")
        number = int(port) if colon else 161
        if not 0 < number < 65536:
            raise ValueError(port)
        return number
