"""No UID, whatever it is, leads out of the spool."""

import os
import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydicom.uid import RE_VALID_UID

from node.errors import InvalidUIDError
from node.spool import Spool, valid_uid

EVIL = [
    "",
    ".",
    "..",
    "../x",
    "/etc/passwd",
    "1/2",
    "1\\2",
    "1.2\n",
    "1.2\0",
    "1..2",
    ".1",
    "1.",
    "-1",
    "CON",
    "1.2 ",
    "\u0661.\u0662",  # digits, but not of ASCII
    "1" * 65,
]
anything = st.text() | st.text(alphabet="0123456789./\\\0\n -") | st.sampled_from(EVIL)
component = st.integers(min_value=0, max_value=10**12).map(str)
standard = st.lists(component, min_size=1, max_size=20).map(".".join).filter(lambda uid: len(uid) <= 64)


@pytest.fixture(scope="module")
def spool(tmp_path_factory):
    return Spool(tmp_path_factory.mktemp("spool"))


@given(uids=st.tuples(anything, anything, anything))
@example(uids=("..", "..", ".."))
@example(uids=("1.2", "1.3", "../../../x"))
def test_every_path_that_is_given_lies_three_levels_below_the_store(spool, uids):
    try:
        path = spool.store_path(*uids)
    except InvalidUIDError:
        assert not all(map(valid_uid, uids))
        return
    assert os.path.normpath(path) == str(path)
    assert path.relative_to(spool.root / "store").parts == (uids[0], uids[1], f"{uids[2]}.dcm")


@given(uid=anything)
def test_a_valid_uid_is_made_of_digits_and_single_dots(uid):
    if valid_uid(uid):
        assert set(uid) <= set(string.digits + ".")
        assert 0 < len(uid) <= 64
        assert all(uid.split("."))


@given(uid=standard)
def test_every_uid_of_the_standard_is_valid(uid):
    assert RE_VALID_UID  # PS3.5 section 9.1, as pydicom reads it
    assert valid_uid(uid)


@pytest.mark.parametrize("uid", EVIL)
def test_a_name_that_is_no_uid_is_refused(spool, uid):
    with pytest.raises(InvalidUIDError):
        spool.store_path("1.2", "1.3", uid)
