"""User identity: who is in the file, who is not, what a check costs, and that no passcode is told."""

import base64
import hashlib
import os
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner

from node.cli.main import cli
from node.errors import ConfigError
from node.listener import users as users_room
from node.listener.users import FAILURES, Identity, line_for, users

LINES = [line_for("anna", "correct horse"), "visitor:none"]


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "users"
    path.write_text("# who may send\n\n" + "\n".join(LINES) + "\n")
    return str(path)


def named(name: str, passcode: str | None = None, **more) -> Identity:
    if passcode is None:
        return Identity(1, name.encode(), **more)
    return Identity(2, name.encode(), passcode.encode(), **more)


def test_the_right_passcode_is_accepted_and_a_wrong_one_refused_for_good(file: str) -> None:
    rules = users(file)
    assert rules.refuse(named("anna", "correct horse"), "CT", "10.0.0.1") is None
    refusal = rules.refuse(named("anna", "wrong"), "CT", "10.0.0.1")
    assert (refusal.code, refusal.kind) == ((1, 2, 1), "user")
    assert refusal.reason == "CT gave an unknown user name or a wrong passcode"


@pytest.mark.parametrize(
    ("identity", "told"),
    [
        (named("bert", "correct horse"), "CT gave an unknown user name or a wrong passcode"),
        (named("anna", ""), "CT gave an unknown user name or a wrong passcode"),
        (named("anna"), "CT gave a user name without its passcode"),
        (named("bert"), "CT gave an unknown user name"),
    ],
)
def test_what_is_wrong_is_told_without_name_or_passcode(file: str, identity: Identity, told: str) -> None:
    assert users(file).refuse(identity, "CT", "10.0.0.1").reason == told


def test_a_name_without_a_passcode_in_the_file_needs_none(file: str) -> None:
    assert users(file).refuse(named("visitor"), "CT", "10.0.0.1") is None


@pytest.mark.parametrize(
    ("kind", "shown"), [(3, "a Kerberos ticket"), (4, "a SAML assertion"), (5, "a JSON web token")]
)
def test_other_identities_are_let_pass_unless_users_are_required(file: str, kind: int, shown: str) -> None:
    identity = Identity(kind, b"ticket", wants_response=True)
    assert users(file).refuse(identity, "CT", "10.0.0.1") is None
    assert not users(file).confirms(identity)
    refusal = users(file, is_required=True).refuse(identity, "CT", "10.0.0.1")
    assert refusal.reason == f"CT showed {shown}; this node takes a user name and passcode only"


def test_no_identity_is_let_pass_unless_users_are_required(file: str) -> None:
    assert users(file).refuse(None, "CT", "10.0.0.1") is None
    refusal = users(file, is_required=True).refuse(None, "CT", "10.0.0.1")
    assert refusal.reason == "CT gave no user identity, and require_user_identity is set"


def test_without_a_file_an_identity_says_nothing_and_is_not_confirmed() -> None:
    identity = named("anyone", "anything", wants_response=True)
    assert users("").refuse(identity, "CT", "10.0.0.1") is None
    assert not users("").confirms(identity)


def test_a_positive_response_is_given_when_it_was_asked_for(file: str) -> None:
    assert users(file).confirms(named("anna", "correct horse", wants_response=True))
    assert not users(file).confirms(named("anna", "correct horse"))


def test_who_fails_too_often_waits_and_nobody_else_does(file: str) -> None:
    now = [100.0]
    rules = users(file)
    rules._failures._clock = lambda: now[0]
    wrong, right = named("bert"), named("anna", "correct horse")
    assert [rules.refuse(wrong, "CT", "10.0.0.1").code for _ in range(FAILURES)] == [(1, 2, 1)] * FAILURES
    refusal = rules.refuse(right, "CT", "10.0.0.1")
    assert (refusal.code, refusal.reason) == ((2, 3, 1), "CT gave wrong user identities; it has to wait 60 s")
    assert rules.refuse(right, "CT", "10.0.0.2") is None
    assert rules.refuse(right, "MR", "10.0.0.1") is None
    now[0] += 61
    assert rules.refuse(right, "CT", "10.0.0.1") is None


def test_who_waits_costs_no_check(file: str, monkeypatch) -> None:
    rules = users(file)
    for _ in range(FAILURES):
        rules.refuse(named("bert"), "CT", "10.0.0.1")
    monkeypatch.setattr(users_room, "_scrypt", lambda *_: pytest.fail("a passcode was checked"))
    assert rules.refuse(named("anna", "guess"), "CT", "10.0.0.1").code == (2, 3, 1)


