"""Arrivals and registries for tests: small, by name, without a network or a disk full of images."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, select

from node.registry.arrivals import Arrival
from node.registry.database import engine, migrate, reading
from node.registry.schema import Base
from phantoms import uid

NOON = datetime(2026, 1, 1, 12)  # noqa: DTZ001 - the registry keeps UTC without zone
CT = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def registry(folder: Path) -> Engine:
    made = engine(f"sqlite:///{folder / 'registry.db'}")
    migrate(made)
    return made


def arrival(
    index: int = 0,
    *,
    series: str = "series",
    content: str = "",
    at: float = 0.0,
    association: str | None = "a",
    folder: Path = Path("/spool"),
    **facts: Any,
) -> Arrival:
    """Return the arrival of slice `index` of a CT series, `at` seconds after noon; `content` stands for its bytes."""
    series_uid, study_uid = uid(series), uid("study of", series.split("/", maxsplit=1)[0])
    sop = uid(series, index)
    return Arrival(
        sop_instance_uid=sop,
        sop_class_uid=CT,
        transfer_syntax_uid=EXPLICIT,
        study_instance_uid=study_uid,
        series_instance_uid=series_uid,
        path=folder / f"{sop}{content}.dcm",
        size_bytes=1000,
        sha256=hashlib.sha256(f"{series}{index}{content}".encode()).hexdigest(),
        received_at=after(at),
        calling_ae_title="SENDER",
        called_ae_title="PREPNODE",
        source_address="127.0.0.1",
        association=association,
        facts={
            "Modality": "CT",
            "PatientID": "PHANTOM",
            "InstanceNumber": index + 1,
            "ImagePositionPatient": [0.0, 0.0, 2.0 * index],
            "ImageOrientationPatient": [1.0, 0.0, 0.0, 0.0, 1.0, 0.0],
            **facts,
        },
    )


def rows(engine: Engine, table: str, **equal: Any) -> list[dict[str, Any]]:
    """Return the rows of a table, first column values in order of their keys."""
    found = Base.metadata.tables[table]
    query = select(found).order_by(*found.primary_key.columns)
    for column, value in equal.items():
        query = query.where(found.c[column] == value)
    with reading(engine) as connection:
        return [dict(row) for row in connection.execute(query).mappings()]


def report(
    verdict: str = "ACCEPT", *, volumes: list[dict[str, Any]] | None = None, **more: Any
) -> dict[str, Any]:
    """Return a report of one accepted volume, as in report.json."""
    volume = {
        "index": 0,
        "verdict": verdict,
        "file": "v0.nii.gz" if verdict in ("ACCEPT", "ACCEPT_WARN") else None,
        "shape": [512, 512, 40],
        "spacing_mm": [0.7, 0.7, 2.0],
        "orientation": "LPS",
        "units": "[hnsf'U]",
        "modality": "CT",
        "kernel": {"raw": "B30f", "class": "medium"},
        "contrast": {"label": "ARTERIAL", "confidence": 0.8, "evidence": []},
        "cardiac": {"phase_percent": 75.0},
        "lossy": False,
        "shear_deg": 0.0,
        "missing_slices": [],
        "sop_instance_uids": [],
    }
    return {"verdict": verdict, "findings": [], "volumes": [volume] if volumes is None else volumes, **more}
