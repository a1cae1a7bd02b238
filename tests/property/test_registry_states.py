"""Whatever happens to series in whatever order, the registry keeps its promises.

The machine drives spool and registry as listener, completion, jobs and operators do, kills
the process anywhere, and knows by itself what must be there: each acknowledged object
exactly once, counted right, in a legal state, with at most one result per revision.
"""

import shutil
import tempfile
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from node.digest import digest
from node.errors import IllegalMoveError
from node.intake import take_in
from node.registry.repository import Repository
from node.registry.states import ENDS, LEGAL_MOVES, OPENS_A_REVISION, SeriesState
from node.spool import Spool
from phantoms import uid
from registries import after, arrival, registry, report, rows

NAMES = ("first", "second")
names = st.sampled_from(NAMES)
indices = st.integers(0, 4)
contents = st.sampled_from(["", "other"])
steps = st.sampled_from(["place", "settle", "register", "release"])
ARRIVES_AT = {
    "series.opened": SeriesState.RECEIVING,
    "series.reopened": SeriesState.RECEIVING,
    "series.complete": SeriesState.COMPLETE,
    "series.requeued": SeriesState.COMPLETE,
    "series.reprocess": SeriesState.COMPLETE,
    "series.released": SeriesState.COMPLETE,
    "series.processing": SeriesState.PROCESSING,
    "series.processed": SeriesState.PROCESSED,
    "series.rejected": SeriesState.PROCESSED,
    "series.held": SeriesState.HELD,
    "series.failed": SeriesState.FAILED,
}


class Killed(BaseException):
    """The process died here."""


