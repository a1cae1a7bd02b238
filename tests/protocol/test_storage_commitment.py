"""Storage Commitment over the wire: on the same association, on a new one, after a restart, and what is refused."""

import threading

import pytest
from sqlalchemy import select

import data
from commitments import CT, MR, N_ACTION_RQ, CommittingNode, Requestor, ask, committed, failed, store
from listeners import CONTEXTS, IMPLICIT, RawPeer, dataset, p_data, pdv
from node import command_set as cs
from node.commitment.dataset import PUSH_MODEL, Request, write_report
from node.listener import acceptor
from node.registry.database import reading
from node.registry.repository import Repository
from node.registry.schema import Event
from nodes import await_that, free_port

TRANSACTION = "1.2.826.0.1.3680043.8.498.77"
UNKNOWN = "1.2.826.0.1.3680043.8.498.404"


@pytest.fixture
def make_node(tmp_path):
    nodes = []

    def make(**tables):
        nodes.append(CommittingNode(tmp_path / "data", **tables))
        return nodes[-1]

    yield make
    for node in nodes:
        node.close()


@pytest.fixture
def node(make_node):
    return make_node()


def listed(port: int, **more):
    return {"listener": {"peer": [{"calling_aet": "SCANNER", "report_port": port, **more}]}}


def send(association, slices: int = 3) -> list[tuple[str, str]]:
    """Store a CT series; return what is to be committed."""
    return store(association, data.ct_series(slices=slices, rows=16, columns=16))


def event_names(node) -> list[str]:
    with reading(node.engine) as connection:
        return list(
            connection.scalars(select(Event.name).where(Event.name.like("commitment.%")).order_by(Event.id))
        )


def test_all_objects_are_committed_on_the_association_that_stored_them(node):
    scanner = Requestor()
    with node.working():
        association = scanner.associate(node.port)
        references = send(association)
        assert ask(association, TRANSACTION, references) == 0x0000
        kind, report = scanner.report()
        await_that(lambda: node.commitment()["state"] == "REPORTED", "the answer to be noted")
        association.release()
    assert kind == 1
    assert report.TransactionUID == TRANSACTION
    assert committed(report) == references
    assert failed(report) == {}
    assert event_names(node) == ["commitment.requested", "commitment.reported"]
    assert node.files() == []


def test_a_sender_that_goes_on_sending_is_not_disturbed_by_a_report(node, monkeypatch):
    """Between its objects a report would be taken for the answer to a C-STORE."""
    monkeypatch.setattr(acceptor, "QUIET_S", 2.0)
    with RawPeer(node.port) as peer:
        assert peer.associate(contexts=(*CONTEXTS, (5, PUSH_MODEL, (IMPLICIT,)))) == "AC"
        assert peer.store(dataset("1.2.3.1"), uid="1.2.3.1") == 0x0000
        asked = write_report(Request(TRANSACTION, ((CT, "1.2.3.1"),)), [0], transfer_syntax_uid=IMPLICIT)
        peer.send(p_data(pdv(5, 3, cs.encode(N_ACTION_RQ))) + p_data(pdv(5, 2, asked)))
        assert peer.status() == 0x0000
        node.registrar.flush(10)
        node.turn()
        assert ".answer" in node.files()
        for number in range(2, 7):
            assert peer.store(dataset(f"1.2.3.{number}"), uid=f"1.2.3.{number}") == 0x0000
            assert peer.echo() == 0x0000
        name, body = peer.receive()
        assert name == "DATA"
        assert cs.number(cs.decode(body[6:]), cs.COMMAND_FIELD) == cs.N_EVENT_REPORT_RQ
        name, body = peer.receive()
        assert body[6:] == asked  # of one object that is committed, request and report look the same


