"""Whether everything that was acknowledged is accounted for: the arithmetic, and every way to lose an object."""

import sqlite3
from dataclasses import replace
from datetime import date

import pytest

from ledgers import PEER, Receiver, content
from node import acks
from node.clock import utc_now
from node.errors import RegistryError
from node.intake import take_in
from node.ledger import Line, problems
from node.recovery import rebuild, recover
from node.registry.repository import Repository
from registries import NOON, registry, rows

LINE = Line(date(2026, 1, 1), PEER)


@pytest.fixture
def node(tmp_path):
    made = Receiver(tmp_path / "node")
    yield made
    made.close()


def only(node) -> Line:
    (line,) = node.lines()
    return line


@pytest.mark.parametrize(
    ("counts", "lost", "unanswered", "uncounted"),
    [
        ({}, 0, 0, 0),
        ({"acknowledged": 5, "new": 5, "before": 5}, 0, 0, 0),
        ({"acknowledged": 5, "new": 2, "conflicts": 1, "duplicates": 1, "pending": 1, "before": 4}, 0, 0, 0),
        ({"acknowledged": 5, "new": 3, "set_aside": 1, "before": 4}, 1, 0, 0),
        ({"acknowledged": 5, "new": 7, "recovered": 3, "before": 7}, 0, 2, 0),
        ({"acknowledged": 5, "new": 7, "recovered": 1, "before": 7}, 0, 1, 1),
        ({"acknowledged": 0, "new": 7, "adjustment": 7, "before": 0}, 0, 0, 0),
        ({"acknowledged": 9, "new": 7, "adjustment": -2, "before": 9}, 0, 0, 0),
        ({"acknowledged": 5, "new": 9, "before": 4}, 0, 0, 0),  # registered after reading began
    ],
)
def test_the_arithmetic_of_a_line(counts, lost, unanswered, uncounted):
    line = replace(LINE, **counts)
    assert (line.lost, line.unanswered, line.uncounted) == (lost, unanswered, uncounted)
    assert line.is_balanced == (not lost and not uncounted)
    assert len(problems(line)) == (lost > 0) + (uncounted > 0)


@pytest.mark.parametrize(
    ("rows_found", "words"),
    [
        ({"PROCESSED": 3}, None),
        ({"PROCESSED": 1, "HELD": 1, "RECEIVING": 1}, None),
        ({"PROCESSED": 2}, "1 registered instances have no row"),
        ({"PROCESSED": 4}, "1 rows of instances were never counted"),
        ({"PROCESSED": 2, "": 1}, "1 instances are in no series"),
        (None, None),
    ],
)
def test_registered_is_the_sum_of_the_states(rows_found, words):
    line = replace(LINE, acknowledged=4, new=2, conflicts=1, duplicates=1, before=4, rows=rows_found)
    assert line.is_balanced == (words is None)
    assert [words in problem for problem in problems(line)] == [True] * (words is not None)


def test_every_problem_says_where_and_what_to_do():
    line = replace(LINE, acknowledged=4, new=2, before=2, rows={"": 1})
    found = problems(line)
    assert len(found) == 3
    assert all(problem.startswith("2026-01-01 PACS1: ") for problem in found)
    assert "have PACS1 send" in found[0]
    assert "`prepnode ledger --settle 2026-01-01 PACS1`" in found[0]
    assert all("prepnode registry rebuild" in problem for problem in found[1:])


def test_new_conflicting_and_repeated_objects_balance(node):
    for file in (content(1), content(2), content(1), content(1, other="altered"), content(1)):
        node.receive(file)
    line = only(node)
    assert (line.acknowledged, line.registered, line.pending) == (5, 0, 5)
    assert line.is_balanced
    node.register()
    line = only(node)
    assert (line.new, line.conflicts, line.duplicates, line.pending) == (2, 1, 2, 0)
    assert line.rows == {"RECEIVING": 3}
    assert line.is_balanced
    assert (line.unanswered, line.difference) == (0, 0)


def test_each_peer_has_its_own_line(node):
    for sender in ("PACS1", "PACS2", "PACS2"):
        node.receive(content(len(node.waiting), sender=sender))
    node.register()
    assert {line.calling_ae_title: line.acknowledged for line in node.lines()} == {"PACS1": 1, "PACS2": 2}
    assert all(line.is_balanced for line in node.lines())


