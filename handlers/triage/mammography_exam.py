"""The views of a whole mammography examination: which are missing, which came twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from handlers.breast_views import PROJECTIONS, STEREOTACTIC, breast_view
from handlers.model import Finding, Scope, Series, Severity
from handlers.tables import table
from handlers.triage import header
from handlers.triage.targets import measured, volume_finding
from handlers.triage.words import first

WANTED = ("CC", "MLO")
SIDES = {"L": "left", "R": "right"}
DESCRIPTIONS = (
    "StudyDescription", "SeriesDescription", "ProtocolName", "RequestedProcedureDescription",
    "AdditionalPatientHistory",
)  # fmt: skip
PARTIAL = frozenset({"spot", "magnification"})


def incomplete_exam(series: Series) -> list[Finding]:
    """Find an examination without CC and MLO of each breast, as known at this moment (MAM-004).

    The sides count separately: L-CC and R-MLO are no examination. A side without any image is not asked for
    where a text names a mastectomy or a one-sided examination, and a side with a partial view is not judged.
    An examination without any CC or MLO is no screening. Nothing is said when images whose view is not
    known could be what is missing.
    """
    own = [breast_view(volume.frames[0]).described() for volume in measured(series, "MG")]
    every = [each for each in (*own, *_of_siblings(series)) if each["kind"] != STEREOTACTIC]
    known = [each for each in every if each["ImageLaterality"] in SIDES and each["view"]]
    n_unknown = len(every) - len(known)
    complete = [each for each in known if not PARTIAL & set(each["modifiers"])]
    present = {(each["ImageLaterality"], each["view"]) for each in complete}
    if not own or not any(view in WANTED for _, view in present):
        return []
    excused = {each["ImageLaterality"] for each in known if each["is_partial"]}
    word = _one_sided(series)
    if word:
        excused |= set(SIDES) - {side for side, _ in present}
    missing = [
        f"{side} {view}"
        for side in SIDES
        if side not in excused
        for view in WANTED
        if (side, view) not in present
    ]
    if not missing or len(missing) <= n_unknown:
        return []
    evidence = {"missing": missing, "views": sorted(f"{side} {view}" for side, view in present)}
    message = f"of a whole examination, {', '.join(missing)} had not arrived when this series was judged"
    return [Finding("MAM-004", Severity.WARN, message, Scope.STUDY, "", evidence)]


def repeated_view(series: Series) -> list[Finding]:
    """Find images of the same side, view, kind and purpose as another of the study (MAM-010)."""
    own = [(volume, breast_view(volume.frames[0]).described()) for volume in measured(series, "MG")]
    counts = Counter(_sameness(each) for each in (*(shown for _, shown in own), *_of_siblings(series)))
    found = []
    for volume, shown in own:
        same = counts[_sameness(shown)]
        # The projections of a sweep may come as many images, and a biopsy takes pairs.
        if (
            shown["ImageLaterality"]
            and shown["view"]
            and same > 1
            and shown["kind"] not in (PROJECTIONS, STEREOTACTIC)
        ):
            name = f"{shown['ImageLaterality']} {shown['view']}"
            message = f"{same} images of {name} in this study"
            evidence = {"ImageLaterality": shown["ImageLaterality"], "view": shown["view"], "images": same}
            found.append(volume_finding(volume, "MAM-010", Severity.INFO, message, **evidence))
    return found


def _sameness(shown: Mapping[str, Any]) -> tuple[Any, ...]:
    keys = ("ImageLaterality", "view", "kind", "PresentationIntentType", "is_partial")
    return (*(shown.get(key) for key in keys), tuple(shown.get("modifiers") or ()))


def _of_siblings(series: Series) -> list[dict[str, Any]]:
    """Return what the mammograms of the other series show; side and view are "" where they are not known.

    `breast_views` is what is known of every image of a sibling; before it was processed, the facts of
    its first image are all there is.
    """
    found: list[dict[str, Any]] = []
    for sibling in series.study:
        if str(sibling.facts.get("Modality", "")).upper() != "MG":
            continue
        views = sibling.facts.get("breast_views")
        if isinstance(views, list) and all(isinstance(each, Mapping) for each in views):
            found += [_filled(each) for each in views]
            continue
        side, view = (
            str(sibling.facts.get(each, "")).upper() for each in ("ImageLaterality", "ViewPosition")
        )
        found.append(_filled({"ImageLaterality": side, "view": view}))
    return found


def _filled(shown: Mapping[str, Any]) -> dict[str, Any]:
    return {"ImageLaterality": "", "view": "", "modifiers": [], "kind": "", "is_partial": False} | dict(shown)


def _one_sided(series: Series) -> str:
    """Return the word that says that only one breast was to be examined, "" when there is none."""
    words = table("projections")["exam"]["one_sided"]
    for instance in series.instances:
        for keyword in DESCRIPTIONS:
            if word := first(header.text(instance, keyword), words):
                return word
    return ""
