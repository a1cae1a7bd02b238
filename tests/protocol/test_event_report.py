"""An N-EVENT-REPORT on an association that this node opens: as SCP, answered, refused, or never answered."""

import threading

import pytest
from pynetdicom import AE, evt
from pynetdicom.pdu import A_ASSOCIATE_RQ
from pynetdicom.sop_class import StorageCommitmentPushModel, Verification

from commitments import CT, Requestor, committed, failed
from faulty_peers import RawPeer
from node.commitment.dataset import PUSH_MODEL, Request
from node.commitment.exchange import Result
from node.errors import DeliveryError
from node.forwarding.association import Target
from node.forwarding.event_report import AS_SCP, CONTEXT, report
from node.forwarding.negotiation import agreement, request
from nodes import free_port

RESULTS = [
    Result(Request("1.2.77", ((CT, "1.2.1"), (CT, "1.2.2"))), (0, 0x0112)),
    Result(Request("1.2.78", ((CT, "1.2.3"),)), (0,)),
]


def target(port: int) -> Target:
    return Target("127.0.0.1", port, "SCANNER", timeout_s=1.0)


def test_results_arrive_one_after_the_other_on_one_association():
    scanner = Requestor()
    with scanner.listening() as port:
        assert list(report(target(port), RESULTS)) == ["", ""]
    assert [kind for kind, _ in scanner.reports] == [2, 1]
    assert failed(scanner.reports[0][1]) == {"1.2.2": 0x0112}
    assert committed(scanner.reports[1][1]) == [(CT, "1.2.3")]


def test_what_the_requestor_answers_is_told():
    with Requestor(status=0x0110).listening() as port:
        assert list(report(target(port), RESULTS[:1])) == [f"SCANNER at 127.0.0.1:{port} answered 0x0110"]


def test_role_selection_says_that_this_node_is_the_scp():
    decoded = A_ASSOCIATE_RQ()
    decoded.decode(request("SCANNER", "PREPNODE", [CONTEXT], AS_SCP))
    (role,) = decoded.user_information.role_selection.values()
    assert (role.uid, role.scu, role.scp) == (PUSH_MODEL, 0, 1)


@pytest.mark.parametrize(
    ("answered", "is_accepted"), [(None, True), (b"\0\1", True), (b"\0\0", False), (b"\1\0", False)]
)
def test_a_context_without_the_role_of_scp_is_refused_unless_the_answer_is_silent(answered, is_accepted):
    uid = PUSH_MODEL.encode()
    role = b"" if answered is None else item(0x54, len(uid).to_bytes(2, "big") + uid + answered)
    accepted = item(0x21, b"\1\0\0\0" + item(0x40, CONTEXT[1].encode()))
    body = bytes(68) + accepted + item(0x50, item(0x51, (16384).to_bytes(4, "big")) + role)
    found = agreement(body, [CONTEXT], AS_SCP)
    assert (CONTEXT in found.accepted) == is_accepted
    assert found.refused.get(CONTEXT) == (None if is_accepted else "the role of SCP refused")


def item(kind: int, value: bytes) -> bytes:
    return bytes((kind, 0)) + len(value).to_bytes(2, "big") + value


def test_a_peer_that_takes_no_reports_is_told_in_words():
    ae = AE("SCANNER")
    ae.add_supported_context(Verification)
    server = ae.start_server(("127.0.0.1", 0), block=False)
    try:
        with pytest.raises(DeliveryError, match="takes no storage commitment reports"):
            list(report(target(server.server_address[1]), RESULTS))
    finally:
        server.shutdown()


@pytest.mark.parametrize("mode", ["silent", "refuses", "never answers"])
def test_a_peer_that_does_not_answer_costs_bounded_time_and_leaves_everything_to_report(mode):
    with RawPeer(mode) as peer, pytest.raises(DeliveryError):
        list(report(target(peer.port), RESULTS))


def test_nobody_there_is_told_at_once():
    with pytest.raises(DeliveryError, match="no connection"):
        list(report(target(free_port()), RESULTS))


def test_results_before_a_failure_were_taken():
    answers = [0x0000, None]
    aborted = threading.Event()

    def answer(event):
        status = answers.pop(0)
        if status is None:
            event.assoc.abort()
            aborted.set()
        return status or 0x0000, None

    ae = AE("SCANNER")
    ae.add_supported_context(StorageCommitmentPushModel, scu_role=False, scp_role=True)
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_N_EVENT_REPORT, answer)])
    taken = []
    try:
        with pytest.raises(DeliveryError):
            taken.extend(
                report(target(server.server_address[1]), RESULTS)
            )  # keeps what came before the error
    finally:
        server.shutdown()
    assert taken == [""]
    assert aborted.is_set()
