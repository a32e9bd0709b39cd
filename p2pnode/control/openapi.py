"""The OpenAPI 3.1 document of the control API, made from the table that makes the routes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from p2pnode.control.operation import Operation
from p2pnode.control.operations import OPERATIONS
from p2pnode.control.parameters import Kind, Parameter, Schema
from p2pnode.ui.fail import EXITS

_ERROR: Schema = {
    "type": "object",
    "properties": {
        "v": {"const": 1},
        "error": {
            "type": "object",
            "properties": {
                "code": {"type": "string", "enum": list(EXITS)},
                "message": {"type": "string"},
                "facts": {"type": "object", "additionalProperties": {"type": "string"}},
            },
            "required": ["code", "message"],
        },
    },
    "required": ["v", "error"],
}


EVENT_PARAMETERS = (
    Parameter("topic", Kind.TEXT, "only messages of this topic; the node subscribes it while this client listens"),
    Parameter("app", Kind.TEXT, "only what this application emits"),
)
_TEXT: Schema = {"type": "string"}


def answer_schema(operation: Operation) -> Schema:
    properties = {name.removesuffix("?"): schema for name, schema in operation.answer.items()}
    required = [name for name in operation.answer if not name.endswith("?")]
    return {"type": "object", "properties": {"v": {"const": 1}, **properties}, "required": ["v", *required]}


def document(version: str) -> dict[str, Any]:
    """`version` is that of the program; the API itself is version 1 by its paths."""
    paths: dict[str, Any] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _described(operation)
    paths["/v1/apps/{app}/{command}"] = {
        "post": {
            "operationId": "post_apps_command",
            "summary": "ask an application: the body is the arguments of its command",
            "parameters": [
                {"name": name, "in": "path", "required": True, "schema": _TEXT} for name in ("app", "command")
            ],
            "requestBody": {"required": False, "content": {"application/json": {"schema": {"type": "object"}}}},
            "responses": _responses({"type": "object", "properties": {"v": {"const": 1}, "answer": {}},
                                     "required": ["v", "answer"]}),
        }
    }  # fmt: skip
    paths["/v1/events"] = {
        "get": {
            "operationId": "get_events",
            "parameters": _query(EVENT_PARAMETERS),
            "summary": "what the peer reports, as server-sent events; a client that falls behind is dropped",
            "responses": {"200": {"description": "events", "content": {"text/event-stream": {"schema": {}}}}},
        }
    }
    paths["/v1/openapi.json"] = {
        "get": {
            "operationId": "get_openapi",
            "summary": "this document",
            "responses": {"200": {"description": "OpenAPI 3.1", "content": {"application/json": {"schema": {}}}}},
        }
    }
    paths["/metrics"] = {
        "get": {
            "operationId": "get_metrics",
            "summary": "counters for Prometheus",
            "responses": {"200": {"description": "text format", "content": {"text/plain": {"schema": {}}}}},
        }
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "p2pnode control API",
            "version": version,
            "description": "HTTP/1.1 on the unix socket control.sock in the home of a node. "
            "Every answer has v = 1; unknown keys may be added, known ones stay.",
        },
        "servers": [{"url": "http://localhost", "description": "curl --unix-socket HOME/control.sock"}],
        "paths": paths,
        "components": {"schemas": {"Error": _ERROR}},
    }


def _described(operation: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "responses": _responses(answer_schema(operation)),
    }
    if operation.method == "GET":
        described["parameters"] = _query(operation.parameters)
    elif operation.parameters:
        described["requestBody"] = {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {
                        "type": "object",
                        "properties": {parameter.name: parameter.schema for parameter in operation.parameters},
                        "required": [parameter.name for parameter in operation.parameters if parameter.required],
                        "additionalProperties": False,
                    }
                }
            },
        }
    return described


def _responses(schema: Schema) -> dict[str, Any]:
    return {
        "200": {"description": "done", "content": {"application/json": {"schema": schema}}},
        "default": {
            "description": "failed; error.code says how",
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
        },
    }


def _query(parameters: Sequence[Parameter]) -> list[dict[str, Any]]:
    return [
        {
            "name": parameter.name,
            "in": "query",
            "required": parameter.required,
            "description": parameter.description,
            "schema": parameter.schema,
        }
        for parameter in parameters
    ]


def main() -> None:
    """`python -m p2pnode.control.openapi > docs/openapi.json`."""
    print(json.dumps(document(version="1"), indent=1))


if __name__ == "__main__":
    main()
