"""Action Information is read as pydicom writes it, in every encoding, and nothing that is wrong gets through."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.filewriter import dcmwrite

from commitments import CT, MR, committed, failed, request
from node.commitment.dataset import (
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    MAX_REFERENCES,
    Request,
    event_type,
    read_request,
    write_report,
)
from node.errors import CommitmentRequestError, TooManyReferencesError

TRANSACTION = "1.2.3.77"
REFERENCES = ((CT, "1.2.3.1"), (MR, "1.2.3.22"))
SYNTAXES = (IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN)


def encoded(information: Dataset, syntax: str) -> bytes:
    buffer = io.BytesIO()
    is_implicit = syntax == IMPLICIT_VR_LITTLE_ENDIAN
    dcmwrite(buffer, information, implicit_vr=is_implicit, little_endian=True, enforce_file_format=False)
    return buffer.getvalue()


def decoded(content: bytes, syntax: str) -> Dataset:
    return read_dataset(io.BytesIO(content), syntax == IMPLICIT_VR_LITTLE_ENDIAN, is_little_endian=True)


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("is_open", [False, True])
def test_a_request_is_read_whatever_its_encoding(syntax, is_open):
    information = request(TRANSACTION, REFERENCES)
    information["ReferencedSOPSequence"].is_undefined_length = is_open
    for item in information.ReferencedSOPSequence:
        item.is_undefined_length_sequence_item = is_open
    information.ReferencedPerformedProcedureStepSequence = request("1.9", [(CT, "1.9.9")])[
        "ReferencedSOPSequence"
    ].value
    information.StorageMediaFileSetID = "MEDIUM"
    assert read_request(encoded(information, syntax), transfer_syntax_uid=syntax) == Request(
        TRANSACTION, REFERENCES
    )


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_an_object_that_is_named_twice_is_committed_once(syntax):
    information = request(TRANSACTION, [*REFERENCES, REFERENCES[0]])
    assert read_request(encoded(information, syntax), transfer_syntax_uid=syntax).references == REFERENCES


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("outcomes", [(0, 0), (0, 0x0112), (0x0110, 0x0131)])
def test_a_report_is_what_pydicom_reads(syntax, outcomes):
    report = decoded(
        write_report(Request(TRANSACTION, REFERENCES), outcomes, transfer_syntax_uid=syntax), syntax
    )
    assert report.TransactionUID == TRANSACTION
    found = zip(REFERENCES, outcomes, strict=True)
    assert failed(report) == {uid: reason for (_, uid), reason in found if reason}
    assert committed(report) == [
        each for each, reason in zip(REFERENCES, outcomes, strict=True) if not reason
    ]
    assert event_type(outcomes) == (2 if any(outcomes) else 1)


def test_the_limit_is_ten_thousand_objects():
    def read(count):
        report = write_report(
            Request(TRANSACTION, tuple((CT, f"1.2.{number}") for number in range(count))),
            [0] * count,
            transfer_syntax_uid=IMPLICIT_VR_LITTLE_ENDIAN,
        )
        return read_request(report, transfer_syntax_uid=IMPLICIT_VR_LITTLE_ENDIAN)

    assert len(read(MAX_REFERENCES).references) == 10_000
    with pytest.raises(TooManyReferencesError):
        read(MAX_REFERENCES + 1)


@pytest.mark.parametrize("uid", ["", "../../etc", "1.2.", "1." * 40 + "1", "1.2\\1.3"])
def test_what_is_no_uid_is_refused(uid):
    content = write_report(
        Request(TRANSACTION, ((CT, uid),)), [0], transfer_syntax_uid=EXPLICIT_VR_LITTLE_ENDIAN
    )
    with pytest.raises(CommitmentRequestError, match="UID"):
        read_request(content, transfer_syntax_uid=EXPLICIT_VR_LITTLE_ENDIAN)


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_a_request_that_is_cut_anywhere_is_refused(syntax):
    content = encoded(request(TRANSACTION, REFERENCES), syntax)
    for end in range(len(content)):
        with pytest.raises(CommitmentRequestError):
            read_request(content[:end], transfer_syntax_uid=syntax)


def test_sequences_that_nest_without_end_are_refused():
    level = b"\x08\x00\x40\x11\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
    with pytest.raises(CommitmentRequestError, match="nested"):
        read_request(level * 1000, transfer_syntax_uid=IMPLICIT_VR_LITTLE_ENDIAN)


@given(content=st.binary(max_size=300), at=st.integers(0, 200), syntax=st.sampled_from(SYNTAXES))
def test_no_bytes_raise_anything_but_a_refusal(content, at, syntax):
    whole = encoded(request(TRANSACTION, REFERENCES), syntax)
    for attempt in (content, whole[:at] + content + whole[at + len(content) :]):
        try:
            found = read_request(attempt, transfer_syntax_uid=syntax)
        except CommitmentRequestError:
            continue
        assert found.references
        assert found.transaction_uid
