"""From HTTP to the core and back: routes made from the table of operations, errors in one form."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from importlib.metadata import entry_points
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from overlay.limits import MAX_TOPIC
from overlay.wire.publication import is_topic
from p2pnode.control import metrics, openapi
from p2pnode.control.auth import Guard
from p2pnode.control.events import EventStream, Wanted
from p2pnode.control.operation import Operation
from p2pnode.control.operations import OPERATIONS
from p2pnode.control.parameters import BadArgument, checked, from_query
from p2pnode.control.view import NodeView
from p2pnode.driver import CommandFailed
from p2pnode.ui.values import to_json

log = logging.getLogger(__name__)

#: HTTP status of each code of a failed command; the code itself is in the body.
_STATUS = {"usage": 400, "not_found": 404, "not_verified": 422, "timed_out": 504}
#: Entry points `routes(view) -> [BaseRoute, ...]`, served below /v1/NAME.
PLUGINS = "p2pnode.routes"


def build_app(view: NodeView) -> ASGIApp:
    stream = EventStream(view)
    routes: list[BaseRoute] = [_route(view, operation) for operation in OPERATIONS]
    routes += [
        Route("/v1/apps/{app}/{command}", _app_command(view), methods=["POST"]),
        Route("/v1/events", _events(stream), methods=["GET"]),
        Route("/v1/openapi.json", _openapi(view), methods=["GET"]),
        Route("/metrics", _metrics(view), methods=["GET"]),
        *_plugins(view),
    ]
    handlers: dict[Any, Any] = {HTTPException: _http_error, Exception: _bug}
    return Guard(Starlette(routes=routes, exception_handlers=handlers))


def answer(value: dict[str, Any], *, status: int = 200) -> Response:
    """A JSON object with "v": 1 first; bytes inside become text or {"base64": ...}."""
    body = json.dumps({"v": 1} | value, default=_bytes_to_json)
    return Response(body + "\n", status, media_type="application/json", headers={"Cache-Control": "no-store"})


def refusal(code: str, message: str, *, facts: Mapping[str, str] | None = None, status: int | None = None) -> Response:
    error = {"code": code, "message": message, "facts": dict(facts or {})}
    return answer({"error": error}, status=status or _STATUS.get(code, 500))


def _route(view: NodeView, operation: Operation) -> Route:
    async def endpoint(request: Request) -> Response:
        try:
            arguments = checked(operation.parameters, await _given(operation, request))
            return answer(await operation.run(view, arguments))
        except BadArgument as error:
            return refusal("usage", str(error))
        except CommandFailed as error:
            return refusal(error.code, error.message, facts=error.facts)
        except ClientDisconnect:
            return refusal("failed", "the client went away in its request")  # nobody reads it

    return Route(operation.path, endpoint, methods=[operation.method], name=operation.name)


async def _given(operation: Operation, request: Request) -> dict[str, object]:
    if operation.method == "GET":
        return from_query(operation.parameters, request.query_params)
    return await _object(request)


async def _object(request: Request) -> dict[str, object]:
    text = await request.body()
    try:
        body = json.loads(text) if text else {}
    except (ValueError, RecursionError):
        raise BadArgument("the body is not JSON") from None
    if not isinstance(body, dict):
        raise BadArgument("the body is not a JSON object")
    return body


def _events(stream: EventStream) -> ASGIApp:
    async def endpoint(scope: Scope, receive: Receive, send: Send) -> None:
        if stream.is_full:
            await refusal("failed", f"{stream.clients} clients listen already", status=503)(scope, receive, send)
        else:
            try:
                wanted = _wanted(dict(Request(scope).query_params))
            except BadArgument as error:
                await refusal("usage", str(error))(scope, receive, send)
                return
            await stream(scope, receive, send, wanted)

    return _Asgi(endpoint)


def _wanted(query: dict[str, str]) -> Wanted:
    given = checked(openapi.EVENT_PARAMETERS, query)
    if "topic" in given and not is_topic(given["topic"]):
        raise BadArgument(f"topic: expected 1 to {MAX_TOPIC} bytes of printable text, got {given['topic'][:80]!r}")
    return Wanted(**given)


def _app_command(view: NodeView) -> Any:
    """The body is the arguments, whatever they are: the application checks them."""

    async def endpoint(request: Request) -> Response:
        try:
            args = await _object(request)
            value = await view.command("app", **request.path_params, args=args)
            return answer({"answer": value})
        except BadArgument as error:
            return refusal("usage", str(error))
        except CommandFailed as error:
            return refusal(error.code, error.message, facts=error.facts)
        except ClientDisconnect:
            return refusal("failed", "the client went away in its request")

    return endpoint


class _Asgi:
    """Starlette takes a function for a request handler, an object for an ASGI application."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


def _openapi(view: NodeView) -> Any:
    async def endpoint(_request: Request) -> Response:
        return Response(json.dumps(openapi.document(view.version)) + "\n", media_type="application/json")

    return endpoint


def _metrics(view: NodeView) -> Any:
    status = next(operation for operation in OPERATIONS if operation.path == "/v1/status")

    async def endpoint(_request: Request) -> Response:
        try:
            return Response(
                metrics.exposition(await status.run(view, {})), headers={"Content-Type": metrics.CONTENT_TYPE}
            )
        except CommandFailed as error:
            return refusal(error.code, error.message)

    return endpoint


def _plugins(view: NodeView) -> list[BaseRoute]:
    """A plug-in that cannot be loaded costs its own routes, not the node."""
    mounts: list[BaseRoute] = []
    for entry in sorted(entry_points(group=PLUGINS), key=lambda entry: entry.name):
        try:
            routes: Sequence[BaseRoute] = entry.load()(view)
            mounts.append(Mount(f"/v1/{entry.name}", routes=list(routes)))
        except Exception:
            log.exception("the routes of %s cannot be served", entry.name)
    return mounts


def _bytes_to_json(value: object) -> object:
    if isinstance(value, bytes):
        return to_json(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


async def _http_error(request: Request, error: HTTPException) -> Response:
    message = f"{request.method} {request.url.path}: {error.detail}"
    response = refusal("usage", message, status=error.status_code)
    response.headers.update(error.headers or {})
    return response


async def _bug(request: Request, error: Exception) -> Response:
    log.error("%s %s raised", request.method, request.url.path, exc_info=error)
    return refusal("failed", f"a bug in the node: {type(error).__name__}; its log has the details", status=500)
