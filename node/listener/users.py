"""Who the user of an association is: user identity negotiation against a file of names (PS3.7 D.3.3.7).

Each line of the file is `name:scrypt$n$r$p$salt$hash`, as `prepnode user-password` makes it,
or `name:none` for a name that needs no passcode. Checking a passcode is made to be slow, so
only peers that may associate get that far, one at a time, and whoever fails has to wait.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from node.errors import ConfigError
from node.listener.access import Refusal, host_of

USER_NAME, USER_AND_PASSCODE = 1, 2  # user identity types, PS3.7 table D.3-14
OTHER_TYPES = {3: "a Kerberos ticket", 4: "a SAML assertion", 5: "a JSON web token"}
COST, BLOCK_SIZE, PARALLEL = 2**14, 8, 1  # 16 MiB and some 50 ms for each check (RFC 7914)
SALT_BYTES, HASH_BYTES = 16, 32
MAX_MEMORY_BYTES = 128 * 1024**2  # of one check: 128 * n * r, whatever a line of the file asks for
MAX_PASSCODE_BYTES = 1024
FAILURES = 5  # from one AE title at one host, until it has to wait
FAILURE_FORGOTTEN_S = 60.0  # one of them, in so long
TRACKED = 1024  # callers whose failures are remembered at a time
BUSY_S = 3.0  # how long a check waits for the one before it

WRONG = (1, 2, 1)  # rejected-permanent, ACSE, no reason given: PS3.7 D.3.3.7
BUSY = (2, 3, 1)  # rejected-transient, temporary congestion


@dataclass(frozen=True, slots=True)
class Identity:
    """A user identity as a request holds it; the passcode is in no text that is made of this."""

    kind: int
    name: bytes
    passcode: bytes = b""
    wants_response: bool = False

    def __repr__(self) -> str:
        return f"Identity(kind={self.kind})"


@dataclass(frozen=True, slots=True)
class Hash:
    """A passcode as the file keeps it."""

    cost: int
    block_size: int
    parallel: int
    salt: bytes
    digest: bytes

    def matches(self, passcode: bytes) -> bool:
        """Say whether this is the passcode. It takes its time."""
        found = _scrypt(passcode, self.salt, self.cost, self.block_size, self.parallel, len(self.digest))
        return hmac.compare_digest(found, self.digest)


class Users:
    """Decides about the user identity of a request; every method may be called from any thread."""

    def __init__(
        self,
        hashes: dict[bytes, Hash | None],
        *,
        is_required: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._hashes = hashes
        self._is_required = is_required
        self._failures = Failures(clock)
        self._one_at_a_time = threading.Lock()
        self._unknown = Hash(
            COST, BLOCK_SIZE, PARALLEL, secrets.token_bytes(SALT_BYTES), secrets.token_bytes(HASH_BYTES)
        )  # an unknown name takes as long as a wrong passcode
        self._secret = secrets.token_bytes(32)
        self._proven: dict[bytes, bytes] = {}  # name -> keyed digest of the passcode that matched

    def refuse(self, identity: Identity | None, calling: str, address: str) -> Refusal | None:
        """Return why the user may not associate, or None.

        Without a file of users an identity says nothing and is let pass (PS3.7 D.3.3.7.1).
        """
        if identity is None or identity.kind not in (USER_NAME, USER_AND_PASSCODE):
            return self._without_name(identity, calling)
        if not self._hashes:
            return None
        caller = (calling, host_of(address))
        wait_s = self._failures.wait_s(caller)
        if wait_s > 0:
            reason = f"{calling} gave wrong user identities; it has to wait {wait_s:.0f} s"
            return Refusal(*BUSY, "user", reason)
        return self._check(identity, calling, caller)

    def confirms(self, identity: Identity | None) -> bool:
        """Say whether an accepted request is owed a positive response: it asked, and was checked."""
        return (
            identity is not None
            and identity.wants_response
            and bool(self._hashes)
            and identity.kind in (USER_NAME, USER_AND_PASSCODE)
        )

    def _without_name(self, identity: Identity | None, calling: str) -> Refusal | None:
        if not self._is_required:
            return None
        if identity is None:
            reason = f"{calling} gave no user identity, and require_user_identity is set"
        else:
            shown = OTHER_TYPES.get(identity.kind, f"a user identity of type {identity.kind}")
            reason = f"{calling} showed {shown}; this node takes a user name and passcode only"
        return Refusal(*WRONG, "user", reason)

    def _check(self, identity: Identity, calling: str, caller: tuple[str, str]) -> Refusal | None:
        if not self._one_at_a_time.acquire(timeout=BUSY_S):
            return Refusal(*BUSY, "user", f"{calling} came while other passcodes were being checked")
        try:
            wrong = self._wrong(identity)
        finally:
            self._one_at_a_time.release()
        if wrong is None:
            return None
        self._failures.note(caller)
        return Refusal(*WRONG, "user", f"{calling} {wrong}")

    def _wrong(self, identity: Identity) -> str | None:
        """Return what is wrong with a name and its passcode, in words that tell nothing of either."""
        is_known = identity.name in self._hashes
        expected = self._hashes.get(identity.name)
        if identity.kind == USER_NAME:
            if is_known and expected is None:
                return None
            return "gave a user name without its passcode" if is_known else "gave an unknown user name"
        if is_known and expected is None:
            return None
        passcode = identity.passcode[: MAX_PASSCODE_BYTES + 1]
        proof = hmac.digest(self._secret, passcode, "sha256")
        if hmac.compare_digest(self._proven.get(identity.name, b""), proof):
            return None
        if (expected or self._unknown).matches(passcode) and is_known:
            self._proven[identity.name] = proof
            return None
        return "gave an unknown user name or a wrong passcode"


class Failures:
    """Counts failures by caller; they are forgotten one by one."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._clear_at: dict[tuple[str, str], float] = {}

    def note(self, caller: tuple[str, str]) -> None:
        """Count one more failure; of too many callers the one that failed first is forgotten."""
        with self._lock:
            now = self._clock()
            clear_at = max(self._clear_at.pop(caller, now), now) + FAILURE_FORGOTTEN_S
            self._clear_at[caller] = clear_at
            if len(self._clear_at) > TRACKED:
                del self._clear_at[next(iter(self._clear_at))]

    def wait_s(self, caller: tuple[str, str]) -> float:
        """Return for how long the caller is not to be listened to."""
        with self._lock:
            left_s = self._clear_at.get(caller, 0.0) - self._clock()
        return max(0.0, left_s - (FAILURES - 1) * FAILURE_FORGOTTEN_S)