class RegistryMachine(RuleBasedStateMachine):
    """One node: its spool, its registry, and what it has acknowledged."""

    @initialize()
    def begin(self):
        self.folder = Path(tempfile.mkdtemp(prefix="registry-"))
        self.repository = Repository(registry(self.folder))
        self.spool = Spool(self.folder / "spool", "one", durability="flush")
        self.seconds = 0
        self.acknowledged = {}  # (SOPInstanceUID, digest) -> arrival
        self.waiting = []  # acknowledged, not registered
        self.finished = Counter()

    def teardown(self):
        if hasattr(self, "folder"):
            self.spool.close()
            self.repository.engine.dispose()
            shutil.rmtree(self.folder)

    @property
    def now(self):
        self.seconds += 1
        return after(self.seconds)

    def series(self, name):
        found = rows(self.repository.engine, "series", SeriesInstanceUID=uid(name))
        return found[0] if found else None

    # what peers do

    @rule(name=names, index=indices, content=contents)
    def receive(self, name, index, content):
        """An instance arrives: new, the same again, other bytes, late; the series decides which."""
        described = arrival(index, series=name, content=content)
        with self.spool.open() as incoming:
            incoming.write(f"{name} {index} {content}".encode())
            path = incoming.commit()
        made = replace(described, path=path, sha256=incoming.sha256, received_at=self.now)
        self.acknowledged[made.key] = made
        self.waiting.append(made)

    @rule()
    def register(self):
        """The registrar's turn."""
        take_in(self.repository, self.spool, self.waiting, self.now)
        self.waiting.clear()

    # what the node does

    @rule(name=names)
    def complete(self, name):
        row = self.series(name)
        if row is None:
            return
        try:
            self.repository.complete(uid(name), "rule", {}, self.now)
        except IllegalMoveError:
            assert row["state"] != SeriesState.RECEIVING
        else:
            assert row["state"] == SeriesState.RECEIVING

    @rule(name=names, stale=st.booleans())
    def start(self, name, stale):
        row = self.series(name)
        if row is None or row["state"] == SeriesState.RECEIVING:
            return
        revision = row["revision"] - stale
        assert self.repository.start(uid(name), revision, self.now) == (
            not stale and row["state"] not in ENDS
        )

    @rule(name=names, stale=st.booleans(), verdict=st.sampled_from(["ACCEPT", "REJECT", "QUARANTINE"]))
    def finish(self, name, stale, verdict):
        row = self.series(name)
        if row is None or row["revision"] - stale == 0:
            return
        revision = row["revision"] - stale
        output = {"kind": "nifti", "path": "v0.nii.gz", "sha256": "", "size_bytes": 1}
        delivery = {"destination": "research", "send": ["outputs"]}
        written = self.repository.finish(uid(name), revision, report(verdict), [output], [delivery], self.now)
        assert written == (not stale and row["state"] == SeriesState.PROCESSING)
        self.finished[name, revision] += written

    @rule(name=names)
    def fail(self, name):
        row = self.series(name)
        if row is not None:
            failed = self.repository.fail(uid(name), row["revision"], "rule", self.now)
            assert failed == (row["state"] == SeriesState.PROCESSING)

    @rule(name=names)
    def requeue(self, name):
        row = self.series(name)
        if row is not None:
            put_back = self.repository.requeue(uid(name), row["revision"], self.now)
            assert put_back == (row["state"] == SeriesState.PROCESSING)

    @rule(name=names, action=st.sampled_from(["complete", "reprocess", "release", "reject"]))
    def operate(self, name, action):
        allowed = {
            "complete": {SeriesState.RECEIVING},
            "reprocess": ENDS,
            "release": {SeriesState.HELD},
            "reject": {SeriesState.HELD},
        }[action]
        row = self.series(name)
        if row is None:
            return
        try:
            self.repository.act(uid(name), action, who="rule", now=self.now)
        except IllegalMoveError:
            assert row["state"] not in allowed
        else:
            assert row["state"] in allowed

    # what goes wrong

    @rule(step=steps)
    @precondition(lambda self: self.waiting)
    def die(self, step):
        """The process is killed while it takes a batch in; the next one recovers."""
        owner = self.repository if step == "register" else self.spool

        def die(*args, **options):
            raise Killed

        setattr(owner, step, die)
        with pytest.raises(Killed):
            take_in(self.repository, self.spool, self.waiting, self.now)
        delattr(owner, step)
        self.restart()

    @rule()
    def restart(self):
        """The process is gone, with all that it held in memory; what is in new/ is found again."""
        self.spool.open().write(b"half")
        self.spool.close()
        self.repository.engine.dispose()
        self.repository = Repository(registry(self.folder))
        self.spool = Spool(self.folder / "spool", "one", durability="flush")
        known = {each.sha256: each for each in self.acknowledged.values()}
        found = [replace(known[digest(path)], path=path) for path in self.spool.recover()]
        take_in(self.repository, self.spool, found, self.now)
        self.waiting.clear()

    # what holds at any time

    @invariant()
    def everything_acknowledged_is_registered_once_or_waits_in_new(self):
        if not hasattr(self, "folder"):
            return
        found = rows(self.repository.engine, "instance")
        registered = Counter((row["SOPInstanceUID"], row["sha256"]) for row in found)
        assert set(registered.values()) <= {1}
        waiting = {each.key for each in self.waiting}
        assert set(registered) | waiting == set(self.acknowledged)
        for each in self.waiting:
            assert digest(each.path) == each.sha256
        for row in found:
            assert digest(Path(row["path"])) == row["sha256"]

    @invariant()
    def every_count_is_right(self):
        if not hasattr(self, "folder"):
            return
        counted = Counter(
            row["SeriesInstanceUID"]
            for row in rows(self.repository.engine, "instance")
            if not row["is_conflict"]
        )
        for row in rows(self.repository.engine, "series"):
            assert row["n_instances"] == counted[row["SeriesInstanceUID"]]

    @invariant()
    def the_history_tells_every_move_and_every_move_was_legal(self):
        if not hasattr(self, "folder"):
            return
        for row in rows(self.repository.engine, "series"):
            events = rows(self.repository.engine, "event", SeriesInstanceUID=row["SeriesInstanceUID"])
            told = [ARRIVES_AT[event["name"]] for event in events if event["name"] in ARRIVES_AT]
            moves = [(source, target) for source, target in pairwise(told) if source is not target]
            assert all(target in LEGAL_MOVES[source] for source, target in moves)
            assert row["state"] == told[-1]
            assert row["revision"] == 1 + sum(each in OPENS_A_REVISION for each in moves)

    @invariant()
    def a_revision_has_one_result_at_most_and_only_the_last_is_sent(self):
        if not hasattr(self, "folder"):
            return
        assert set(self.finished.values()) <= {0, 1}
        volumes = Counter(
            (row["SeriesInstanceUID"], row["revision"]) for row in rows(self.repository.engine, "volume")
        )
        assert volumes == Counter(
            {(uid(name), revision): n for (name, revision), n in self.finished.items() if n}
        )
        for name in NAMES:
            pending = rows(self.repository.engine, "delivery", SeriesInstanceUID=uid(name), state="PENDING")
            done = [revision for (series, revision), n in self.finished.items() if series == name and n]
            assert [row["revision"] for row in pending] == sorted(done)[-1:]


TestRegistry = RegistryMachine.TestCase
TestRegistry.settings = settings(
    max_examples=60,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
