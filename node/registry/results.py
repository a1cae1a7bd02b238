"""Write what came of a revision: volumes, findings, outputs, deliveries and the next state, all at once.

What earlier revisions wrote is superseded in the same transaction: their outputs are
marked, and their deliveries that have not happened are not to happen any more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, update

from node.registry.database import insert_ignoring
from node.registry.history import record
from node.registry.intensity import note_landmarks
from node.registry.lifecycle import advance, is_current, load
from node.registry.schema import Delivery, Finding, Output, Volume
from node.registry.states import DeliveryState, SeriesState

NOT_DESCRIBED = frozenset(("sop_instance_uids",))  # thousands of them, and the report has them


def finish(  # noqa: PLR0913, PLR0917 - the parts of one result
    connection: Connection,
    series_uid: str,
    revision: int,
    report: Mapping[str, Any],
    outputs: Sequence[Mapping[str, Any]],
    deliveries: Sequence[Mapping[str, Any]],
    now: datetime,
) -> bool:
    """Write the result of a revision; return False when the series has gone on to a later one.

    `report` is as in report.json. An output is {"kind", "path" (relative to the folder of
    the revision), "volume", "sha256", "size_bytes"}, a delivery {"destination", "send"}. The
    outputs of a stale revision are registered as superseded, so that their files are known.
    """
    row = load(connection, series_uid)
    folder = f"{row.StudyInstanceUID}/{series_uid}/r{revision}"
    key = {"SeriesInstanceUID": series_uid, "revision": revision}
    is_stale = not is_current(row, revision)
    _insert_outputs(connection, key, folder, outputs, is_superseded=is_stale)
    if is_stale:
        record(connection, "series.stale", now, series_uid=series_uid, revision=revision)
        return False
    _supersede(connection, series_uid, revision)
    volumes = [{**key, **_volume(volume, folder)} for volume in report.get("volumes", ())]
    findings = [{**key, **_finding(finding)} for finding in report.get("findings", ())]
    pending = [{**key, **_delivery(delivery, now)} for delivery in deliveries]
    for table, rows in ((Volume, volumes), (Finding, findings), (Delivery, pending)):
        if rows:
            connection.execute(insert(table), rows)
    note_landmarks(connection, key, report.get("volumes", ()), profile=row.profile, now=now)
    verdict = str(report["verdict"])
    state = SeriesState.HELD if verdict == "QUARANTINE" else SeriesState.PROCESSED
    advance(connection, row, state, now, verdict=verdict, processed_at=now, error=None)
    name = "series.held" if state is SeriesState.HELD else "series.processed"
    record(connection, name, now, series_uid=series_uid, revision=revision, verdict=verdict)
    return True


def _insert_outputs(
    connection: Connection,
    key: Mapping[str, Any],
    folder: str,
    outputs: Sequence[Mapping[str, Any]],
    *,
    is_superseded: bool,
) -> None:
    rows = [
        {
            **key,
            "volume_index": output.get("volume"),
            "kind": output["kind"],
            "path": f"{folder}/{output['path']}",
            "sha256": output["sha256"],
            "size_bytes": output["size_bytes"],
            "is_superseded": is_superseded,
        }
        for output in outputs
    ]
    if rows:
        connection.execute(insert_ignoring(connection, Output), rows)


def _supersede(connection: Connection, series_uid: str, revision: int) -> None:
    connection.execute(
        update(Output)
        .where(Output.SeriesInstanceUID == series_uid, Output.revision < revision)
        .values(is_superseded=True)
    )
    connection.execute(
        update(Delivery)
        .where(
            Delivery.SeriesInstanceUID == series_uid,
            Delivery.revision < revision,
            Delivery.state.in_((DeliveryState.PENDING, DeliveryState.FAILED)),
        )
        .values(state=DeliveryState.SUPERSEDED, due_at=None)
    )


def _volume(volume: Mapping[str, Any], folder: str) -> dict[str, Any]:
    """Return the row of one volume of the report."""
    columns, rows, slices = _three(volume.get("shape"))
    column_mm, row_mm, slice_mm = _three(volume.get("spacing_mm"))
    kernel, contrast = volume.get("kernel") or {}, volume.get("contrast") or {}
    missing = volume.get("missing_slices") or 0
    return {
        "volume_index": volume["index"],
        "verdict": volume["verdict"],
        "Modality": volume.get("modality"),
        "columns": columns,
        "rows": rows,
        "slices": slices,
        "spacing_column_mm": column_mm,
        "spacing_row_mm": row_mm,
        "spacing_slice_mm": slice_mm,
        "orientation": volume.get("orientation"),
        "shear_deg": volume.get("shear_deg"),
        "units": volume.get("units"),
        "ConvolutionKernel": kernel.get("raw"),
        "kernel_class": kernel.get("class"),
        "contrast_phase": contrast.get("label"),
        "contrast_confidence": contrast.get("confidence"),
        "cardiac_phase_percent": (volume.get("cardiac") or {}).get("phase_percent"),
        "lossy": volume.get("lossy"),
        "n_missing": missing if isinstance(missing, int) else len(missing),
        "file": f"{folder}/{volume['file']}" if volume.get("file") else None,
        "description": {key: value for key, value in volume.items() if key not in NOT_DESCRIBED},
    }


def _three(values: Sequence[Any] | None) -> tuple[Any, Any, Any]:
    columns, rows, slices = (*(values or ()), None, None, None)[:3]
    return columns, rows, slices


def _finding(finding: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "code": finding["code"],
        "severity": finding["severity"],
        "scope": finding.get("scope", "series"),
        "target": finding.get("target", ""),
        "message": finding["message"],
        "evidence": dict(finding.get("evidence") or {}),
    }


def _delivery(delivery: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    return {
        "destination": delivery["destination"],
        "send": list(delivery["send"]),
        "state": DeliveryState.PENDING,
        "attempts": 0,
        "created_at": now,
        "due_at": now,
        "delivered": [],
    }