def users(users_file: str, *, is_required: bool = False) -> Users:
    """Read the file of users; an empty path means that there is none.

    Raises:
        ConfigError: it cannot be read, or lines are wrong, each of which is named by its number.
    """
    if not users_file:
        return Users({}, is_required=is_required)
    try:
        lines = Path(users_file).read_bytes().splitlines()
    except OSError as error:
        raise ConfigError([f"listener.users_file: {users_file} cannot be read: {error.strerror}"]) from None
    hashes: dict[bytes, Hash | None] = {}
    mistakes = []
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith(b"#"):
            continue
        name, _, secret = line.strip().partition(b":")
        try:
            parsed = None if secret == b"none" else _parsed(secret)
        except (ValueError, binascii.Error) as error:
            mistakes.append(f"listener.users_file: {users_file}, line {number}: {error}")
            continue
        if not name or name in hashes:
            mistakes.append(f"listener.users_file: {users_file}, line {number}: no name, or one twice")
        hashes[name] = parsed
    if not hashes and not mistakes:
        mistakes.append(f"listener.users_file: {users_file} names nobody")
    if mistakes:
        raise ConfigError(mistakes)
    return Users(hashes, is_required=is_required)


def line_for(name: str, passcode: str) -> str:
    """Return the line of a user for the file; the passcode cannot be read from it.

    Raises:
        ValueError: the name or the passcode cannot be used.
    """
    if not name or name != name.strip() or ":" in name or not name.isprintable() or name.startswith("#"):
        raise ValueError("a user name has no colon, no blank at its ends, and does not begin with #")
    secret = passcode.encode()
    if not 1 <= len(secret) <= MAX_PASSCODE_BYTES:
        raise ValueError(f"a passcode has 1 to {MAX_PASSCODE_BYTES} bytes")
    made = _hash_of(secret)
    salt, digest = (base64.b64encode(each).decode() for each in (made.salt, made.digest))
    return f"{name}:scrypt${made.cost}${made.block_size}${made.parallel}${salt}${digest}"


def _parsed(secret: bytes) -> Hash:
    kind, *parts = secret.split(b"$")
    if kind != b"scrypt" or len(parts) != 5:
        raise ValueError("not of the form name:scrypt$n$r$p$salt$hash; `prepnode user-password` makes one")
    cost, block_size, parallel = (int(part) for part in parts[:3])
    salt, digest = (base64.b64decode(part, validate=True) for part in parts[3:])
    is_power_of_two = cost > 1 and cost & (cost - 1) == 0
    if not is_power_of_two or not 1 <= block_size <= 64 or not 1 <= parallel <= 4:
        raise ValueError("n must be a power of two, r 1 to 64 and p 1 to 4")
    if 128 * cost * block_size > MAX_MEMORY_BYTES:
        raise ValueError(f"n and r ask for more than {MAX_MEMORY_BYTES // 1024**2} MiB")
    if not salt or len(digest) < HASH_BYTES:
        raise ValueError(f"the salt is empty, or the hash has fewer than {HASH_BYTES} bytes")
    return Hash(cost, block_size, parallel, salt, digest)


def _hash_of(passcode: bytes) -> Hash:
    salt = secrets.token_bytes(SALT_BYTES)
    digest = _scrypt(passcode, salt, COST, BLOCK_SIZE, PARALLEL, HASH_BYTES)
    return Hash(COST, BLOCK_SIZE, PARALLEL, salt, digest)


def _scrypt(passcode: bytes, salt: bytes, cost: int, block_size: int, parallel: int, length: int) -> bytes:  # noqa: PLR0913, PLR0917 - as hashlib's
    return hashlib.scrypt(
        passcode, salt=salt, n=cost, r=block_size, p=parallel, maxmem=2 * MAX_MEMORY_BYTES, dklen=length
    )
