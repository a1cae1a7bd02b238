"""What a requestor of Storage Commitment does wrong, or in excess, is refused, and the node works on."""

import pytest
from pynetdicom import AE, build_role
from pynetdicom.sop_class import StorageCommitmentPushModel

import data
from commitments import CT, N_ACTION_RQ, CommittingNode, Requestor, act, ask, failed, request, store
from listeners import CONTEXTS, IMPLICIT, RawPeer, p_data, pdv, works
from node import command_set as cs
from node.commitment.dataset import PUSH_MODEL

TRANSACTION = "1.2.826.0.1.3680043.8.498.79"
UNKNOWN = "1.2.826.0.1.3680043.8.498.404"


@pytest.fixture
def node(tmp_path):
    made = CommittingNode(tmp_path / "data")
    yield made
    made.close()


def send(association) -> list[tuple[str, str]]:
    return store(association, data.ct_series(slices=1, rows=16, columns=16))


def test_an_answer_to_no_report_ends_the_association(node):
    answer = {
        cs.COMMAND_FIELD: cs.N_EVENT_REPORT_RSP,
        cs.MESSAGE_ID_RESPONDED_TO: 1,
        cs.DATA_SET_TYPE: cs.NO_DATA_SET,
        cs.STATUS: 0,
    }
    with RawPeer(node.port) as peer:
        assert peer.associate(contexts=(*CONTEXTS, (5, PUSH_MODEL, (IMPLICIT,)))) == "AC"
        peer.send(p_data(pdv(5, 3, cs.encode(answer))))
        assert peer.receive()[0] == "ABORT"
    works(node)


def test_a_report_of_a_peer_ends_the_association(node):
    report = {**N_ACTION_RQ, cs.COMMAND_FIELD: cs.N_EVENT_REPORT_RQ}
    with RawPeer(node.port) as peer:
        assert peer.associate(contexts=(*CONTEXTS, (5, PUSH_MODEL, (IMPLICIT,)))) == "AC"
        peer.send(p_data(pdv(5, 3, cs.encode(report))))
        assert peer.receive()[0] == "ABORT"
    works(node)


@pytest.mark.parametrize(
    ("change", "status"),
    [
        (lambda information: delattr(information, "TransactionUID"), 0x0115),
        (lambda information: delattr(information, "ReferencedSOPSequence"), 0x0115),
        (lambda information: setattr(information, "ReferencedSOPSequence", []), 0x0115),
        (lambda information: delattr(information.ReferencedSOPSequence[0], "ReferencedSOPClassUID"), 0x0115),
    ],
)
def test_a_request_that_says_too_little_is_refused_and_leaves_nothing(node, change, status):
    association = Requestor().associate(node.port)
    information = request(TRANSACTION, [(CT, UNKNOWN)])
    change(information)
    answer = act(association, information)
    association.release()
    assert answer == status
    assert node.files() == []


@pytest.mark.parametrize(
    ("action", "instance", "status"), [(2, "1.2.840.10008.1.20.1.1", 0x0123), (1, "1.2.3", 0x0112)]
)
def test_another_action_or_another_instance_is_refused(node, action, instance, status):
    association = Requestor().associate(node.port)
    answer = act(association, request(TRANSACTION, [(CT, UNKNOWN)]), action=action, instance=instance)
    association.release()
    assert answer == status
    assert node.files() == []


def test_too_many_objects_are_refused_and_the_association_works_on(node):
    association = Requestor().associate(node.port)
    assert ask(association, TRANSACTION, [(CT, f"1.2.3.{number}") for number in range(10_001)]) == 0x0213
    send(association)
    association.release()
    assert node.files() == []


def test_a_data_set_that_is_too_long_is_refused_and_leaves_no_memory_behind(node):
    association = Requestor().associate(node.port)
    information = request(TRANSACTION, [(CT, UNKNOWN)])
    information.add_new(0x00081140, "OB", bytes(5 << 20))
    answer = act(association, information)
    assert answer == 0x0213
    send(association)
    association.release()
    assert node.files() == []


def test_ten_thousand_objects_are_judged_in_one_request(node):
    scanner = Requestor()
    references = [(CT, f"1.2.3.{number}") for number in range(10_000)]
    with node.working():
        association = scanner.associate(node.port)
        assert ask(association, TRANSACTION, references) == 0x0000
        kind, report = scanner.report(60)
        association.release()
    assert kind == 2
    assert failed(report) == {uid: 0x0112 for _, uid in references}


def test_a_peer_that_wants_to_report_to_us_is_refused_the_context(node):
    ae = AE("SCANNER")
    ae.add_requested_context(StorageCommitmentPushModel)
    ae.add_requested_context("1.2.840.10008.1.1")
    role = build_role(StorageCommitmentPushModel, scu_role=False, scp_role=True)
    association = ae.associate("127.0.0.1", node.port, ext_neg=[role])
    assert association.is_established
    assert [str(context.abstract_syntax) for context in association.accepted_contexts] == [
        "1.2.840.10008.1.1"
    ]
    association.release()


def test_storage_commitment_can_be_turned_off(tmp_path):
    node = CommittingNode(tmp_path / "data", listener={"storage_commitment": False})
    association = Requestor().associate(node.port)
    assert [str(context.abstract_syntax) for context in association.accepted_contexts] == [CT]
    association.release()
    node.close()
