"""The assistant's tools as MCP describes and calls them. What asks back is done by the tool `confirm`, which only MCP
has: a program must call it, and a person sees it do so."""

from __future__ import annotations

from typing import Any

from models.assistant.skills import Pending, Result, Skills
from models.assistant.tools import OPTIONAL, REQUIRED, STATUSES, ArgumentKind, Tool
from node.config.settable import SETTABLE

CONFIRM = "confirm"
_WHAT = {
    Tool.GET_CONGESTION: "How full the approaches of an intersection are, now or over the last minutes.",
    Tool.GET_SIGNAL: "What the signals of an intersection show, since when, and who steers them.",
    Tool.LIST_EMERGENCY: "Emergency vehicles that are seen, and those that have or wait for signals.",
    Tool.GET_DEVICE: "How a device is.",
    Tool.LIST_DEVICES: "The devices, or those of one status.",
    Tool.GET_CAMERA: "How a device's cameras are, and what they see.",
    Tool.SET_SETTING: "Propose to change a setting of a device. It is done once `confirm` is called with yes = true.",
    Tool.REMEMBER: "Keep a note on this machine.",
    Tool.RECALL: "Notes about a topic.",
    Tool.FORGET: "Propose to delete the notes about a topic. It is done once `confirm` is called with yes = true.",
}
_READS = {
    Tool.GET_CONGESTION,
    Tool.GET_SIGNAL,
    Tool.LIST_EMERGENCY,
    Tool.GET_DEVICE,
    Tool.LIST_DEVICES,
    Tool.GET_CAMERA,
    Tool.RECALL,
}
_KINDS: dict[ArgumentKind, dict[str, Any]] = {
    "intersection": {"type": "string", "description": "its id or name"},
    "approach": {"type": "string", "description": "its id or name"},
    "device": {"type": "string", "description": "its id or name"},
    "setting": {"type": "string", "enum": list(SETTABLE)},
    "minutes": {"type": "integer", "minimum": 1, "description": "how far back"},
    "status": {"type": "string", "enum": list(STATUSES)},
    "value": {"type": ["string", "number", "boolean"]},
    "text": {"type": "string"},
}


class McpTools:
    """skills: of the one who runs the server. One thing at a time waits for a yes."""

    def __init__(self, skills: Skills) -> None:
        self._skills = skills
        self._pending: Pending | None = None

    def listed(self) -> list[dict[str, Any]]:
        return [*(_described(one) for one in Tool if one is not Tool.NONE), _confirm()]

    def call(self, name: str, arguments: dict[str, Any]) -> dict[str, Any] | None:
        """A CallToolResult; None where there is no such tool. A tool that fails says so in its result."""
        if name == CONFIRM:
            result = self._confirmed(arguments)
        elif name in set(Tool) - {Tool.NONE}:
            result = self._skills.do(Tool(name), arguments)
            self._pending = result.pending
        else:
            return None
        told: dict[str, Any] = {"content": [{"type": "text", "text": result.text}], "isError": bool(result.code)}
        if result.code:
            told["_meta"] = {"kinflow/code": result.code}
        return told

    def _confirmed(self, arguments: dict[str, Any]) -> Result:
        pending, self._pending = self._pending, None
        if pending is None:
            return Result(text="Nothing waits for a yes.", code="KF495")
        if arguments.get("yes") is not True:
            return Result(text="Nothing was changed.")
        return self._skills.confirm(pending)


def _described(tool: Tool) -> dict[str, Any]:
    kinds = {**REQUIRED[tool], **OPTIONAL.get(tool, {})}
    reads = tool in _READS
    return {
        "name": tool.value,
        "description": _WHAT[tool],
        "inputSchema": {
            "type": "object",
            "properties": {name: _KINDS[kind] for name, kind in kinds.items()},
            "required": list(REQUIRED[tool]),
            "additionalProperties": False,
        },
        "annotations": {"readOnlyHint": reads, "destructiveHint": False, "openWorldHint": False},
    }


def _confirm() -> dict[str, Any]:
    return {
        "name": CONFIRM,
        "description": "Say yes or no to what the last tool proposed. Ask the person first.",
        "inputSchema": {
            "type": "object",
            "properties": {"yes": {"type": "boolean"}},
            "required": ["yes"],
            "additionalProperties": False,
        },
        "annotations": {"readOnlyHint": False, "destructiveHint": True, "openWorldHint": False},
    }
