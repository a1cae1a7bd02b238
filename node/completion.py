"""Decide from evidence when a series is complete; pure.

The rules, in this order. `quiet` is the time since the last instance of the series.

    1. An operator's word                                       complete at once
    2. Evidence against it: positions are missing between others,
       an association that brought instances was aborted or lost
       (unless the count says that all are there), or fewer
       instances than were announced for this series            complete when quiet for cap_s, in spite of it
    3. An association that brought instances is still open      complete when quiet for quiet_s
    4. Evidence for it: the association was released, and
       positions are contiguous, or it is an object that is a
       series by itself, or the announced count is reached;
       and no announced count is missed                         complete when quiet for settle_s
    5. Nothing is known                                         complete when quiet for quiet_s

A sender that opens an association for each instance tells nothing by releasing it, so then
rule 4 does not hold. Neither settle_s nor quiet_s is ever waited longer than cap_s. Whatever
comes after all opens a revision, so a wrong decision costs work, not images.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from node.positions import Row

BAD_ENDS = ("aborted", "lost")


@dataclass(frozen=True, slots=True)
class CompletionPolicy:
    """How long to wait, in seconds. See `[completion]` in conf/node.toml."""

    quiet_s: float = 10.0
    settle_s: float = 1.0
    cap_s: float = 3600.0


@dataclass(frozen=True, slots=True)
class SeriesEvidence:
    """What is known of a series that arrives.

    `last_end` is how the association that ended last did: "released", "aborted", "lost", or
    None when none has ended or none is known. `expected` instances were announced by
    `expected_from`, a DICOM keyword, which is certain when it speaks of this series and not of
    its acquisition. `number_holes` are the InstanceNumbers that lie between
    others and did not come. `is_single_object`: one object that is a series by itself.
    """

    quiet_s: float
    n_instances: int
    n_associations: int = 0
    open_associations: int = 0
    last_end: str | None = None
    row: Row | None = None
    is_single_object: bool = False
    number_holes: int = 0
    expected: int | None = None
    expected_from: str = ""
    is_expected_certain: bool = True
    operator: str | None = None

    @property
    def has_all_expected(self) -> bool:
        """True when a count was announced and is reached."""
        return self.expected is not None and self.n_instances >= self.expected

    @property
    def misses_expected(self) -> bool:
        """True when a count was announced and is not reached."""
        return self.expected is not None and not self.has_all_expected

    @property
    def is_released(self) -> bool:
        """True when the end of the association tells that the sender had no more to send."""
        is_one_each = self.n_associations > 1 and 2 * self.n_associations > self.n_instances
        return self.last_end == "released" and not is_one_each

    def as_dict(self) -> Mapping[str, Any]:
        """Return it as it is stored with the decision."""
        facts: dict[str, Any] = {
            "quiet_s": round(self.quiet_s, 3),
            "n_instances": self.n_instances,
            "n_associations": self.n_associations,
            "open_associations": self.open_associations,
            "association_end": self.last_end,
            "number_holes": self.number_holes,
        }
        if self.row is not None:
            facts |= {
                "n_positions": self.row.n_positions,
                "n_missing_positions": self.row.n_missing,
                "is_contiguous": self.row.is_contiguous,
            }
        if self.expected is not None:
            facts[self.expected_from] = self.expected
        if self.operator:
            facts["operator"] = self.operator
        return facts


@dataclass(frozen=True, slots=True)
class Complete:
    """The series is complete, for this reason."""

    reason: str
    evidence: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Wait:
    """The series may be complete `until` then; to be asked again at that time, or when something happens.

    `because` says what is waited for, in words for a person.
    """

    until: datetime
    because: str


def decide(evidence: SeriesEvidence, policy: CompletionPolicy, now: datetime) -> Complete | Wait:
    """Apply the rules at the top of this room."""
    if evidence.operator:
        return Complete(f"operator: {evidence.operator}", evidence.as_dict())
    against, favour = _against(evidence), _in_favour(evidence)
    if against:
        needed_s, because = policy.cap_s, ", ".join(against)
    elif evidence.open_associations:
        needed_s, because = policy.quiet_s, "the association is still open"
    elif favour:
        needed_s, because = policy.settle_s, ", ".join(favour)
    else:
        needed_s, because = policy.quiet_s, "nothing else is known"
    left_s = min(needed_s, policy.cap_s) - evidence.quiet_s
    if left_s > 0:
        return Wait(now + timedelta(seconds=left_s), because)
    facts = dict(evidence.as_dict())
    if against:
        facts["findings"] = [_finding(evidence, against)]
        because = f"in spite of {because}"
    return Complete(f"{because}, quiet {evidence.quiet_s:.1f} s", facts)


def _against(evidence: SeriesEvidence) -> list[str]:
    """Say what speaks against completeness."""
    found = []
    if evidence.row is not None and evidence.row.n_missing:
        found.append(f"{_count(evidence.row.n_missing, 'position')} missing between others")
    if evidence.last_end in BAD_ENDS and not evidence.has_all_expected:
        found.append(f"an association that was {evidence.last_end}")
    if evidence.misses_expected and evidence.is_expected_certain:
        found.append(f"{evidence.n_instances} of {evidence.expected} instances ({evidence.expected_from})")
    return found


def _in_favour(evidence: SeriesEvidence) -> list[str]:
    """Say what speaks for completeness; nothing when it is not enough."""
    if not evidence.is_released or evidence.misses_expected:
        return []
    found = []
    if evidence.row is not None and evidence.row.is_contiguous:
        found.append(f"{evidence.row.n_positions} positions contiguous")
    if evidence.is_single_object:
        found.append("one object that is a series by itself")
    if evidence.has_all_expected:
        found.append(f"{evidence.n_instances} of {evidence.expected} instances ({evidence.expected_from})")
    return ["association released", *found] if found else []


def _finding(evidence: SeriesEvidence, against: list[str]) -> dict[str, Any]:
    """Return the finding that such a series carries: GEO-015, or ING-008 for part of a concatenation."""
    is_part = evidence.expected_from == "InConcatenationTotalNumber" and not evidence.has_all_expected
    return {
        "code": "ING-008" if is_part else "GEO-015",
        "severity": "REVIEW" if is_part else "WARN",
        "message": f"taken as complete after {evidence.quiet_s:.0f} s in spite of {', '.join(against)}",
        "evidence": {"n_instances": evidence.n_instances, "against": against},
    }


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"
