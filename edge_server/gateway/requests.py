"""What a person may send: checked here, stored as it was said."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from protocol.units import Congestion

Note = Annotated[str, Field(max_length=500)]


class FalseAlarm(BaseModel):
    """alarm: the id of an alarm that was none."""

    model_config = ConfigDict(extra="forbid")

    mistake: Literal["false-alarm"]
    alarm: Annotated[int, Field(ge=1, lt=1 << 62)]
    note: Note = ""


class WrongClass(BaseModel):
    """said: the class that was shown, at at_ms (now when left out); congestion: what it really was."""

    model_config = ConfigDict(extra="forbid")

    mistake: Literal["wrong-class"]
    approach: Annotated[str, Field(max_length=63)]
    congestion: Congestion
    said: Congestion | None = None
    at_ms: Annotated[int, Field(ge=0, lt=1 << 53)] | None = None
    note: Note = ""


CorrectionRequest = Annotated[FalseAlarm | WrongClass, Field(discriminator="mistake")]
