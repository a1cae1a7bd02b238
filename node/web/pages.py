"""The pages: what is happening, and one series with its report and history."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import APIRouter, HTTPException
from fastapi.responses import FileResponse, HTMLResponse, Response
from jinja2 import Environment, FileSystemLoader, select_autoescape
from sqlalchemy import Engine

from node import health
from node.config import Config
from node.registry import queries
from node.registry.states import SeriesState

LIMIT = 50  # rows of a table on a page
TEMPLATES = Path(__file__).parent / "templates"


def router(config: Config, engine: Engine) -> APIRouter:
    """Build the routes on a registry engine."""
    routes = APIRouter(default_response_class=HTMLResponse)
    environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=select_autoescape(default=True))
    environment.filters["words"] = _words

    @routes.get("/")
    def happening() -> str:
        """What the node does: its parts, what waits for a person, and the latest series."""
        return environment.get_template("home.html").render(
            config=config,
            parts=health.examine(config, engine),
            counts=queries.counts(engine),
            held=queries.series_list(engine, state=SeriesState.HELD, limit=LIMIT),
            failed=queries.series_list(engine, state=SeriesState.FAILED, limit=LIMIT),
            rows=queries.series_list(engine, limit=LIMIT),
        )

    @routes.get("/series/{uid}")
    def one_series(uid: str) -> str:
        """One series: verdict, findings, history."""
        found = queries.series_show(engine, uid)
        if found is None:
            raise HTTPException(404, "no such series")
        return environment.get_template("series.html").render(
            series=found, report=_report(config, found) is not None
        )

    @routes.get("/series/{uid}/report")
    def report(uid: str) -> Response:
        """The report page of the current revision."""
        found = queries.series_show(engine, uid)
        path = _report(config, found) if found else None
        if path is None:
            raise HTTPException(404, "no report yet")
        return FileResponse(path, media_type="text/html")

    return routes


def _report(config: Config, series: dict[str, Any]) -> Path | None:
    """Return the report page of a series' current revision, when it is there.

    The path is built from registry values that were validated as UIDs when they were
    registered; it is checked again here, so that no value leads out of the outputs folder.
    """
    root = config.outputs_dir.resolve()
    path = (
        root
        / series["StudyInstanceUID"]
        / series["SeriesInstanceUID"]
        / f"r{series['revision']}"
        / "report.html"
    )
    return path if path.is_file() and path.resolve().is_relative_to(root) else None


def _words(details: Any) -> str:
    """Write the details of an event as a line of text: "reason: ..., who: ..."."""
    if not isinstance(details, dict):
        return str(details or "")
    return ", ".join(
        f"{name}: {', '.join(map(str, value)) if isinstance(value, list) else value}"
        for name, value in details.items()
    )
