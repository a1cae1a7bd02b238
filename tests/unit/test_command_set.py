"""Command sets to and from bytes; pydicom is the oracle."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pynetdicom.dsutils import decode, encode

from node import command_set as cs


def test_pydicom_reads_what_we_encode() -> None:
    encoded = cs.encode(
        {
            cs.AFFECTED_SOP_CLASS_UID: "1.2.840.10008.5.1.4.1.1.2",
            cs.COMMAND_FIELD: cs.C_STORE_RSP,
            cs.MESSAGE_ID_RESPONDED_TO: 7,
            cs.DATA_SET_TYPE: cs.NO_DATA_SET,
            cs.STATUS: 0xA700,
            cs.ERROR_COMMENT: "out of resources",
            cs.AFFECTED_SOP_INSTANCE_UID: "1.2.3",
        }
    )
    read = decode(io.BytesIO(encoded), True, True)
    assert read.CommandGroupLength == len(encoded) - 12
    assert (read.CommandField, read.Status, read.MessageIDBeingRespondedTo) == (0x8001, 0xA700, 7)
    assert (read.AffectedSOPInstanceUID, read.ErrorComment) == ("1.2.3", "out of resources")


def test_we_read_what_pydicom_encodes() -> None:
    written = Dataset()
    written.AffectedSOPClassUID = "1.2.840.10008.1.1"
    written.CommandField = cs.C_ECHO_RQ
    written.MessageID = 65535
    written.CommandDataSetType = cs.NO_DATA_SET
    read = cs.decode(encode(written, True, True))
    assert cs.text(read, cs.AFFECTED_SOP_CLASS_UID) == cs.VERIFICATION
    assert cs.number(read, cs.COMMAND_FIELD) == cs.C_ECHO_RQ
    assert cs.number(read, cs.MESSAGE_ID) == 65535
    assert cs.number(read, cs.STATUS) is None
    assert cs.text(read, cs.ERROR_COMMENT) == ""


def test_an_element_cut_short_is_told() -> None:
    encoded = cs.encode({cs.COMMAND_FIELD: 1, cs.AFFECTED_SOP_CLASS_UID: "1.2.3"})
    with pytest.raises(ValueError, match="cut short"):
        cs.decode(encoded[:-1])


@given(st.binary(max_size=300))
def test_any_bytes_give_elements_or_a_value_error(data: bytes) -> None:
    try:
        elements = cs.decode(data)
    except ValueError:
        return
    assert sum(len(value) + 8 for value in elements.values()) <= len(data)
