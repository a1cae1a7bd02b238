"""Names in place of names: UIDs, patients and days that only the holder of a key can tie to the originals."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from pathlib import Path

STANDARD_ROOT = "1.2.840.10008."  # UIDs of the standard itself, PS3.6 Annex A
MIN_KEY_BYTES = 32  # as much as the digest has (RFC 2104 section 3)
PATIENT_DIGITS = 16  # hexadecimal: 64 bits, so that two patients of a site never share one


@dataclass(frozen=True, slots=True)
class Pseudonyms:
    """Everything that is computed with one key; the same on every node that has the key, without a table."""

    key: bytes = field(repr=False)

    @property
    def key_id(self) -> str:
        """Name of the key, which tells nothing of it."""
        return self._digest("key id").hex()[:PATIENT_DIGITS]

    def uid(self, original: str) -> str:
        """Return the UID in place of one; those of the standard stay. Source: PS3.5 section B.2."""
        if original.startswith(STANDARD_ROOT):
            return original
        number = int.from_bytes(hmac.digest(self.key, original.encode("utf-8"), hashlib.sha256)[:16], "big")
        return f"2.25.{number}"

    def patient(self, identity: str) -> str:
        """Return the name of a patient."""
        return self._digest("patient", identity).hex()[:PATIENT_DIGITS].upper()

    def days(self, identity: str, longest: int) -> int:
        """Return by how many days the dates of a patient are moved into the past: 1 to `longest`."""
        return int.from_bytes(self._digest("days", identity), "big") % longest + 1

    def mark(self, text: str) -> str:
        """Return a short digest of a text that was found, so that two findings of the same can be told."""
        return self._digest("mark", text).hex()[:8]

    def _digest(self, *parts: str) -> bytes:
        return hmac.digest(self.key, "\0".join(parts).encode("utf-8", "surrogateescape"), hashlib.sha256)


def load(path: Path) -> Pseudonyms:
    """Read a key: the whole content of a file, without white space around it.

    Raises:
        OSError: the file cannot be read.
        ValueError: the key is too short to be one.
    """
    key = path.read_bytes().strip()
    if len(key) < MIN_KEY_BYTES:
        raise ValueError(f"a key has {MIN_KEY_BYTES} characters or more; `openssl rand -hex 32` makes one")
    return Pseudonyms(key)
