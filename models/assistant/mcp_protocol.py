"""The Model Context Protocol as far as a server of tools needs it: one message in, at most one out. No I/O.

Both eras are spoken: without a handshake, where each request says its version (2026-07-28), and with `initialize`
(2024-11-05 to 2025-11-25). Source: modelcontextprotocol.io/specification, schema of each version.
"""

from __future__ import annotations

from typing import Any

from models.assistant.mcp_tools import McpTools

PER_REQUEST = ("2026-07-28",)
BY_HANDSHAKE = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
PARSE_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND, INVALID_PARAMS = -32700, -32600, -32601, -32602
UNSUPPORTED_VERSION = -32022
_VERSION, _CAPABILITIES = "io.modelcontextprotocol/protocolVersion", "io.modelcontextprotocol/clientCapabilities"
_SERVER = "io.modelcontextprotocol/serverInfo"
# The list of tools does not change while the server runs.
_LIST_TTL_MS = 3_600_000
_INSTRUCTIONS = (
    "Facts about one site's roads, signals, emergency vehicles, devices and cameras, as this machine knows them, and "
    "its owner's notes. Answers are sentences; figures in them are measured."
)


class McpServer:
    """version: of Kinflow."""

    def __init__(self, tools: McpTools, version: str) -> None:
        self._tools = tools
        self._info = {"name": "kinflow", "title": "Kinflow", "version": version}

    def answer(self, message: object) -> dict[str, Any] | None:
        """The response to a request; None for a notification, or a response to us, who ask nothing."""
        if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
            return failure(None, INVALID_REQUEST, "This is no JSON-RPC 2.0 message.")
        number, method = message.get("id"), message.get("method")
        if "id" not in message or (method is None and ("result" in message or "error" in message)):
            return None
        if not isinstance(number, str | int) or isinstance(number, bool) or not isinstance(method, str):
            return failure(None, INVALID_REQUEST, "A request has an id (a text or a whole number) and a method.")
        params = message.get("params", {})
        if not isinstance(params, dict):
            return failure(number, INVALID_PARAMS, "params is an object.")
        return self._request(number, method, params)

    def _request(self, number: str | int, method: str, params: dict[str, Any]) -> dict[str, Any]:
        meta = params.get("_meta", {})
        asked = meta.get(_VERSION) if isinstance(meta, dict) else None
        if asked is not None:
            if asked not in PER_REQUEST:
                data = {"supported": list(PER_REQUEST), "requested": asked}
                return failure(number, UNSUPPORTED_VERSION, "This version is not spoken.", data)
            if not isinstance(meta.get(_CAPABILITIES), dict):
                return failure(number, INVALID_PARAMS, f"_meta lacks {_CAPABILITIES}.")
        result = self._result(method, params, modern=asked is not None)
        if result is None:
            return failure(number, METHOD_NOT_FOUND, f"There is no method {method[:80]!r} here.")
        if isinstance(result, str):
            return failure(number, INVALID_PARAMS, result)
        if asked is not None:
            result = {"resultType": "complete", **result, "_meta": {**result.get("_meta", {}), _SERVER: self._info}}
        return {"jsonrpc": "2.0", "id": number, "result": result}

    def _result(self, method: str, params: dict[str, Any], modern: bool) -> dict[str, Any] | str | None:
        """A text where the parameters are wrong, None where there is no such method."""
        lasts = {"ttlMs": _LIST_TTL_MS, "cacheScope": "public"}
        match method:
            case "server/discover" if modern:
                versions = {"supportedVersions": list(PER_REQUEST), "capabilities": {"tools": {}}}
                return {**versions, "instructions": _INSTRUCTIONS, **lasts}
            case "initialize" if not modern:
                wanted = params.get("protocolVersion")
                spoken = wanted if wanted in BY_HANDSHAKE else BY_HANDSHAKE[-1]
                return {
                    "protocolVersion": spoken,
                    "capabilities": {"tools": {}},
                    "serverInfo": self._info,
                    "instructions": _INSTRUCTIONS,
                }
            case "ping" if not modern:
                return {}
            case "tools/list":
                return {"tools": self._tools.listed(), **(lasts if modern else {})}
            case "tools/call":
                return self._call(params.get("name"), params.get("arguments", {}))
            case _:
                return None

    def _call(self, name: object, arguments: object) -> dict[str, Any] | str:
        if not isinstance(name, str) or not isinstance(arguments, dict):
            return "name is a text, arguments an object."
        return self._tools.call(name, arguments) or f"There is no tool {name[:80]!r} here."


def failure(number: str | int | None, code: int, text: str, data: object = None) -> dict[str, Any]:
    error = {"code": code, "message": text, **({} if data is None else {"data": data})}
    return {"jsonrpc": "2.0", "id": number, "error": error}
