"""What the other acquisitions of a study leave possible for the phase of one volume.

Contrast medium flows one way: NC < PA < ART < PV <= NEPH < DEL < EXC. Acquisitions are put in the order of
their times; a dynamic program over them (max-product, as Viterbi) finds for each phase of this volume the
best that the phases before and after it can be. An acquisition that says nothing changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from handlers.model import Series, SiblingSeries, Volume
from handlers.tables import table
from handlers.triage import header, phase_evidence, phase_fusion, phase_times
from handlers.triage.phase_fusion import Evidence, classes

SAME_ACQUISITION_S = 1.0
OVERLAPPING = frozenset({"PV", "NEPH"})  # in time
NAMED = 0.5  # weight from which on a description places an acquisition in the order

Likelihood = dict[str, float]


@dataclass(frozen=True, slots=True)
class Acquisition:
    """One acquisition of the study: when, which event, where, and what is said of its phase."""

    name: str
    time: datetime | None
    event: str
    place: str
    evidence: tuple[Evidence, ...]

    @property
    def likelihood(self) -> Likelihood:
        """The pooled likelihood of each phase, its largest value 1."""
        logs = {
            each: sum(e.weight * math.log(e.likelihood[each]) for e in self.evidence) for each in classes()
        }
        top = max(logs.values())
        return {each: math.exp(value - top) for each, value in logs.items()}


def study_evidence(series: Series, volume: Volume) -> list[Evidence]:
    """Return what other reconstructions of the same acquisition say, and what the order leaves possible."""
    own = of_volume(volume)
    others = [*_siblings(series), *_others(series, volume)]
    weight = table("phases")["weight"]
    found, apart = [], []
    for other in others:
        if not is_same(own, other):
            apart.append(other)
            continue
        for each in other.evidence:
            source = f"same acquisition: {each.source}"
            shared = each.weight * weight["same_acquisition"]
            found.append(Evidence(source, each.raw, each.supports, shared, each.likelihood))
    named = [each for each in found if each.weight >= NAMED * weight["same_acquisition"]]
    return [*named[:1], *_order(own, apart, weight["study_order"])]


def of_volume(volume: Volume) -> Acquisition:
    """Return the acquisition of a volume, with what its descriptions say."""
    frame = volume.frames[0]
    told = [
        *phase_evidence.text_evidence(frame),
        *phase_evidence.delay_evidence(phase_times.injection(volume)),
        *phase_evidence.usage_evidence(frame),
    ]
    return Acquisition(
        volume.name,
        phase_times.volume_time(volume),
        header.text(frame, "IrradiationEventUID"),
        header.text(frame, "FrameOfReferenceUID"),
        tuple(each for each in told if each.weight >= NAMED),
    )


def of_sibling(sibling: SiblingSeries) -> Acquisition:
    """Return the acquisition of another series, as far as its facts tell."""
    return Acquisition(
        sibling.series_instance_uid,
        phase_times.sibling_time(sibling),
        _fact(sibling.facts, "IrradiationEventUID"),
        _fact(sibling.facts, "FrameOfReferenceUID"),
        tuple(phase_evidence.sibling_evidence(sibling)),
    )


def is_same(one: Acquisition, other: Acquisition) -> bool:
    """Say whether two are reconstructions of one acquisition: one irradiation event, else one time and place.

    Source: PS3.3 C.7.5.1.1 (Irradiation Event UID).
    """
    if one.event and other.event:
        return one.event == other.event
    if one.time is None or other.time is None or one.place != other.place or not one.place:
        return False
    return abs((one.time - other.time).total_seconds()) < SAME_ACQUISITION_S


def can_follow(earlier: str, later: str) -> bool:
    """Say whether the phase `later` may be acquired after the phase `earlier`."""
    order = classes()
    return order.index(earlier) <= order.index(later) or {earlier, later} == OVERLAPPING


def best_before(acquisitions: Sequence[Acquisition]) -> Likelihood:
    """Return for each phase the best likelihood of all acquisitions, given in order, that come before it."""
    return _messages([each.likelihood for each in acquisitions], is_forward=True)


def best_after(acquisitions: Sequence[Acquisition]) -> Likelihood:
    """Return for each phase the best likelihood of all acquisitions, given in order, that come after it."""
    return _messages([each.likelihood for each in reversed(acquisitions)], is_forward=False)


def _messages(likelihoods: Sequence[Likelihood], *, is_forward: bool) -> Likelihood:
    odd = table("phases")["fusion"]["out_of_order"]
    message = dict.fromkeys(classes(), 1.0)
    for likelihood in likelihoods:
        joint = {each: message[each] * likelihood[each] for each in classes()}
        message = {
            to: max(
                value * (1.0 if (can_follow(at, to) if is_forward else can_follow(to, at)) else odd)
                for at, value in joint.items()
            )
            for to in classes()
        }
        top = max(message.values())
        message = {each: value / top for each, value in message.items()}
    return message


def _order(own: Acquisition, others: Sequence[Acquisition], weight: float) -> list[Evidence]:
    """Return the evidence of the order; none when it leaves everything possible."""
    if own.time is None:
        return []
    timed = sorted(
        ((each.time, each.name, each) for each in others if each.time is not None and each.evidence),
        key=lambda entry: entry[:2],
    )
    before = [each for time, _, each in timed if time < own.time]
    after = [each for time, _, each in timed if time > own.time]
    left, right = best_before(before), best_after(after)
    likelihood = {each: left[each] * right[each] for each in classes()}
    top = max(likelihood.values())
    likelihood = {each: value / top for each, value in likelihood.items()}
    supports = phase_fusion.supported_by(likelihood)
    if not supports:
        return []
    raw = f"{len(before)} earlier, {len(after)} later"
    return [Evidence("study order", raw, supports, weight, likelihood)]


def _siblings(series: Series) -> list[Acquisition]:
    return [
        of_sibling(sibling)
        for sibling in series.study
        if sibling.facts.get("Modality") in (None, "CT")
        and not phase_evidence.tracking_sign(sibling)
        and "LOCALIZER" not in str(sibling.facts.get("ImageType") or "").upper()
    ]


def _others(series: Series, volume: Volume) -> list[Acquisition]:
    return [
        of_volume(each)
        for each in series.volumes
        if each.index != volume.index and each.modality == "CT" and each.frames
    ]


def _fact(facts: Mapping[str, Any], keyword: str) -> str:
    value = facts.get(keyword)
    return str(value[0] if isinstance(value, list) and value else value or "")