def test_a_corrupt_a_missing_and_an_unknown_object_and_one_of_another_class_are_not_committed(node):
    scanner = Requestor()
    association = scanner.associate(node.port)
    references = send(association, 5)
    node.registrar.flush(10)
    whole, corrupt, gone, other, _ = [uid for _, uid in references]
    path = node.stored(corrupt)
    content = bytearray(path.read_bytes())
    content[-1] ^= 0x01
    path.write_bytes(content)
    node.stored(gone).unlink()
    with node.working():
        asked = [(CT, whole), (CT, corrupt), (CT, gone), (MR, other), (CT, UNKNOWN)]
        assert ask(association, TRANSACTION, asked) == 0x0000
        kind, report = scanner.report()
        association.release()
    assert kind == 2
    assert committed(report) == [(CT, whole)]
    assert failed(report) == {corrupt: 0x0110, gone: 0x0112, other: 0x0119, UNKNOWN: 0x0112}


def test_an_object_that_is_acknowledged_but_not_registered_yet_is_waited_for(node, monkeypatch):
    may_register, register = threading.Event(), Repository.register

    def register_later(*arguments):
        assert may_register.wait(30)
        return register(*arguments)

    monkeypatch.setattr(Repository, "register", register_later)
    scanner = Requestor()
    association = scanner.associate(node.port)
    references = send(association, 1)
    assert ask(association, TRANSACTION, references) == 0x0000
    for _ in range(3):
        node.turn()
        node.clock.advance(seconds=1)
    assert node.commitment()["state"] == "JUDGING"
    may_register.set()
    with node.working():
        kind, report = scanner.report()
        await_that(lambda: node.commitment()["state"] == "REPORTED", "the answer to be noted")
    association.release()
    assert (kind, committed(report)) == (1, references)


def test_a_requestor_that_has_closed_is_told_on_a_new_association(make_node):
    scanner = Requestor()
    with scanner.listening() as port:
        node = make_node(**listed(port))
        association = scanner.associate(node.port)
        references = send(association)
        assert ask(association, TRANSACTION, [*references, (CT, UNKNOWN)]) == 0x0000
        association.release()
        with node.working():
            kind, report = scanner.report()
            await_that(lambda: node.commitment()["state"] == "REPORTED", "the answer to be noted")
    assert kind == 2
    assert committed(report) == references
    assert failed(report) == {UNKNOWN: 0x0112}
    assert node.files() == []


def test_a_restart_between_request_and_report_loses_nothing(make_node):
    scanner = Requestor()
    with scanner.listening() as port:
        node = make_node(**listed(port))
        association = scanner.associate(node.port)
        references = send(association)
        assert ask(association, TRANSACTION, references) == 0x0000
        node.close()  # before any loop has seen the request
        association.abort()
        again = make_node(**listed(port))
        with again.working():
            kind, report = scanner.report()
            await_that(lambda: again.commitment()["state"] == "REPORTED", "the answer to be noted")
    assert (kind, committed(report)) == (1, references)


def test_a_requestor_that_is_down_is_tried_again_later(make_node):
    scanner, port = Requestor(), free_port()
    node = make_node(**listed(port))
    association = scanner.associate(node.port)
    references = send(association, 1)
    assert ask(association, TRANSACTION, references) == 0x0000
    association.release()
    await_that(lambda: ".closed" in node.files(), "the association to be over")
    for attempt, wait_s in enumerate((30, 60, 120), start=1):
        node.turn()
        row = node.commitment()
        assert (row["state"], row["attempts"]) == ("PENDING", attempt)
        assert "no connection" in row["error"]
        assert abs((row["due_at"] - node.clock()).total_seconds() - wait_s) < 5
        node.turn()  # not due
        assert node.commitment()["attempts"] == attempt
        node.clock.advance(seconds=wait_s)
    with scanner.listening(port):
        node.turn()
        assert scanner.report()[0] == 1
    assert node.commitment()["state"] == "REPORTED"


