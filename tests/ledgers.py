"""A node in one process for tests of the ledger: it receives, is killed anywhere, starts again, and is balanced."""

from dataclasses import dataclass, replace
from pathlib import Path

import data
from node.acks import AckBook
from node.clock import utc_now
from node.intake import take_in
from node.ledger import Line, balance
from node.part10 import read_file_meta
from node.recovery import arrival_from_file, recover
from node.registry.arrivals import Arrival
from node.registry.database import engine
from node.registry.repository import Repository
from node.spool import Spool
from registries import registry

PEER = "PACS1"


def content(number: int, *, sender: str = PEER, other: str = "") -> bytes:
    """Return the file of one small object, as the listener writes it for this sender."""
    dataset = data.ct_series(slices=1, rows=2, columns=2, series_uid=f"2.25.{700 + number % 3}")[0]
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"2.25.8{number}"
    dataset.file_meta.SourceApplicationEntityTitle = sender
    dataset.SeriesDescription = other
    return data.file_bytes(dataset)


@dataclass
class Receiver:
    """One node: each method is one step of the path of an object, so that a test may die between any two."""

    folder: Path
    durability: str = "flush"

    def __post_init__(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        self.waiting: list[Arrival] = []
        registry(self.folder).dispose()
        self._start()

    @property
    def engine(self):
        return self.repository.engine

    def _start(self):
        self.repository = Repository(engine(f"sqlite:///{self.folder / 'registry.db'}"))
        self.spool = Spool(self.folder / "spool", "one", durability=self.durability)
        self.book = AckBook(self.spool.root, "one")

    def durable(self, file: bytes) -> Arrival:
        with self.spool.open() as incoming:
            incoming.write(file)
            path = incoming.commit()
        sender = read_file_meta(file).calling_ae_title
        return replace(
            arrival_from_file(path),
            received_at=incoming.received_at,
            association="a",
            calling_ae_title=sender,
        )

    def receive(self, file: bytes) -> Arrival:
        """Take an object in as far as the answer to its sender."""
        arrival = self.durable(file)
        self.book.acknowledge(arrival.calling_ae_title, arrival.size_bytes, arrival.received_at)
        self.waiting.append(arrival)
        return arrival

    def register(self):
        take_in(self.repository, self.spool, self.waiting, utc_now())
        self.waiting.clear()

    def restart(self):
        """Be killed, and start again: what was in memory is gone."""
        self.close()
        self._start()
        self.waiting.clear()
        recover(self.repository, self.spool, utc_now())

    def close(self):
        self.book.close()
        self.spool.close()
        self.engine.dispose()

    def lines(self, **options) -> list[Line]:
        return balance(self.engine, self.spool.root, **options)
