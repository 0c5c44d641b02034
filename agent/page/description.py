"""The page's requests as OpenAPI 3.1. `python -m agent.page.description > docs/agent-openapi.json` writes it down."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from agent.page.assistant import PREFIX, Better, Question
from agent.page.requests import CHAT, LINES, STATIC, Wish

_ERROR = {"cause": {"type": "string"}, "advice": {"type": "string"}, "code": {"type": "string"}}
_WORDS = {
    200: "well",
    201: "kept",
    400: "not understood",
    401: "no token, or a wrong one",
    403: "not this machine's own address or page",
    404: "no such thing",
    413: "larger than 16 KiB, or of no length",
    422: "a road that can't be, or no question: the code says why",
    503: "the camera has sent no picture yet, or none that may be shown",
}
_POINT = {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2}
_CALIBRATION = {
    "points": {"type": "array", "items": _POINT, "minItems": 4, "maxItems": 4},
    "picture": {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 2},
    "road_width_m": {"type": "number"},
    "visible_length_m": {"type": "number"},
    "lanes": {"type": "integer"},
    "calibrated": {"type": "boolean"},
}
_CAMERA = {
    "camera": {"type": "string"},
    "source": {"type": "string"},
    "state": {"type": "string"},
    "detail": {"type": "string"},
}


def describe() -> dict[str, Any]:
    """Every request that the page answers, each with every status that it may have."""
    (wish, asked, better), defined = msgspec.json.schema_components(
        [Wish, Question, Better], ref_template="#/components/schemas/{name}"
    )
    camera = {
        "type": "object",
        "required": list(_CAMERA),
        "properties": {**_CAMERA, "calibration": _object(_CALIBRATION)},
    }
    asks = _asks(wish)
    one = {
        "parameters": [{"name": "camera", "in": "path", "required": True, "schema": {"type": "string"}}],
    }
    seen = {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}
    drawn = {"image/svg+xml": {"schema": {"type": "string"}}}
    saved = {"application/json": {"schema": _object({"lanes": {"type": "integer"}})}}
    listed = {"application/json": {"schema": {"type": "array", "items": camera}}}
    paths: dict[str, Any] = {
        "/api/cameras": {"get": {"summary": "The cameras.", **_answers(listed, 401, 403)}},
        "/api/cameras/{camera}/snapshot.jpg": {
            **one,
            "get": {"summary": "The newest picture.", **_answers(seen, 401, 403, 404, 503)},
        },
        "/api/cameras/{camera}/thumbnail.svg": {
            **one,
            "get": {"summary": "A drawing of road, vehicles and queue.", **_answers(drawn, 401, 403, 404, 503)},
        },
        "/api/cameras/{camera}/thumbnail.jpg": {
            **one,
            "get": {
                "summary": "A small picture with vehicles and people pixelated, where that is switched on.",
                **_answers(seen, 401, 403, 404, 503),
            },
        },
        "/api/cameras/{camera}/preview": {
            **one,
            "post": {
                "summary": "The road from above, as it would be.",
                **asks,
                **_answers(seen, 400, 401, 403, 404, 413, 422, 503),
            },
        },
        "/api/cameras/{camera}/calibration": {
            **one,
            "put": {"summary": "Keep where the road lies.", **asks, **_answers(saved, 400, 401, 403, 404, 413, 422)},
        },
    }
    paths.update(_assistant(asked, better))
    for path, (*_, kind) in {**STATIC, **CHAT}.items():
        body = {"type": "object"} if "json" in kind else {"type": "string"}
        file = {kind.partition(";")[0]: {"schema": body}}
        paths[path] = {"get": {"summary": "A file of the page.", "security": [], **_answers(file, 403)}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Kinflow agent's page", "version": "1"},
        "security": [{"bearer": []}],
        "paths": paths,
        "components": {
            "schemas": {**defined, "Error": _object(_ERROR)},
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    }


def _assistant(asked: dict[str, Any], better: dict[str, Any]) -> dict[str, Any]:
    lines = {LINES: {"schema": {"type": "string"}}}
    texts = {name: {"type": "string"} for name in ("question", "answer", "better", "tool")}
    row = _object({"id": {"type": "integer"}, "made_ms": {"type": "integer"}, **texts})
    tiers = _object({"tiers": {"type": "array", "items": {"type": "string"}}})
    number = {"name": "number", "in": "path", "required": True, "schema": {"type": "string"}}
    return {
        PREFIX: {"get": {"summary": "Which tiers may answer here.", **_answers(_json(tiers), 401, 403)}},
        f"{PREFIX}/ask": {
            "post": {
                "summary": "Answer a question in lines of JSON: step, piece, and at last reply or fault.",
                **_asks(asked),
                **_answers(lines, 400, 401, 403, 413, 422),
            }
        },
        f"{PREFIX}/corrections": {
            "get": {
                "summary": "The better answers that were given.",
                **_answers(_json({"type": "array", "items": row}), 401, 403, 422),
            },
            "post": {
                "summary": "Keep a better answer. Nothing learns from it by itself.",
                **_asks(better),
                **_answers(_json(row), 400, 401, 403, 413, 422, well=201),
            },
        },
        f"{PREFIX}/corrections/{{number}}": {
            "parameters": [number],
            "delete": {"summary": "Delete one.", **_answers(_json(_object({})), 401, 403, 404, 422)},
        },
    }


def _asks(schema: dict[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "required": list(properties), "properties": properties}


def _answers(content: dict[str, Any], *others: int, well: int = 200) -> dict[str, Any]:
    error = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    answers = {str(well): {"description": _WORDS[well], "content": content}}
    return {
        "responses": answers | {str(status): {"description": _WORDS[status], "content": error} for status in others}
    }


if __name__ == "__main__":
    print(json.dumps(describe(), indent=1))
