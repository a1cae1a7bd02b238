"""Intensity landmarks and models: what is kept of each accepted volume, and which fit is in use.

    candidate -> active -> retired -> active ...

A fit never changes: a new one is a new version. At most one version of a kind and cohort is active.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Engine, delete, func, insert, select, update

from node.errors import RegistryError
from node.registry.database import reading
from node.registry.history import record
from node.registry.schema import IntensityModel, Landmarks

CONTENT = ("positions", "values", "spread")


class ModelState(StrEnum):
    """Where a model is: fitted, in use, or kept for what was made with it."""

    CANDIDATE = "candidate"
    ACTIVE = "active"
    RETIRED = "retired"


def note_landmarks(
    connection: Connection,
    key: Mapping[str, Any],
    volumes: Sequence[Mapping[str, Any]],
    *,
    profile: str | None,
    now: datetime,
) -> None:
    """Keep the landmarks of the accepted volumes of a revision, in place of those of earlier revisions."""
    connection.execute(delete(Landmarks).where(Landmarks.SeriesInstanceUID == key["SeriesInstanceUID"]))
    rows = [
        {
            **key,
            "volume_index": volume["index"],
            "volume_uid": volume.get("volume_uid", ""),
            "profile": profile,
            "created_at": now,
            **{name: each[name] for name in ("kind", "cohort", "manufacturer", "positions", "values")},
        }
        for volume in volumes
        if volume.get("file")
        for each in volume.get("landmarks", ())
        if each.get("cohort")
    ]
    if rows:
        connection.execute(insert(Landmarks), rows)


def add_model(
    connection: Connection, model: Mapping[str, Any], *, who: str, now: datetime
) -> Mapping[str, Any]:
    """Add a fit as a candidate; `model` has kind, cohort, version, content, n, drift, sha256.

    Raises:
        RegistryError: another fit has taken this version meanwhile.
    """
    newest = _newest_version(connection, model["kind"], model["cohort"])
    if model["version"] != newest + 1:
        raise RegistryError(f"version {model['version']} of this model is taken; fit again")
    row = {**model, "state": ModelState.CANDIDATE, "created_at": now, "created_by": who}
    connection.execute(insert(IntensityModel).values(**row))
    record(
        connection, "model.fitted", now, model=name_of(model), n=model["n"], sha256=model["sha256"], who=who
    )
    return row


def set_state(
    connection: Connection, model: Mapping[str, Any], state: ModelState, *, who: str, now: datetime
) -> None:
    """Put a model (its kind, cohort, version) into use or out of it; the version that was active is retired.

    Raises:
        RegistryError: there is no such model.
    """
    same = update(IntensityModel).where(
        IntensityModel.kind == model["kind"], IntensityModel.cohort == model["cohort"]
    )
    if state is ModelState.ACTIVE:
        others = same.where(
            IntensityModel.state == ModelState.ACTIVE, IntensityModel.version != model["version"]
        )
        connection.execute(others.values(state=ModelState.RETIRED, retired_at=now))
    column = "activated_at" if state is ModelState.ACTIVE else "retired_at"
    this = same.where(IntensityModel.version == model["version"])
    if connection.execute(this.values(state=state, **{column: now})).rowcount != 1:
        raise RegistryError(f"there is no model {name_of(model)}; see `prepnode landmarks models`")
    record(connection, f"model.{state}", now, model=name_of(model), who=who)


def name_of(model: Mapping[str, Any]) -> str:
    """Return the name of a model in outputs and commands: "nyul:HEAD/T1/3D/3T/plain:v2"."""
    return f"{model['kind']}:{model['cohort']}:v{model['version']}"


def next_version(engine: Engine, kind: str, cohort: str) -> int:
    """Return the version that the next fit will have."""
    with reading(engine) as connection:
        return _newest_version(connection, kind, cohort) + 1


def landmarks_of(
    engine: Engine, kind: str | None = None, cohort: str | None = None, manufacturer: str | None = None
) -> list[dict[str, Any]]:
    """Return the landmarks that are kept, the newest last; None leaves a condition out."""
    query = select(Landmarks.__table__).order_by(Landmarks.created_at, Landmarks.id)
    conditions = (
        (Landmarks.kind, kind),
        (Landmarks.cohort, cohort),
        (Landmarks.manufacturer, manufacturer),
    )
    for column, wanted in conditions:
        if wanted is not None:
            query = query.where(column == wanted)
    with reading(engine) as connection:
        return [dict(row) for row in connection.execute(query).mappings()]


def models(engine: Engine, *, state: ModelState | None = None) -> list[dict[str, Any]]:
    """Return the models, by kind, cohort and version; each with its `model_id`."""
    query = select(IntensityModel.__table__).order_by(
        IntensityModel.kind, IntensityModel.cohort, IntensityModel.version
    )
    if state is not None:
        query = query.where(IntensityModel.state == state)
    with reading(engine) as connection:
        return [{"model_id": name_of(row), **row} for row in map(dict, connection.execute(query).mappings())]


def in_use(engine: Engine, kinds: Collection[str]) -> tuple[dict[str, Any], ...]:
    """Return the active models of some kinds as plain data, as a recipe takes them."""
    if not kinds:
        return ()
    return tuple(
        {
            **{key: row[key] for key in ("kind", "cohort", "version", "n", "sha256")},
            **{key: row["content"][key] for key in CONTENT},
        }
        for row in models(engine, state=ModelState.ACTIVE)
        if row["kind"] in kinds
    )


def _newest_version(connection: Connection, kind: str, cohort: str) -> int:
    query = select(func.max(IntensityModel.version)).where(
        IntensityModel.kind == kind, IntensityModel.cohort == cohort
    )
    return int(connection.execute(query).scalar_one() or 0)
