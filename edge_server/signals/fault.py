"""What can be wrong with a controller or with steering it, as a person hears of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from node.identity import Envelope
from protocol.errors import KinflowError
from protocol.messages import Alarm
from protocol.messages.alarm import Severity


@dataclass(frozen=True)
class SignalFault:
    """alarm: its slug. subject: the intersection, or the site. active: False once it is over."""

    alarm: str
    subject: str
    severity: Severity
    error: KinflowError
    active: bool = True

    def over(self) -> SignalFault:
        return replace(self, active=False)

    def message(self, envelope: Envelope) -> Alarm:
        text = self.error.cause_text if self.active else f"Over: {self.error.cause_text}"
        return Alarm(
            **envelope,
            alarm=self.alarm,
            subject=self.subject,
            severity=self.severity,
            active=self.active,
            text=text[:500],
            code=self.error.code,
        )
