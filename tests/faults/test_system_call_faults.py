"""Every system call of the real processes on the spool and the registry: it fails, comes short, or is their last.

Which calls there are is not written here. They are recorded while the node receives one
instance; then each is made to fail in turn, wherever in the tree it is made. The node must answer
in the right words, keep what it acknowledged, leave nothing behind, and go on.
"""

import errno
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from exact_senders import instance
from faulty_calls import FaultyCalls, Step
from listeners import RawPeer, dataset
from node.demo import TemporaryNode
from nodes import await_that
from storms import RECEIVING, Storm, assert_kept, await_settled, files_in, pids, storm_node

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
REGISTRY_FAILS = 0xA701
OUT_OF_RESOURCES = (0xA700, REGISTRY_FAILS)
ERRORS = {
    "open": (errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.EROFS, errno.EIO),
    "write": (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG),
    "writev": (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG),
    "pwrite": (errno.ENOSPC, errno.EIO),
    "fdatasync": (errno.EIO, errno.ENOSPC, errno.EDQUOT),
    "fsync": (errno.EIO, errno.ENOSPC),
    "close": (errno.EIO, errno.ENOSPC),
    "rename": (errno.EROFS, errno.ENOSPC, errno.EIO),
    "link": (errno.ENOSPC, errno.EROFS, errno.EIO, errno.EMLINK),
    "unlink": (errno.EROFS, errno.EIO),
    "mkdir": (errno.ENOSPC, errno.EROFS, errno.EIO),
}
INTERRUPTIBLE = ("open", "write", "writev", "fdatasync", "fsync")  # EINTR: Python repeats them (PEP 475)
WRITES = ("write", "writev", "pwrite")


@dataclass
class Trial:
    """A node under faults, one association to it, and what was acknowledged."""

    node: TemporaryNode
    faults: FaultyCalls
    steps: list[Step] = field(default_factory=list)
    answered_by: list[Step] = field(default_factory=list)  # the steps before the answer
    acknowledged: dict[str, str] = field(default_factory=dict)
    n: int = 0

    def store(self, peer: RawPeer) -> int:
        """Send the next instance, of a series of its own; return its status."""
        series = f"2.25.5.{self.n}"
        status = peer.store(instance(f"{series}.1", series), uid=f"{series}.1")
        if status == 0x0000:
            self.acknowledged[f"{series}.1"] = series
            self.n += 1
        return status

    def record(self, peer: RawPeer) -> None:
        """Find out which calls an instance takes, and which of them come before its answer."""
        assert self.store(peer) == 0x0000  # what happens only once has happened
        await_settled(self.node)
        self.faults.record()
        assert self.store(peer) == 0x0000
        before = [step for step in self.faults.recorded() if step.place in ("spool/tmp", "spool/new")]
        self.answered_by = [step for step in before if step.call != "unlink"]
        await_settled(self.node)
        self.steps = [step for step in self.faults.recorded() if step.call in ERRORS]
        self.faults.stop_recording()

    def fail(self, peer: RawPeer, step: Step, action: str, number: int = 0) -> int:
        """Have one call of the next instance fail; return its status once all is well again."""
        what = f"{step}: {action} {errno.errorcode.get(number, '')}"
        self.faults.arm(step, action, number)
        status = self.store(peer)
        self.faults.await_fired(what)
        assert status in (0x0000, *OUT_OF_RESOURCES), what
        if status != 0x0000:
            assert files_in(self.node, "tmp") == set(), what
            if status == REGISTRY_FAILS:  # until the registrar has tried again
                await_that(
                    lambda: self.store(peer) == 0x0000, f"the registry to be well again after {what}", 30
                )
            else:
                assert self.store(peer) == 0x0000, what  # on the same association
        await_settled(self.node)
        return status


@contextmanager
def trial(folder: Path) -> Iterator[tuple[Trial, RawPeer]]:
    """Run a node, and record its steps."""
    node = storm_node(folder / "node", only=RECEIVING)
    made = Trial(node, FaultyCalls(node, folder / "faults"))
    with node:
        with RawPeer(node.port, timeout_s=30) as peer:
            assert peer.associate() == "AC"
            made.record(peer)
            assert {"open", "fdatasync", "fsync"} <= {step.call for step in made.answered_by}
            assert {"spool/tmp", "spool/new", "spool/store"} < {step.place for step in made.steps}
            yield made, peer
        assert_kept(node, made.acknowledged)
        assert node.stop() == 0