def test_a_report_is_given_up_after_its_time_and_can_be_retried(make_node):
    scanner, port = Requestor(), free_port()
    node = make_node(**listed(port))
    association = scanner.associate(node.port)
    references = send(association, 1)
    assert ask(association, TRANSACTION, references) == 0x0000
    association.release()
    await_that(lambda: ".closed" in node.files(), "the association to be over")
    node.turn()
    node.clock.advance(hours=169)
    node.turn()
    row = node.commitment()
    assert row["state"] == "FAILED"
    assert "given up after 168 h" in row["error"]
    assert event_names(node)[-1] == "commitment.failed"
    node.repository.retry_commitment(row["id"], now=node.clock())
    with scanner.listening(port):
        node.turn()
        assert scanner.report()[0] == 1
    assert node.commitment()["state"] == "REPORTED"


def test_without_a_port_the_result_waits_and_says_what_to_configure(make_node, tmp_path):
    scanner = Requestor()
    node = make_node()
    association = scanner.associate(node.port)
    references = send(association, 1)
    assert ask(association, TRANSACTION, references) == 0x0000
    association.release()
    await_that(lambda: ".closed" in node.files(), "the association to be over")
    node.turn()
    node.turn()
    assert node.commitment()["state"] == "PENDING"
    assert (
        'set `report_port` in a [[listener.peer]] with calling_aet = "SCANNER"' in node.commitment()["error"]
    )
    assert event_names(node) == ["commitment.requested", "commitment.attempt"]
    node.close()
    with scanner.listening() as port:
        configured = make_node(**listed(port))
        configured.turn()
        assert scanner.report()[0] == 1


def test_a_requestor_that_does_not_answer_on_its_association_is_told_on_a_new_one(make_node):
    silent, listener = Requestor(), Requestor()
    silent.may_answer.clear()
    with listener.listening() as port:
        node = make_node(**listed(port))
        association = silent.associate(node.port)
        references = send(association, 1)
        assert ask(association, TRANSACTION, references) == 0x0000
        node.turn()
        assert silent.report()[0] == 1
        node.turn()
        assert node.commitment()["state"] == "PENDING"
        node.clock.advance(seconds=31)
        node.turn()
        assert listener.report()[0] == 1
        assert node.commitment()["state"] == "REPORTED"
        silent.may_answer.set()
        await_that(lambda: ".reported" in node.files(), "the late answer")
        association.release()
        node.turn()
    assert node.files() == []
    assert event_names(node).count("commitment.reported") == 1


def test_a_refused_report_is_tried_again(make_node):
    scanner = Requestor(status=0x0110)
    with scanner.listening() as port:
        node = make_node(**listed(port))
        association = scanner.associate(node.port)
        references = send(association, 1)
        assert ask(association, TRANSACTION, references) == 0x0000
        association.release()
        await_that(lambda: ".closed" in node.files(), "the association to be over")
        node.turn()
        assert node.commitment()["state"] == "PENDING"
        assert "answered 0x0110" in node.commitment()["error"]
        scanner.status = 0x0000
        node.clock.advance(seconds=31)
        node.turn()
        assert node.commitment()["state"] == "REPORTED"


def test_the_same_transaction_asked_again_is_reported_again_and_with_other_objects_is_a_duplicate(node):
    scanner = Requestor()
    with node.working():
        association = scanner.associate(node.port)
        references = send(association, 2)
        assert ask(association, TRANSACTION, references) == 0x0000
        await_that(lambda: len(scanner.reports) == 1, "the first report")
        assert ask(association, TRANSACTION, references) == 0x0000
        await_that(lambda: len(scanner.reports) == 2, "the second report")
        assert ask(association, TRANSACTION, references[:1]) == 0x0000
        await_that(lambda: len(scanner.reports) == 3, "the third report")
        association.release()
    assert [kind for kind, _ in scanner.reports] == [1, 1, 2]
    assert failed(scanner.reports[2][1]) == {references[0][1]: 0x0131}
