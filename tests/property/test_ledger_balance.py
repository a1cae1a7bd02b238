"""Whatever is received, registered, killed and recovered in whatever order: the ledger balances unless an object is lost.

The machine drops objects behind the node's back now and then, and knows by itself how many:
the ledger must miss exactly these, and call nothing else a loss.
"""

import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ledgers import Receiver, content
from node.clock import utc_now
from node.intake import take_in

senders = st.sampled_from(["PACS1", "PACS2"])
numbers = st.integers(0, 3)
contents = st.sampled_from(["", "other"])
STEPS = ("place", "settle", "register", "release", "forget")


class Killed(BaseException):
    """The process died here."""


class LedgerMachine(RuleBasedStateMachine):
    """One node, and what was done to it."""

    @initialize()
    def begin(self):
        self.folder = Path(tempfile.mkdtemp(prefix="ledger-"))
        self.node = Receiver(self.folder)
        self.acknowledged = self.dropped = self.unanswered = 0

    def teardown(self):
        if hasattr(self, "folder"):
            self.node.close()
            shutil.rmtree(self.folder)

    @rule(sender=senders, number=numbers, other=contents)
    def receive(self, sender, number, other):
        self.node.receive(content(number, sender=sender, other=other))
        self.acknowledged += 1

    @rule()
    def register(self):
        self.node.register()

    @rule(sender=senders, number=numbers)
    def die_before_the_answer(self, sender, number):
        self.node.durable(content(number, sender=sender))
        self.unanswered += 1
        self.node.restart()

    @rule(step=st.sampled_from(STEPS), after=st.integers(0, 3))
    @precondition(lambda self: self.node.waiting)
    def die_while_registering(self, step, after):
        owner = self.node.repository if step in ("register", "forget") else self.node.spool
        real, calls = getattr(owner, step), []

        def die(*args, **options):
            calls.append(1)
            if len(calls) > after:
                raise Killed
            return real(*args, **options)

        setattr(owner, step, die)
        try:
            take_in(self.node.repository, self.node.spool, self.node.waiting, utc_now())
        except Killed:
            pass
        finally:
            delattr(owner, step)
        self.node.restart()

    @rule()
    def restart(self):
        self.node.restart()

    @rule(which=st.integers(0, 9))
    @precondition(lambda self: self.node.waiting)
    def drop(self, which):
        """Something removes an acknowledged file from new/."""
        arrival = self.node.waiting[which % len(self.node.waiting)]
        if arrival.path.exists():
            arrival.path.unlink()
            self.dropped += 1

    @invariant()
    def the_ledger_misses_what_was_dropped_and_nothing_else(self):
        if not hasattr(self, "folder"):
            return
        lines = self.node.lines()
        assert sum(line.acknowledged for line in lines) == self.acknowledged
        assert sum(line.difference for line in lines) == self.unanswered - self.dropped
        assert sum(line.lost for line in lines) >= self.dropped - self.unanswered
        assert not any(line.uncounted or line.rows_missing or line.without_series for line in lines)
        if not self.dropped:
            assert all(line.is_balanced for line in lines)
        if not self.unanswered:
            assert sum(line.lost for line in lines) == self.dropped


TestLedger = LedgerMachine.TestCase
TestLedger.settings = settings(
    max_examples=20,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
