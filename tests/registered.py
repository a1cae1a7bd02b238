"""A registry with series in it, as the loops and jobs find them: files on disk, rows in a SQLite file."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import select

from node.config import Config
from node.registry import database
from node.registry.arrivals import Arrival
from node.registry.repository import Repository
from node.registry.schema import Delivery, Event, Series

START = datetime(2026, 3, 1, 12, 0, 0)  # noqa: DTZ001 - the registry's times are UTC without zone
STUDY, SERIES = "1.2.826.0.1.3680043.8.498.10", "1.2.826.0.1.3680043.8.498.11"
CT_IMAGE, EXPLICIT = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1"


@dataclass
class Clock:
    """A clock that stands until it is moved."""

    at: datetime = START

    def __call__(self) -> datetime:
        return self.at

    def advance(self, **amount: float) -> None:
        self.at += timedelta(**amount)


@dataclass
class Node:
    """Configuration and registry of a node that does not run."""

    folder: Path
    keys: dict[str, Any] = field(default_factory=dict)
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self):
        self.config = Config(**{"node": {"data_dir": self.folder}, **self.keys})
        self.engine = database.engine(self.config.registry_url)
        database.migrate(self.engine)
        self.repository = Repository(self.engine)

    def close(self):
        self.engine.dispose()

    def arrive(self, files: Sequence[Path], *, series=SERIES, study=STUDY, sops=None, digest=None, **facts):
        """Register files as instances of a series, under the SOPInstanceUIDs <series>.1, .2, ...

        `digest` is a function of the path; without one the digests are made up.
        """
        digest = digest or (lambda path: f"{hash(path.read_bytes()) & (2**256 - 1):064x}")
        sops = sops or [f"{series}.{number}" for number in range(1, len(files) + 1)]
        batch = [
            Arrival(
                sop_instance_uid=sop,
                sop_class_uid=CT_IMAGE,
                transfer_syntax_uid=EXPLICIT,
                study_instance_uid=study,
                series_instance_uid=series,
                path=path,
                size_bytes=path.stat().st_size,
                sha256=digest(path),
                received_at=self.clock(),
                calling_ae_title="SCANNER",
                called_ae_title="PREPNODE",
                source_address="10.0.0.9",
                association="a-1",
                facts={"Modality": "CT", **facts},
            )
            for sop, path in zip(sops, files, strict=True)
        ]
        return self.repository.register(batch, self.clock())

    def complete(self, series=SERIES):
        return self.repository.complete(series, "test", {}, self.clock())

    def finish(self, products=(), deliveries=(), *, series=SERIES, revision=1, verdict="ACCEPT"):
        """Take a COMPLETE series to its end, as a job would."""
        assert self.repository.start(series, revision, self.clock())
        report = {"verdict": verdict, "volumes": [], "findings": []}
        assert self.repository.finish(
            series, revision, report, list(products), list(deliveries), self.clock()
        )

    def product(self, name, content=b"x", *, kind="nifti", series=SERIES, study=STUDY, revision=1):
        """Write one file of a revision, and return it as the child would."""
        path = self.config.outputs_dir / study / series / f"r{revision}" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return {"kind": kind, "path": name, "volume": None, "sha256": "0" * 64, "size_bytes": len(content)}

    def series(self, series=SERIES):
        return self._one(select(Series.__table__).where(Series.SeriesInstanceUID == series))

    def delivery(self, number=1):
        return self._one(select(Delivery.__table__).where(Delivery.id == number))

    def events(self, name):
        with self.engine.connect() as connection:
            return list(
                connection.scalars(select(Event.details).where(Event.name == name).order_by(Event.id))
            )

    def _one(self, query):
        with self.engine.connect() as connection:
            return dict(connection.execute(query).mappings().one())
