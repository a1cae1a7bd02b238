"""Whether the bins of a 4-D scan are all there, over the volumes of a series and the series of its study."""

from __future__ import annotations

from handlers.model import Finding, Series, Severity
from handlers.tables import table
from handlers.triage import header, respiratory_sources, respiratory_text
from handlers.triage.targets import measured

MIN_BINS = 2  # one alone is a gated scan, not a part of several

Bin = tuple[float, str]  # percent, and the half of the breath: "IN", "EX" or ""


def incomplete_bins(series: Series) -> list[Finding]:
    """Find a 4-D scan that lacks bins (RSP-003): scanners make 8 or 10 even ones.

    Each bin may be a series of its own; those of the study in the same frame of reference count, as far as
    they are known when this one is judged.
    """
    own = _own_bins(series)
    if not own:
        return []
    known = own | _sibling_bins(series)
    if len(known) < MIN_BINS:
        return []
    missing = _missing(known)
    if missing == []:
        return []
    evidence = {
        "bins": [_name(each) for each in sorted(known)],
        "missing": [_name(each) for each in missing or ()],
    }
    if missing is None:
        counts = " or ".join(str(count) for count in table("gating")["respiratory"]["bins"])
        message = f"{len(known)} breathing phases are known, which are not {counts} even ones"
    else:
        listed = ", ".join(evidence["missing"])
        total = len(missing) + len(known)
        message = f"{len(known)} of {total} breathing phases are known so far; missing: {listed}"
    return [Finding("RSP-003", Severity.WARN, message, evidence=evidence)]


def _own_bins(series: Series) -> set[Bin]:
    facts = (respiratory_sources.fact(volume) for volume in measured(series, "CT", "PT"))
    return {
        _bin(fact["phase_percent"], fact["half"])
        for fact in facts
        if fact is not None and fact["phase_percent"] is not None
    }


def _sibling_bins(series: Series) -> set[Bin]:
    frames = [volume.frames[0] for volume in measured(series, "CT", "PT")]
    places = {header.text(frame, "FrameOfReferenceUID") for frame in frames} - {""}
    modalities = {header.text(frame, "Modality") for frame in frames}
    found = set()
    for sibling in series.study:
        facts = sibling.facts
        if facts.get("FrameOfReferenceUID") in places and facts.get("Modality") in modalities:
            told = respiratory_text.read(str(facts.get("SeriesDescription") or ""))
            if told.percent is not None:
                found.add(_bin(told.percent, told.half))
    return found


def _bin(percent: float, half: str) -> Bin:
    """Return a bin; the two ends of the breath belong to both halves of it."""
    return percent, "" if percent in (0.0, 100.0) else half


def _missing(known: set[Bin]) -> list[Bin] | None:
    """Return the bins that the best fitting division lacks; None when the known ones fit none."""
    limits = table("gating")["respiratory"]
    found = []
    for count in limits["bins"]:
        grid = _grid(count, is_halved=any(half for _, half in known))
        near = {each: _nearest(each, grid, limits["bin_tolerance_percent"]) for each in known}
        if None not in near.values():
            found.append([each for each in grid if each not in near.values()])
    return min(found, key=len, default=None)


def _grid(count: int, *, is_halved: bool) -> list[Bin]:
    """Return the even bins of a cycle: in time, or in depth up and down again."""
    if not is_halved:
        return [(100.0 * index / count, "") for index in range(count)]
    step = 200.0 / count
    inner = [step * index for index in range(1, count // 2)]
    return [(0.0, ""), *((each, "IN") for each in inner), (100.0, ""), *((each, "EX") for each in inner)]


def _nearest(one: Bin, grid: list[Bin], tolerance: float) -> Bin | None:
    return next((each for each in grid if each[1] == one[1] and abs(each[0] - one[0]) <= tolerance), None)


def _name(one: Bin) -> str:
    percent, half = one
    return f"{percent:g} % {half}".strip()
