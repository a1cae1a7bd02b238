"""A node that commits, in this process: listener, registrar and registry, with its loops at hand; and requests."""

import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import StorageCommitmentPushModel

from node import command_set as cs
from node.commitment.dataset import PUSH_MODEL
from node.commitment_loop import CommitmentLoop, ReportLoop
from node.config import Config
from node.listener.server import ListenerServer
from node.registrar import arrival_of
from node.registration import Registrar
from node.registry import queries
from node.registry.associations import Ending, Opening
from node.registry.database import engine, migrate
from node.registry.repository import Repository
from node.spool import Spool

CT = "1.2.840.10008.5.1.4.1.1.2"
MR = "1.2.840.10008.5.1.4.1.1.4"
WELL_KNOWN = "1.2.840.10008.1.20.1.1"
N_ACTION_RQ: dict[int, int | str] = {
    cs.REQUESTED_SOP_CLASS_UID: PUSH_MODEL,
    cs.COMMAND_FIELD: cs.N_ACTION_RQ,
    cs.MESSAGE_ID: 9,
    cs.DATA_SET_TYPE: cs.HAS_DATA_SET,
    cs.REQUESTED_SOP_INSTANCE_UID: WELL_KNOWN,
    cs.ACTION_TYPE_ID: 1,
}


class MovableClock:
    """UTC without zone, as the registry keeps it, that can be set ahead."""

    def __init__(self) -> None:
        self.ahead = timedelta(0)

    def __call__(self) -> datetime:
        return datetime.now(UTC).replace(tzinfo=None) + self.ahead

    def advance(self, **amount: float) -> None:
        self.ahead += timedelta(**amount)


class Direct(Registrar):
    """A registrar in the process of the listener."""

    def submit(self, receipt, head=b"") -> None:
        super().submit(arrival_of(receipt, head, self._spool.root / "new"))

    def open_association(
        self, association: str, *, calling_ae_title: str, called_ae_title: str, source_address: str
    ) -> None:
        self.note(Opening(association, calling_ae_title, called_ae_title, source_address, self._now()))

    def close_association(self, association: str, end, *, n_received: int = 0, n_bytes: int = 0) -> None:
        self.note(Ending(association, end, self._now(), n_received, n_bytes))


class CommittingNode:
    """One node; its loops turn only when told, or in a thread of `working`."""

    def __init__(self, folder: Path, **tables) -> None:
        tables["node"] = {"port": 0, "host": "127.0.0.1", "data_dir": folder}
        self.config = Config(**tables)
        self.engine = engine(self.config.registry_url)
        migrate(self.engine)
        self.repository = Repository(self.engine)
        self.spool = Spool(self.config.spool_dir, "test", durability="flush")
        self.registrar = Direct(self.repository, self.spool, interval_s=0.01)
        self.registrar.recover()
        self.registrar.start()
        self.server = ListenerServer(self.config, self.spool, self.registrar)
        self.port = self.server.start()
        self.clock = MovableClock()
        self.is_closed = False
        self.make_loops()

    def make_loops(self) -> None:
        """Make the loops of the worker, as a worker that starts does."""
        self.judging = CommitmentLoop(self.config, self.repository, now=self.clock)
        self.reports = ReportLoop(self.config, self.repository, now=self.clock, random=lambda: 0.0)

    def turn(self) -> None:
        self.judging.run_once()
        self.reports.run_once()

    @contextmanager
    def working(self):
        """Let the loops turn in a thread of their own, as in the worker."""
        stopped, failures = threading.Event(), []

        def work():
            try:
                while not stopped.wait(0.02):
                    self.turn()
            except Exception as error:  # noqa: BLE001 - told by the test
                failures.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield self
        finally:
            stopped.set()
            thread.join()
        assert failures == []

    def commitments(self) -> list[dict]:
        return queries.commitments_list(self.engine)

    def commitment(self) -> dict:
        (row,) = self.commitments()
        return row

    def files(self) -> list[str]:
        return sorted(path.suffix for path in self.config.commitment_dir.iterdir())

    def stored(self, uid: str) -> Path:
        (path,) = self.config.spool_dir.joinpath("store").rglob(f"{uid}.dcm")
        return path

    def close(self) -> None:
        """Stop in order; twice is as good as once."""
        if self.is_closed:
            return
        self.is_closed = True
        self.server.stop(5)
        self.registrar.stop()
        self.spool.close()
        self.engine.dispose()


class Requestor:
    """An SCU of Storage Commitment that remembers what was reported to it."""

    def __init__(self, title: str = "SCANNER", *, status: int = 0x0000) -> None:
        self.ae = AE(title)
        self.ae.add_requested_context(StorageCommitmentPushModel)
        self.ae.add_requested_context(CT)
        self.reports: list[tuple[int, Dataset]] = []
        self.heard = threading.Event()
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.status = status
        self.handlers = [(evt.EVT_N_EVENT_REPORT, self._hear)]

    def associate(self, port: int, **options):
        association = self.ae.associate("127.0.0.1", port, evt_handlers=self.handlers, **options)
        assert association.is_established
        return association

    @contextmanager
    def listening(self, port: int = 0):
        """Take reports on associations that the node opens; yields the port."""
        acceptor = AE(self.ae.ae_title)
        acceptor.add_supported_context(StorageCommitmentPushModel, scu_role=False, scp_role=True)
        server = acceptor.start_server(("127.0.0.1", port), block=False, evt_handlers=self.handlers)
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()

    def report(self, timeout_s: float = 15.0) -> tuple[int, Dataset]:
        """Wait for the report that is the only one so far."""
        assert self.heard.wait(timeout_s), "no report came"
        assert len(self.reports) == 1
        return self.reports[0]

    def _hear(self, event):
        self.reports.append((event.event_type, event.event_information))
        self.heard.set()
        self.may_answer.wait(30)
        return self.status, None


def request(transaction: str, references) -> Dataset:
    """Return the Action Information for pairs of SOP Class and SOP Instance UID."""
    information = Dataset()
    information.TransactionUID = transaction
    information.ReferencedSOPSequence = []
    for sop_class, uid in references:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, uid
        information.ReferencedSOPSequence.append(item)
    return information


def pause(association) -> None:
    """Stop the reader of a pynetdicom SCU for sure: else it may snatch the answer to what is sent next.

    `send_*` does so itself, but takes "is about to look" for "has stopped".
    """
    association._reactor_checkpoint.clear()
    seen = 0
    while seen < 20:
        seen = seen + 1 if association._is_paused else 0
        time.sleep(0.001)


def store(association, datasets) -> list[tuple[str, str]]:
    """Store data sets; return what is to be committed."""
    for dataset in datasets:
        pause(association)
        assert association.send_c_store(dataset).Status == 0x0000
    return [(dataset.SOPClassUID, dataset.SOPInstanceUID) for dataset in datasets]


def act(association, information: Dataset, *, action: int = 1, instance: str = WELL_KNOWN) -> int:
    """Send an N-ACTION; return its status."""
    pause(association)
    status, _ = association.send_n_action(information, action, StorageCommitmentPushModel, instance)
    return status.Status


def ask(association, transaction: str, references) -> int:
    """Ask for storage commitment; return the status."""
    return act(association, request(transaction, references))


def committed(report: Dataset) -> list[tuple[str, str]]:
    items = report.get("ReferencedSOPSequence") or ()
    return [(item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID) for item in items]


def failed(report: Dataset) -> dict[str, int]:
    items = report.get("FailedSOPSequence") or ()
    return {item.ReferencedSOPInstanceUID: item.FailureReason for item in items}
