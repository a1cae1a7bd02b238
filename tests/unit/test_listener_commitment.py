"""The listener's side of storage commitment: its memory is bounded, and what it cannot keep it refuses."""

import errno
import os

import pytest

from commitments import CT, WELL_KNOWN
from node import command_set as cs
from node.commitment.dataset import IMPLICIT_VR_LITTLE_ENDIAN, PUSH_MODEL, Request, write_report
from node.commitment.exchange import Exchange, Result
from node.listener import commitment
from node.listener.commitment import (
    MAX_BYTES_AT_ONCE,
    MAX_DATA_SET_BYTES,
    CommitmentService,
    CommitmentSession,
)
from node.listener.file_meta import Sender

REQUEST = Request("1.2.77", ((CT, "1.2.1"),))
DATA = write_report(REQUEST, [0], transfer_syntax_uid=IMPLICIT_VR_LITTLE_ENDIAN)
COMMAND = cs.decode(
    cs.encode(
        {
            cs.REQUESTED_SOP_CLASS_UID: PUSH_MODEL,
            cs.COMMAND_FIELD: cs.N_ACTION_RQ,
            cs.MESSAGE_ID: 7,
            cs.DATA_SET_TYPE: cs.HAS_DATA_SET,
            cs.REQUESTED_SOP_INSTANCE_UID: WELL_KNOWN,
            cs.ACTION_TYPE_ID: 1,
        }
    )
)


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def service(tmp_path):
    return CommitmentService(Exchange(tmp_path / "commitment"), clock=Clock())


def session(service) -> CommitmentSession:
    return CommitmentSession(service, Sender("SCANNER", "PREPNODE", "10.0.0.7", "host-0:1"))


def action(of, data: bytes = DATA):
    made = of.begin(COMMAND, 1, IMPLICIT_VR_LITTLE_ENDIAN)
    made.write(data)
    return made


def reply(message_id: int = 1, status: int = 0) -> dict[int, bytes]:
    return cs.decode(cs.encode({cs.MESSAGE_ID_RESPONDED_TO: message_id, cs.STATUS: status}))


def files(service) -> list[str]:
    return sorted(path.suffix for path in service.exchange.folder.iterdir())


def token(service) -> str:
    (asked,) = service.exchange.requests(10)
    return asked.token


def test_all_requests_together_take_no_more_memory_than_their_limit(service):
    of = session(service)
    whole = MAX_BYTES_AT_ONCE // MAX_DATA_SET_BYTES
    held = [action(of, bytes(MAX_DATA_SET_BYTES)) for _ in range(whole)]
    assert of.answer(action(of))[cs.STATUS] == 0x0213
    held.pop().discard()
    assert of.answer(action(of))[cs.STATUS] == 0x0000
    for each in held:
        each.discard()
        each.discard()
    assert service.reserve(MAX_BYTES_AT_ONCE)
    assert not service.reserve(1)


def test_a_request_that_is_too_long_gives_its_memory_back_before_it_ends(service):
    of = session(service)
    long = of.begin(COMMAND, 1, IMPLICIT_VR_LITTLE_ENDIAN)
    for _ in range(3):
        long.write(bytes(MAX_DATA_SET_BYTES - 1))
    assert service.reserve(MAX_BYTES_AT_ONCE)


def test_a_request_is_acknowledged_when_it_is_durable_and_not_when_it_cannot_be(service, monkeypatch):
    of = session(service)
    monkeypatch.setattr(os, "fsync", full)
    answer = of.answer(action(of))
    assert answer[cs.STATUS] == 0x0213
    assert files(service) == []
    assert not of.is_owing


def full(_fd):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_too_many_requests_that_nobody_takes_are_refused(service, monkeypatch):
    monkeypatch.setattr(commitment, "MAX_BACKLOG", 2)
    of = session(service)
    assert [of.answer(action(of))[cs.STATUS] for _ in range(3)] == [0, 0, 0x0213]


def test_one_report_at_a_time_is_sent_and_noted_when_it_is_answered(service):
    of = session(service)
    of.answer(action(of))
    assert of.report() is None
    service.exchange.answer(token(service), Result(REQUEST, (0,)))
    sent = of.report()
    assert sent.elements[cs.EVENT_TYPE_ID] == 1
    assert sent.data == DATA
    assert of.report() is None
    of.replied(reply())
    assert files(service) == [".reported", ".request", ".taken"]
    assert not of.is_owing


def test_a_report_that_is_refused_is_left_to_a_new_association(service):
    of = session(service)
    of.answer(action(of))
    service.exchange.answer(token(service), Result(REQUEST, (0,)))
    of.report()
    of.replied(reply(status=0x0110))
    assert files(service) == [".closed", ".request", ".taken"]


@pytest.mark.parametrize("message_id", [1, 2])
def test_an_answer_to_nothing_ends_the_association(service, message_id):
    with pytest.raises(ValueError, match="no report"):
        session(service).replied(reply(message_id))


def test_an_association_that_ends_tells_of_everything_it_did_not_report(service):
    of = session(service)
    of.answer(action(of))
    of.close()
    assert files(service) == [".closed", ".request"]


def test_the_silence_of_a_requestor_that_waits_is_no_fault_for_five_minutes(service):
    of = session(service)
    assert not of.is_patient
    of.answer(action(of))
    assert of.is_patient
    service.clock.now += 301
    assert not of.is_patient
