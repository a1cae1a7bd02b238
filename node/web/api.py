"""The REST API: series, their actions, deliveries."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, HTTPException, Query
from sqlalchemy import Engine

from node.clock import utc_now
from node.config import Config
from node.errors import IllegalMoveError, RegistryError
from node.registry import queries
from node.registry.repository import Repository

Limit = Annotated[int, Query(ge=1, le=1000)]
Action = Literal["complete", "reprocess", "release", "reject"]


def router(config: Config, engine: Engine) -> APIRouter:
    """Build the routes on a registry engine."""
    del config
    routes = APIRouter()

    @routes.get("/series")
    def list_series(
        state: str | None = None, modality: str | None = None, limit: Limit = 100
    ) -> list[dict[str, Any]]:
        """Series, the latest first."""
        return queries.series_list(engine, state=state, modality=modality, limit=limit)

    @routes.get("/series/{uid}")
    def show_series(uid: str) -> dict[str, Any]:
        """One series with its volumes, findings, outputs, deliveries and history."""
        found = queries.series_show(engine, uid)
        if found is None:
            raise HTTPException(404, "no such series")
        return found

    @routes.post("/series/{uid}/{action}")
    def change_series(uid: str, action: Action) -> dict[str, Any]:
        """Complete, reprocess, release or reject a series: a person's word."""
        try:
            state = Repository(engine).act(uid, action, who="web", now=utc_now())
        except IllegalMoveError as error:
            raise HTTPException(409, str(error)) from None
        except RegistryError as error:
            raise HTTPException(404, str(error)) from None
        return {"SeriesInstanceUID": uid, "state": state}

    @routes.get("/deliveries")
    def list_deliveries(state: str | None = None, limit: Limit = 100) -> list[dict[str, Any]]:
        """Deliveries, the latest first."""
        return queries.deliveries_list(engine, state=state, limit=limit)

    return routes
