"""What is unknown in an association request is left out; what is known, and what is malformed, stays as it was."""

import pytest
from pynetdicom.pdu import A_ASSOCIATE_RQ

from listeners import associate_rq, item, pdu
from node.listener.request_items import known_items_only


def test_a_request_of_known_items_stays_as_it_was() -> None:
    role = item(0x54, b"\0\x051.2.3\1\1")
    assert known_items_only(associate_rq(user=role)) == associate_rq(user=role)


@pytest.mark.parametrize("kind", [0x00, 0x30, 0x5A, 0x77, 0xFF])
def test_an_unknown_user_item_is_left_out(kind: int) -> None:
    role = item(0x54, b"\0\x051.2.3\1\1")
    assert known_items_only(associate_rq(user=item(kind, b"x" * 9) + role)) == associate_rq(user=role)


def test_an_unknown_item_of_the_request_is_left_out() -> None:
    whole = associate_rq()
    longer = pdu(1, whole[6:] + item(0x60, b"what comes in a later edition"))
    assert known_items_only(longer) == whole
    request = A_ASSOCIATE_RQ()
    request.decode(known_items_only(longer))
    assert request.called_ae_title == "PREPNODE"


@pytest.mark.parametrize(
    "malformed", [b"", pdu(5, bytes(4)), pdu(1, bytes(10)), associate_rq()[:-3], associate_rq() + b"\x77"]
)
def test_what_is_malformed_or_no_request_is_left_to_the_decoder(malformed: bytes) -> None:
    assert known_items_only(malformed) == malformed
