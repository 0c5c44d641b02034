"""The API as OpenAPI: what FastAPI knows of the routes, and what the guard and the errors add to every one of them."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from edge_server.gateway.route_table import RouteTable

_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "cause", "advice"],
            "properties": {
                "code": {"type": "string", "pattern": "^KF[0-9]+$", "description": "docs/errors has a page for each"},
                "cause": {"type": "string"},
                "advice": {"type": "string"},
            },
        }
    },
}
_WORDS = {
    400: "not HTTP as we speak it",
    401: "nobody is signed in, or the token is none of ours",
    403: "a foreign origin, a role that is too low, or a password that is wrong",
    404: "not there",
    409: "it contradicts what is there",
    413: "the body is larger than 64 KiB",
    421: "a name that this server is not called by",
    422: "not understood",
    429: "too many tries, or too many who wait; Retry-After says how long to wait",
    503: "the server can't do it now",
}
_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "a program's token, or the machine's own key"},
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": "kinflow_edge",
        "description": "made by signing in at /login",
    },
}


def describe(app: FastAPI, table: RouteTable) -> dict[str, Any]:
    """The whole description. Each operation names its need as `x-kinflow-needs`."""
    described = app.openapi()
    needs = {(line.path, line.method): line.needs for line in table.lines()}
    components = described.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    schemas["Error"] = _ERROR
    for left_over in ("HTTPValidationError", "ValidationError"):
        schemas.pop(left_over, None)
    components["securitySchemes"] = _SCHEMES
    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            _complete(operation, path, method.upper(), needs.get((path, method.upper())))
    return described


def _complete(operation: dict[str, Any], path: str, method: str, needs: str | None) -> None:
    operation["x-kinflow-needs"] = needs
    statuses = {400, 403, 421, 503}
    if needs not in {"public", "device"}:
        operation["security"] = [{"bearer": []}, {"session": []}]
    if needs != "public":
        statuses.add(401)
    if "{" in path or "requestBody" in operation:
        statuses.add(404)
    if operation.get("parameters") or "requestBody" in operation:
        statuses.add(422)
    if method not in {"GET", "HEAD"}:
        statuses |= {409, 413, 422}
    if path.endswith("/password"):
        statuses.add(429)
    if path.startswith("/v1/"):
        statuses |= {404, 429}
    responses = operation["responses"]
    for status in sorted(statuses):
        key = str(status)
        # What a route says itself of a status stays; FastAPI's own form of 422 is not what is sent.
        if key not in responses or status == 422:
            content = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
            responses[key] = {"description": _WORDS[status], "content": content}