def test_a_call_that_fails_is_a_retryable_status_or_costs_nothing(tmp_path: Path) -> None:
    with trial(tmp_path) as (node, peer):
        for step in node.steps:
            for number in ERRORS[step.call]:
                status = node.fail(peer, step, "fail", number)
                if step in node.answered_by and step.call != "close":  # its bytes were synced before
                    assert status == 0xA700, f"{step}: {errno.errorcode[number]} was answered {status:#06x}"
        peer.release()


def test_a_call_that_is_interrupted_or_comes_short_is_completed(tmp_path: Path) -> None:
    with trial(tmp_path) as (node, peer):
        for step in node.answered_by:
            if step.call in INTERRUPTIBLE:
                assert node.fail(peer, step, "fail", errno.EINTR) == 0x0000
            if step.call in WRITES:
                assert node.fail(peer, step, "short") == 0x0000
        peer.release()


def test_a_process_that_dies_at_any_call_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    with trial(tmp_path) as (node, peer):
        peer.release()
        durable_but_not_answered = (node.answered_by[-1], "kill-after")
        for step, action in [*((step, "kill") for step in node.steps), durable_but_not_answered]:
            node.faults.arm(step, action)
            _store_until_acknowledged(node)
            node.faults.await_fired(f"death at {step}")
            await_settled(node.node)


def test_a_fault_that_lasts_is_told_for_each_object_and_ends_with_its_cause(tmp_path: Path) -> None:
    with trial(tmp_path) as (node, peer):
        (write,) = [step for step in node.answered_by if step.call in WRITES]
        node.faults.arm(write, "fail", errno.ENOSPC, always=True)
        assert [node.store(peer) for _ in range(20)] == [0xA700] * 20
        assert files_in(node.node, "tmp") == set()
        node.faults.disarm()
        assert node.store(peer) == 0x0000
        peer.release()


def test_a_sync_that_fails_is_told_to_every_association_that_waits_for_it(tmp_path: Path) -> None:
    """Associations may share a sync; then they share its failure, and none of them is told success."""
    with trial(tmp_path) as (node, peer):
        peer.release()
        storm = Storm(node.node, seed=20260601, n_senders=8)
        with storm.sending():
            for step in (each for each in node.answered_by if each.call in ("fsync", "fdatasync")):
                before = storm.refusals()
                storm.await_acknowledged(20)
                node.faults.arm(step, "fail", errno.EIO, always=True)
                _await_more_refusals(storm, before)  # what was synced before is answered by now
                acknowledged, before = storm.seen(), storm.refusals()
                _await_more_refusals(storm, before)
                assert storm.seen() == acknowledged
                node.faults.disarm()
        assert set(storm.statuses) - {REGISTRY_FAILS} == {0x0000, 0xA700}  # the registrar syncs new/ too
        node.acknowledged |= storm.acknowledged


def test_a_listener_at_its_limit_of_file_size_answers_a700_and_goes_on(tmp_path: Path) -> None:
    node = storm_node(tmp_path / "node", only=RECEIVING)
    with node:
        with RawPeer(node.port, timeout_s=30) as peer:
            assert peer.associate() == "AC"
            for pid in pids(node, ["listener"]):
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (1 << 20, resource.RLIM_INFINITY))
            assert peer.store(dataset(pixels=2 << 20)) == 0xA700
            assert files_in(node, "tmp") == set()
            assert peer.store(instance("2.25.1.1", "2.25.1"), uid="2.25.1.1") == 0x0000
            peer.release()
        assert_kept(node, {"2.25.1.1": "2.25.1"})


def _store_until_acknowledged(node: Trial) -> None:
    def is_stored() -> bool:
        try:
            with RawPeer(node.node.port, timeout_s=30) as peer:
                return peer.associate() == "AC" and node.store(peer) == 0x0000
        except (OSError, AssertionError):  # it died in the middle
            return False

    await_that(is_stored, "the instance to be acknowledged", 60)


def _await_more_refusals(storm: Storm, before: list[int]) -> None:
    def has_more() -> bool:
        return all(now > then + 2 for now, then in zip(storm.refusals(), before, strict=True))

    await_that(has_more, "every sender to be refused")
