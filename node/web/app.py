"""The web application: health and metrics, the API, and the pages, behind one guard."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from sqlalchemy import Engine

from node import health
from node.config import Config
from node.errors import ConfigError
from node.web import api, pages

LOOPBACK = ("127.0.0.1", "::1", "localhost")
OPEN_PATHS = ("/healthz", "/metrics")
SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; "
    "script-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def create_app(config: Config, engine: Engine) -> FastAPI:
    """Build the application on a registry engine.

    Raises:
        ConfigError: the page would be open to the network without a token.
    """
    token = read_token(config)
    app = FastAPI(title="prepnode", docs_url=None, redoc_url=None, openapi_url="/api/openapi.json")
    metrics = health.metrics_registry(config, engine)

    @app.middleware("http")
    async def guard(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        refusal = refuse(request, config, token)
        response = refusal if refusal is not None else await call_next(request)
        for name, value in SECURITY_HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    @app.get("/healthz")
    def healthz() -> JSONResponse:
        """Each part of the node; 503 when one is down."""
        parts = health.examine(config, engine)
        ok = all(part.ok for part in parts)
        body = {"ok": ok, "parts": {part.name: {"ok": part.ok, "detail": part.detail} for part in parts}}
        return JSONResponse(body, status_code=200 if ok else 503)

    @app.get("/metrics")
    def prometheus() -> Response:
        """Metrics in Prometheus text format."""
        return Response(generate_latest(metrics), media_type=CONTENT_TYPE_LATEST)

    app.include_router(api.router(config, engine), prefix="/api")
    app.include_router(pages.router(config, engine))
    return app


def read_token(config: Config) -> str:
    """Return the token that requests must bear, "" when none is needed.

    Raises:
        ConfigError: the token file is unreadable or too short, or is not set although others reach the page.
    """
    if not config.web.token_file:
        if config.web.host not in LOOPBACK:
            host = config.web.host
            raise ConfigError([f"web.host: others can reach {host}; set `token_file`, or host = '127.0.0.1'"])
        return ""
    try:
        token = Path(config.web.token_file).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigError([f"web.token_file: {config.web.token_file}: {error.strerror}"]) from None
    if len(token) < 32:
        raise ConfigError(
            ["web.token_file: the token is shorter than 32 characters; `openssl rand -hex 32` makes one"]
        )
    return token


def refuse(request: Request, config: Config, token: str) -> Response | None:
    """Return the refusal of a request that may not pass, else None.

    A request must name this node as its host (a page of another site cannot, by DNS
    rebinding), must bear the token where one is set, and must not come from another
    site's form when it changes something.
    """
    host = (request.headers.get("host") or "").rsplit(":", 1)[0].strip("[]")
    if config.web.host in LOOPBACK and host not in LOOPBACK:
        return PlainTextResponse("unknown host", status_code=421)
    if token and request.url.path not in OPEN_PATHS:
        given = request.headers.get("authorization", "").removeprefix("Bearer ").strip()
        if not hmac.compare_digest(given.encode(), token.encode()):
            return PlainTextResponse(
                "a bearer token is needed", status_code=401, headers={"WWW-Authenticate": "Bearer"}
            )
    origin = request.headers.get("origin")
    if (
        request.method not in ("GET", "HEAD")
        and origin
        and origin.split("//", 1)[-1] != request.headers.get("host")
    ):
        return PlainTextResponse("requests from other sites are refused", status_code=403)
    return None
