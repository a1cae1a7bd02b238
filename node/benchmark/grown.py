"""A registry that has grown: filled through its own schema with instances that were never sent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import insert

from node.clock import utc_now
from node.phantom import uid
from node.registry.database import engine, migrate, writing
from node.registry.schema import Instance, Series, Study
from node.registry.states import SeriesState

PER_SERIES = 200
PER_TRANSACTION = 20_000
CT_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
AGE = timedelta(days=7)  # of what is there: finished, not yet removed


def fill(path: Path, instances: int, *, written: Callable[[int], None] = lambda _: None) -> None:
    """Make an SQLite registry at `path` with so many instances of processed series."""
    database = engine(f"sqlite:///{path}")
    try:
        migrate(database)
        for first in range(0, instances, PER_TRANSACTION):
            count = min(PER_TRANSACTION, instances - first)
            series = range(first // PER_SERIES, -(-(first + count) // PER_SERIES))
            with writing(database) as connection:
                connection.execute(insert(Study), [_study(number) for number in series])
                connection.execute(
                    insert(Series),
                    [_series(number, min(PER_SERIES, instances - number * PER_SERIES)) for number in series],
                )
                connection.execute(insert(Instance), list(_instances(first, count)))
            written(count)
    finally:
        database.dispose()  # the last connection takes the write-ahead log in: one file is all of it


def _study(number: int) -> dict[str, Any]:
    return {
        "StudyInstanceUID": uid("grown", number),
        "PatientID": f"GROWN{number}",
        "StudyDate": "20260101",
        "first_received_at": utc_now() - AGE,
    }


def _series(number: int, instances: int) -> dict[str, Any]:
    then = utc_now() - AGE
    return {
        "SeriesInstanceUID": uid("grown", number, "series"),
        "StudyInstanceUID": uid("grown", number),
        "state": SeriesState.PROCESSED,
        "revision": 1,
        "reason": "contiguous, association released",
        "evidence": {"n_instances": instances, "is_contiguous": True},
        "first_received_at": then,
        "last_received_at": then,
        "completed_at": then,
        "processed_at": then,
        "n_instances": instances,
        "verdict": "ACCEPT",
        "calling_ae_title": "BENCH",
        "called_ae_title": "PREPNODE",
        "source_address": "127.0.0.1",
        "Modality": "CT",
        "SeriesDescription": "GROWN",
        "facts": {"Modality": "CT", "Rows": 512, "Columns": 512},
    }


def _instances(first: int, count: int) -> Iterator[dict[str, Any]]:
    then = utc_now() - AGE
    for number in range(first, first + count):
        series, position = divmod(number, PER_SERIES)
        sop_instance_uid = uid("grown", series, position)
        yield {
            "SOPInstanceUID": sop_instance_uid,
            "SOPClassUID": CT_IMAGE_STORAGE,
            "TransferSyntaxUID": EXPLICIT_VR_LITTLE_ENDIAN,
            "StudyInstanceUID": uid("grown", series),
            "SeriesInstanceUID": uid("grown", series, "series"),
            "InstanceNumber": position + 1,
            "ImagePositionPatient": [-178.5, -178.5, float(position)],
            "ImageOrientationPatient": [1.0, 0.0, 0.0, 0.0, 1.0, 0.0],
            "path": f"/var/lib/prepnode/spool/store/{sop_instance_uid}.dcm",
            "size_bytes": 528_000,
            "sha256": f"{number:064x}",
            "is_conflict": False,
            "calling_ae_title": "BENCH",
            "association": f"bench-{series}",
            "received_at": then,
        }
