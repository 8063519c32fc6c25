"""The ASGI application of the HTTP port."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from importlib.resources import files

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from spyglass_contract.errors import NotFound, SpyglassError, Unimplemented
from spyglass_server.faults import public_error
from spyglass_server.http.open_inference.answers import error_response
from spyglass_server.http.statuses import problem_response

Check = Callable[[], str]
"""Returns why something is not well; an empty text: it is well."""

_MAX_QUOTED = 100


def application(routes: Iterable[BaseRoute], alive: Check, ready: Check) -> Starlette:
    """Return the application with these routes, the checks of health, and the OpenAPI document."""
    document = files(__package__).joinpath("openapi.json").read_bytes()

    async def openapi(request: Request) -> Response:
        return Response(document, media_type="application/json")

    app = Starlette(
        routes=[
            *routes,
            Route("/openapi.json", openapi, methods=["GET"]),
            Route("/healthz", _checked(alive), methods=["GET"]),
            Route("/readyz", _checked(ready), methods=["GET"]),
        ],
        exception_handlers={HTTPException: _http_problem, Exception: _fault},
    )
    # A redirection would name the host that the caller named.
    app.router.redirect_slashes = False
    return app


def _checked(check: Check) -> Callable[[Request], object]:
    async def respond(request: Request) -> Response:
        problem = check()
        return PlainTextResponse(f"{problem or 'ok'}\n", 503 if problem else 200)

    return respond


async def _http_problem(request: Request, error: Exception) -> Response:
    """Tell of a path or a method that does not exist."""
    assert isinstance(error, HTTPException)
    path = request.url.path[:_MAX_QUOTED]
    problem: SpyglassError
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "")
        problem = Unimplemented(
            f"{path} takes {allowed}, not {request.method[:20]}", reason="METHOD_NOT_ALLOWED"
        )
    else:
        problem = NotFound(f"there is no path {path!r}; /openapi.json lists them", reason="PATH_UNKNOWN")
    response = _told(request, problem, uuid.uuid4().hex)
    response.headers.update(error.headers or {})
    return response


async def _fault(request: Request, error: Exception) -> Response:
    request_id = uuid.uuid4().hex
    return _told(request, public_error(error, request_id), request_id)


def _told(request: Request, error: SpyglassError, request_id: str) -> Response:
    told = error_response if f"{request.url.path}/".startswith("/v2/") else problem_response
    return told(error, request_id)
