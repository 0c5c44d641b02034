"""The assistant for people who are signed in: questions, and the better answers that they give."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from edge_server.accounts.asking import actor, caller_of
from edge_server.accounts.caller import Caller
from edge_server.accounts.need import need
from edge_server.assistant.facts import Asker, EdgeFacts, Hands
from edge_server.assistant.world import world_of
from edge_server.context import EdgeContext
from edge_server.errors import NotKnown
from edge_server.gateway.feed import Feed
from models.assistant.desk import Desk
from models.assistant.diary import Entry
from models.assistant.reply import Policy
from models.errors import NotInDiary

LINES = "application/x-ndjson"
# A question has 2,000 characters at most: what is longer is told so in words, up to here.
_MOST = 20_000


class Question(BaseModel):
    """conversation: what belongs together, so that a yes finds what was asked back."""

    model_config = ConfigDict(extra="forbid")

    question: Annotated[str, Field(max_length=_MOST)]
    conversation: Annotated[str, Field(max_length=64)] = ""
    max_tier: Literal["device", "edge", "cloud"] = "edge"
    share_notes: bool = False
    too_long: Literal["refuse", "newest", "summarise"] = "refuse"


class Better(BaseModel):
    model_config = ConfigDict(extra="forbid")

    question: Annotated[str, Field(min_length=1, max_length=_MOST)]
    answer: Annotated[str, Field(max_length=_MOST)]
    better: Annotated[str, Field(min_length=1, max_length=_MOST)]
    tool: Annotated[str, Field(max_length=40)] = ""


class BetterView(BaseModel):
    """A better answer that its owner gave. Nothing learns from it by itself."""

    id: int
    made_ms: int
    question: str
    answer: str
    better: str
    tool: str


def assistant_api(edge: EdgeContext, feed: Feed, desk: Desk) -> APIRouter:
    router = APIRouter(prefix="/api/v1/assistant", tags=["assistant"])
    hands = Hands(edge.home, edge.configure, edge.accounts.audit)

    @router.post("/ask", response_class=StreamingResponse, responses={200: {"content": {LINES: {}}}})
    @need("viewer")
    async def ask(request: Request, asked: Question) -> StreamingResponse:
        """Answer a question in lines of JSON: `step`, `piece`, and at last `reply` or `fault`. A change needs the role
        that the change itself needs."""
        caller = caller_of(request)
        seen = world_of(feed.board, edge.device, edge.clock.wall_ms())
        facts = EdgeFacts(seen, edge.read, edge.clock, Asker(actor(request), caller.role), hands)
        policy = Policy(max_tier=asked.max_tier, share_notes=asked.share_notes, too_long=asked.too_long)
        lines = desk.lines(facts, asked.question, policy, owner_of(caller), asked.conversation)
        return StreamingResponse(lines, media_type=LINES, headers={"X-Accel-Buffering": "no"})

    @router.get("/corrections")
    @need("viewer")
    def corrections(request: Request) -> list[BetterView]:
        """The better answers that the caller gave, newest first."""
        return [_view(one) for one in reversed(desk.corrections(owner_of(caller_of(request))).all())]

    @router.post("/corrections", status_code=201)
    @need("viewer")
    async def correct(request: Request, said: Better) -> BetterView:
        """Keep a better answer. Nothing learns from it by itself."""
        kept = desk.corrections(owner_of(caller_of(request)))
        now_ms = edge.clock.wall_ms()
        return _view(await run_in_threadpool(kept.add, said.question, said.answer, said.better, said.tool, now_ms))

    @router.delete("/corrections/{number}", status_code=204)
    @need("viewer")
    async def withdraw(request: Request, number: Annotated[int, Path(ge=1, lt=1 << 62)]) -> None:
        """Delete one of the caller's own."""
        try:
            await run_in_threadpool(desk.corrections(owner_of(caller_of(request))).delete, number)
        except NotInDiary as error:
            raise NotKnown(kind="correction", name=str(number)) from error

    return router


def owner_of(caller: Caller) -> str:
    """Whose notes: those of an account or a token are its own. Who holds the machine's key, or sits at it before there
    is any account, has those of its commands."""
    return "" if caller.way in {"root", "local"} else f"{caller.way}:{caller.name}"


def _view(entry: Entry) -> BetterView:
    return BetterView(id=entry.id, made_ms=entry.made_ms, **entry.body)
