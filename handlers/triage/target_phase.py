"""Which volume of a gated scan a profile takes: the complete one nearest its target phase, and no other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from handlers.model import Finding, Series, Severity, SiblingSeries, Volume
from handlers.tables import table
from handlers.triage import cardiac_beat, cardiac_sources, cardiac_text, header, kernel_table, phase_extent
from handlers.triage.phase_target import PhaseTarget, from_mid_diastole
from handlers.triage.targets import measured, volume_finding

KERNEL_ORDER = ("smooth", "medium", "sharp", kernel_table.UNKNOWN)
ENOUGH_DIGITS = 6  # distances that differ by rounding alone are equal


@dataclass(frozen=True, slots=True)
class Candidate:
    """A volume with its fact `cardiac`, its distance from the target, and why it is not complete."""

    volume: Volume
    fact: dict[str, Any]
    distance: float
    flaw: str


@dataclass(frozen=True, slots=True)
class TargetPhase:
    """Take the complete volume nearest to the phase `target` ("75%", "300ms"); "" takes all volumes.

    The volume taken is named (GAT-010, and GAT-006 when it is rather far), the others are passed over
    (GAT-011). No volume near enough holds the series (GAT-006), unless another series of the study is near.
    Of volumes equally far, the one on the diastolic side wins, then the smoother kernel, then the thinner
    slices. Phases are never averaged.

    Raises:
        ValueError: `target` is neither a percentage nor a time.
    """

    target: str = ""

    def __call__(self, series: Series) -> list[Finding]:
        """Choose among the CT and MR volumes of the series."""
        if not self.target:
            return []
        wanted = PhaseTarget.of(self.target)
        volumes = measured(series, "CT", "MR")
        if not volumes:
            return []
        candidates = _candidates(volumes, wanted)
        best = min((each for each in candidates if not each.flaw), key=_order, default=None)
        limits = table("gating")["cardiac"]
        if best is None or best.distance > limits["accept_percent"]:
            nearer = _nearer_series(series, wanted, limits["accept_percent"])
            if nearer is not None:
                return [_passed_over(each, wanted, _fact_of(each, candidates), nearer) for each in volumes]
        if best is None or best.distance > limits["warn_percent"]:
            return [_none_near(wanted, candidates, best)]
        return _choice(volumes, candidates, best, wanted)


def _candidates(volumes: Sequence[Volume], wanted: PhaseTarget) -> list[Candidate]:
    """Return the stacks to choose from: those that were not derived, if there are any."""
    stacks = tuple(each for each in volumes if each.geometry is not None)
    original = tuple(each for each in stacks if "DERIVED" not in header.image_types(each.frames[0]))
    flaws = phase_extent.incomplete(stacks)
    found = []
    for volume in original or stacks:
        fact = cardiac_sources.fact(volume)
        distance = None if fact is None else wanted.distance(fact)
        if fact is not None and distance is not None:
            found.append(Candidate(volume, fact, round(distance, ENOUGH_DIGITS), flaws.get(volume.name, "")))
    return found


def _order(candidate: Candidate) -> tuple[float, float, int, float, int]:
    frame = candidate.volume.frames[0]
    vendor = kernel_table.vendor(header.text(frame, "Manufacturer"))
    kernel = kernel_table.classify(header.text(frame, "ConvolutionKernel"), vendor).name
    thickness = header.number(frame, "SliceThickness") or candidate.volume.spacing_mm[2] or 0.0
    side = round(from_mid_diastole(candidate.fact), ENOUGH_DIGITS)
    return candidate.distance, side, KERNEL_ORDER.index(kernel), thickness, candidate.volume.index


def _choice(
    volumes: Sequence[Volume], candidates: Sequence[Candidate], best: Candidate, wanted: PhaseTarget
) -> list[Finding]:
    fact = {
        **best.fact,
        "target_phase": str(wanted),
        "distance_percent": best.distance,
        "selected": True,
    }
    message = f"taken for the target {wanted}: {_name(best.fact)}, {best.distance:g} % of the cycle away"
    found = [volume_finding(best.volume, "GAT-010", Severity.INFO, message, cardiac=fact)]
    accepted = table("gating")["cardiac"]["accept_percent"]
    if best.distance > accepted:
        message = f"no volume within {accepted:g} % of the target {wanted}; the nearest was taken"
        evidence = {"target_phase": str(wanted), "distance_percent": best.distance}
        found.append(volume_finding(best.volume, "GAT-006", Severity.WARN, message, **evidence))
    flaws = {each.volume.name: each.flaw for each in candidates}
    for volume in volumes:
        if volume is not best.volume:
            reason = f"{best.volume.name} is taken ({_name(best.fact)})"
            if flaw := flaws.get(volume.name):
                reason += f"; this one is not complete: {flaw}"
            found.append(_passed_over(volume, wanted, _fact_of(volume, candidates), reason))
    return found


def _passed_over(volume: Volume, wanted: PhaseTarget, of: Candidate | None, reason: str) -> Finding:
    fact = cardiac_sources.fact(volume) or {}
    distance = None if of is None else of.distance
    fact |= {"target_phase": str(wanted), "distance_percent": distance, "selected": False}
    what = f"{_name(of.fact)}, {of.distance:g} % away" if of is not None else "no phase that can be compared"
    message = f"passed over for the target {wanted} ({what}): {reason}"
    return volume_finding(volume, "GAT-011", Severity.ERROR, message, cardiac=fact, reason=reason)


def _none_near(wanted: PhaseTarget, candidates: Sequence[Candidate], best: Candidate | None) -> Finding:
    evidence = {
        "target_phase": str(wanted),
        "distance_percent": {each.volume.name: each.distance for each in candidates},
        "incomplete": {each.volume.name: each.flaw for each in candidates if each.flaw},
    }
    if best is not None:
        message = (
            f"no volume near the target {wanted}: the nearest is {_name(best.fact)}, {best.distance:g} % away"
        )
    elif candidates:
        message = f"no complete volume near the target {wanted}"
    else:
        message = f"no volume states a cardiac phase to compare with the target {wanted}"
    return Finding("GAT-006", Severity.REVIEW, message, evidence=evidence)


def _nearer_series(series: Series, wanted: PhaseTarget, limit: float) -> str | None:
    """Name a series of the study, in the same frame of reference, that states a phase within `limit`."""
    own = {header.text(volume.frames[0], "FrameOfReferenceUID") for volume in series.volumes if volume.frames}
    near = []
    for sibling in series.study:
        is_same = sibling.facts.get("FrameOfReferenceUID") in own - {""}
        distance = wanted.distance(_sibling_fact(sibling)) if is_same else None
        if distance is not None and distance <= limit:
            near.append((distance, sibling.series_instance_uid))
    return f"series {min(near)[1]} of the study is {min(near)[0]:g} % from it" if near else None


def _sibling_fact(sibling: SiblingSeries) -> dict[str, Any]:
    """Return what the first header of another series says of its phase."""
    facts = sibling.facts
    if "LOCALIZER" in str(facts.get("ImageType")) or facts.get("Modality") not in ("CT", "MR"):
        return {}
    percent = facts.get("NominalPercentageOfCardiacPhase")
    options = facts.get("ScanOptions") or ()
    for option in [options] if isinstance(options, str) else options:
        match = cardiac_sources.SIEMENS_OPTION.search(str(option).upper())
        percent = float(match[1]) if match and percent is None else percent
    description = str(facts.get("SeriesDescription") or "")
    is_gated = cardiac_beat.are_gated_options(options) or cardiac_text.names_the_heart(description)
    told = cardiac_text.read(description) if is_gated else cardiac_text.CardiacText()
    return {"phase_percent": told.percent if percent is None else percent, "time_ms": told.time_ms}


def _fact_of(volume: Volume, candidates: Sequence[Candidate]) -> Candidate | None:
    return next((each for each in candidates if each.volume is volume), None)


def _name(fact: dict[str, Any]) -> str:
    percent, time = fact.get("phase_percent"), fact.get("time_ms")
    stated = [f"{percent:g} %" if percent is not None else "", f"{time:g} ms" if time is not None else ""]
    return ", ".join(each for each in stated if each)
