"""What others do, in the same frame: to be compared with."""

from __future__ import annotations

from collections.abc import Sequence

from models.serving.planning.request import Plan, Request, Share


def first_come_whole(requests: Sequence[Request], most_rows: int) -> Plan:
    """Prompts by their arrival, whole, one a step and before everybody who speaks; they wait meanwhile (Orca's and
    early vLLM's order; arXiv 2403.02310, section 3)."""
    waiting = sorted((one for one in requests if not one.speaks), key=lambda one: (one.arrived_s, one.name))
    if waiting:
        return Plan((Share(waiting[0].name, min(most_rows, waiting[0].prompt_left)),), most_rows, 0.0)
    return Plan(tuple(Share(one.name, 1) for one in requests if one.speaks), most_rows, 0.0)


def slot_order(requests: Sequence[Request], most_rows: int) -> Plan:
    """llama-server's: everybody who speaks, then prompts by the number of their slot until the batch is full
    (server-context.cpp, update_slots)."""
    shares = [Share(one.name, 1) for one in requests if one.speaks]
    left = most_rows - len(shares)
    for one in sorted((one for one in requests if not one.speaks), key=lambda one: one.name):
        rows = min(left, one.prompt_left)
        if rows > 0:
            shares.append(Share(one.name, rows))
            left -= rows
    return Plan(tuple(shares), most_rows, 0.0)