def test_callers_without_number_take_no_memory_without_bound(file: str) -> None:
    rules = users(file)
    for number in range(users_room.TRACKED + 100):
        rules.refuse(named("bert"), f"AE{number}", "10.0.0.1")
    assert len(rules._failures._clear_at) == users_room.TRACKED


def test_a_passcode_that_matched_is_not_computed_again_and_not_kept(file: str, monkeypatch) -> None:
    rules = users(file)
    assert rules.refuse(named("anna", "correct horse"), "CT", "10.0.0.1") is None
    assert b"correct horse" not in b"".join(rules._proven.values())
    monkeypatch.setattr(users_room, "_scrypt", lambda *_: os.urandom(32))
    assert rules.refuse(named("anna", "correct horse"), "CT", "10.0.0.1") is None
    assert rules.refuse(named("anna", "wrong"), "CT", "10.0.0.1") is not None


def test_passcodes_are_checked_one_at_a_time_and_nobody_waits_for_ever(file: str, monkeypatch) -> None:
    monkeypatch.setattr(users_room, "BUSY_S", 0.05)
    rules, began, end = users(file), threading.Event(), threading.Event()

    def slow(*_: object) -> bytes:
        began.set()
        assert end.wait(10)
        return b""

    monkeypatch.setattr(users_room, "_scrypt", slow)
    first = threading.Thread(target=rules.refuse, args=(named("anna", "a"), "CT", "10.0.0.1"))
    first.start()
    assert began.wait(10)
    assert rules.refuse(named("anna", "b"), "MR", "10.0.0.2").code == (2, 3, 1)
    end.set()
    first.join()


def test_an_identity_shows_nothing_of_itself() -> None:
    assert repr(named("anna", "correct horse")) == str(named("anna", "correct horse")) == "Identity(kind=2)"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("anna", "not of the form"),
        ("anna:plain", "not of the form"),
        ("anna:md5$1$1$1$eA==$eA==", "not of the form"),
        (":none", "no name"),
        ("anna:scrypt$x$8$1$eA==$eA==", "invalid literal"),
        ("anna:scrypt$1000$8$1$eA==$eA==", "power of two"),
        ("anna:scrypt$1048576$64$1$eA==$eA==", "more than 128 MiB"),
        ("anna:scrypt$16384$8$99$eA==$eA==", "p 1 to 4"),
        ("anna:scrypt$16384$8$1$eA==$eA==", "fewer than 32 bytes"),
        ("anna:scrypt$16384$8$1$?$eA==", "base64"),
    ],
)
def test_a_wrong_line_is_named_by_its_number(line: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "users").write_text(f"visitor:none\n{line}\n")
    with pytest.raises(ConfigError) as raised:
        users(str(tmp_path / "users"))
    assert f"{tmp_path / 'users'}, line 2: " in str(raised.value)
    assert told in str(raised.value)


def test_a_name_that_comes_twice_a_file_that_names_nobody_and_one_that_is_missing_are_mistakes(
    tmp_path: Path,
) -> None:
    (tmp_path / "twice").write_text("a:none\na:none\n")
    (tmp_path / "empty").write_text("# nobody\n")
    for name, told in (("twice", "line 2"), ("empty", "names nobody"), ("missing", "cannot be read")):
        with pytest.raises(ConfigError, match=told):
            users(str(tmp_path / name))


def test_the_command_makes_a_line_that_holds_the_passcode_as_scrypt_of_rfc_7914() -> None:
    done = CliRunner().invoke(cli, ["user-password", "anna"], input="pass word\npass word\n")
    line = done.output.splitlines()[-1]
    name, _, secret = line.partition(":")
    kind, n, r, p, salt, digest = secret.split("$")
    found = hashlib.scrypt(
        b"pass word", salt=base64.b64decode(salt), n=int(n), r=int(r), p=int(p), maxmem=2**27, dklen=32
    )
    assert (done.exit_code, name, kind, base64.b64encode(found).decode()) == (0, "anna", "scrypt", digest)
    assert "pass word" not in line


@pytest.mark.parametrize("name", ["a:b", " a", "#a", "", "a\tb"])
def test_the_command_refuses_a_name_that_the_file_cannot_hold(name: str) -> None:
    done = CliRunner().invoke(cli, ["user-password", name, "--passcode", "x"])
    assert done.exit_code == 2
    assert "a user name has no colon" in done.output