def test_an_object_that_vanished_from_new_is_lost(node):
    gone = node.receive(content(1))
    node.receive(content(2))
    gone.path.unlink()
    assert only(node).lost == 1
    node.register()
    line = only(node)
    assert (line.acknowledged, line.registered, line.lost) == (2, 1, 1)
    assert "1 acknowledged objects are lost" in problems(line)[0]


def test_the_repetition_of_a_known_object_that_vanished_is_lost_too(node):
    node.receive(content(1))
    node.register()
    node.receive(content(1)).path.unlink()
    node.register()
    assert only(node).lost == 1
    assert [each["name"] for each in rows(node.engine, "event")] == ["series.opened"]


@pytest.mark.parametrize("step", ["place", "settle", "register", "release", "forget"])
def test_a_kill_at_any_step_of_registering_is_counted_once(node, monkeypatch, step):
    for number in (1, 2, 1):
        node.receive(content(number))
    owner = node.repository if step in ("register", "forget") else node.spool

    def die(*_args, **_options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(owner, step, die)
        with pytest.raises(KeyboardInterrupt):
            node.register()
    assert only(node).is_balanced
    node.restart()
    line = only(node)
    assert (line.acknowledged, line.registered, line.pending, line.unanswered) == (3, 3, 0, 0)
    assert line.difference == 0
    last = node.receive(content(3))
    node.register()
    assert [row["name"] for row in rows(node.engine, "intake")] == [last.path.name]


def test_a_batch_that_is_tried_again_is_counted_once(node, monkeypatch):
    arrivals = [node.receive(content(number)) for number in (1, 2, 1)]
    real, calls = node.spool.release, []

    def refuse_once(path):
        calls.append(path)
        if len(calls) == 2:
            raise OSError(5, "Input/output error")
        real(path)

    monkeypatch.setattr(node.spool, "release", refuse_once)
    with pytest.raises(OSError, match="Input"):
        take_in(node.repository, node.spool, arrivals, utc_now())
    take_in(node.repository, node.spool, arrivals, utc_now())
    line = only(node)
    assert (line.new, line.duplicates, line.difference) == (2, 1, 0)
    assert list((node.spool.root / "new").iterdir()) == []


def test_a_receipt_that_comes_after_its_file_was_found_in_new_counts_nothing(node):
    late = node.receive(content(1))
    recover(node.repository, node.spool, utc_now())
    take_in(node.repository, node.spool, [late], utc_now())
    for _ in range(2):  # also once its name is forgotten
        node.receive(content(2))
        node.register()
        take_in(node.repository, node.spool, [late], utc_now())
    line = only(node)
    assert (line.acknowledged, line.registered, line.difference) == (3, 3, 0)


def test_one_batch_may_hold_a_file_twice(node):
    arrival = node.receive(content(1))
    take_in(node.repository, node.spool, [arrival, arrival], utc_now())
    line = only(node)
    assert (line.new, line.duplicates, line.difference) == (1, 0, 0)


def test_what_was_durable_but_not_answered_is_told_apart_from_a_surplus(node):
    node.receive(content(1))
    node.durable(content(2))  # killed before it was counted
    node.restart()
    line = only(node)
    assert (line.acknowledged, line.registered, line.recovered, line.unanswered) == (1, 2, 2, 1)
    assert line.is_balanced


def test_counts_of_acknowledgements_that_are_gone_are_told(node):
    node.receive(content(1))
    node.register()
    for path in (node.spool.root / acks.FOLDER).iterdir():
        path.unlink()
    line = only(node)
    assert line.uncounted == 1
    assert "no object is missing" in problems(line)[0]


def test_rows_that_are_deleted_behind_the_node_are_missed(node):
    node.receive(content(1))
    node.receive(content(2))
    node.register()
    with sqlite3.connect(node.folder / "registry.db") as connection:
        connection.execute("DELETE FROM instance WHERE SOPInstanceUID = '2.25.82'")
    connection.close()
    assert only(node).rows_missing == 1
    rebuild(node.repository, node.spool, utc_now())
    assert only(node).is_balanced
    assert rows(node.engine, "instance", SOPInstanceUID="2.25.82")


def test_the_acknowledgements_are_on_stable_storage_before_the_rows(tmp_path, monkeypatch):
    node = Receiver(tmp_path / "node", durability="fsync")
    order = []
    for owner, name in ((acks, "flush"), (node.repository, "register")):
        real = getattr(owner, name)
        monkeypatch.setattr(
            owner, name, lambda *a, name=name, real=real, **k: (order.append(name), real(*a, **k))[1]
        )
    node.receive(content(1))
    node.register()
    assert order == ["flush", "register"]
    node.close()


def test_what_cannot_be_registered_is_set_aside_and_counted_once(node, monkeypatch):
    def die(_path):
        raise KeyboardInterrupt

    with node.spool.open() as incoming:
        incoming.write(b"no dicom")
        incoming.commit()
    node.book.acknowledge("", incoming.size, incoming.received_at)
    assert only(node).is_balanced
    with monkeypatch.context() as patched:
        patched.setattr("node.spool.Spool.set_aside", lambda *_: die(None))
        with pytest.raises(KeyboardInterrupt):
            node.restart()
    node.restart()
    line = only(node)
    assert (line.acknowledged, line.set_aside, line.difference) == (1, 1, 0)
    assert len(list((node.spool.root / "unreadable").iterdir())) == 1


def test_a_registry_that_is_built_anew_opens_its_ledger_anew_and_says_so(node, tmp_path):
    for number in (1, 2, 1):
        node.receive(content(number))
    node.register()
    node.close()
    for path in node.folder.glob("registry.db*"):
        path.unlink()
    registry(node.folder).dispose()
    node._start()
    assert only(node).lost == 3
    for _ in range(2):  # a second time changes nothing
        rebuild(node.repository, node.spool, utc_now())
        line = only(node)
        assert (line.acknowledged, line.new, line.is_rebuilt) == (3, 2, True)
        assert (line.is_balanced, line.row()["balance"]) == (True, "rebuilt")
    node.receive(content(3)).path.unlink()  # from then on every loss is seen again
    node.register()
    assert only(node).lost == 1


def test_a_rebuild_of_a_whole_registry_hides_no_loss(node):
    node.receive(content(1))
    node.receive(content(2)).path.unlink()
    node.register()
    rebuild(node.repository, node.spool, utc_now())
    line = only(node)
    assert (line.lost, line.is_rebuilt) == (1, False)


def test_a_person_may_settle_a_loss_and_the_next_one_is_seen(node):
    node.receive(content(1)).path.unlink()
    line = only(node)
    node.repository.settle((line.day, PEER), -line.lost, who="somebody", now=NOON)
    assert only(node).is_balanced
    (event,) = rows(node.engine, "event", name="ledger.settled")
    assert event["details"] == {"day": str(line.day), "calling_ae_title": PEER, "n": -1, "who": "somebody"}
    node.receive(content(2)).path.unlink()
    assert only(node).lost == 1


def test_only_the_days_asked_for_are_shown(node):
    arrival = node.receive(content(1))
    node.register()
    assert node.lines(since=arrival.received_at.date()) != []
    assert node.lines(since=date(2999, 1, 1)) == []


def test_an_object_that_is_registered_while_the_ledger_is_read_is_no_loss(node, monkeypatch):
    """Between any two of its reads the node goes on."""
    from node import ledger as module

    number = iter(range(100))

    def goes_on(real):
        def call(*args, **options):
            node.receive(content(next(number)))
            found = real(*args, **options)
            node.register()
            node.receive(content(next(number)))
            return found

        return call

    monkeypatch.setattr(module.acks, "acknowledged", goes_on(module.acks.acknowledged))
    monkeypatch.setattr(module, "_waiting", goes_on(module._waiting))
    assert only(node).is_balanced


def test_registering_the_same_again_directly_changes_no_balance(tmp_path, node):
    node.receive(content(1))
    node.register()
    again = Repository(node.engine)
    for _ in range(2):
        rebuild(again, node.spool, utc_now())
    assert only(node).difference == 0


def test_what_is_set_aside_from_a_batch_that_is_tried_again_is_counted_once(node, monkeypatch):
    good, bad = node.receive(content(1)), node.receive(content(2))
    batch = [replace(bad, sop_instance_uid="../2"), good]

    def refuse(*_):
        raise RegistryError("locked")

    with monkeypatch.context() as patched:
        patched.setattr(node.repository, "register", refuse)
        with pytest.raises(RegistryError):
            take_in(node.repository, node.spool, batch, utc_now())
    for _ in range(2):
        take_in(node.repository, node.spool, batch, utc_now())
    line = only(node)
    assert (line.registered, line.set_aside, line.difference) == (1, 1, 0)
