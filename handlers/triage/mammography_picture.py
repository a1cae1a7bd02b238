"""Mammograms as a picture: where the chest wall lies, and whether a pectoral muscle shows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handlers.api import needs_values
from handlers.breast_views import CONVENTIONAL, SYNTHETIC, BreastView, breast_view
from handlers.model import Finding, Frame, Series, Severity, Volume
from handlers.tables import table
from handlers.triage import header
from handlers.triage.reduced_picture import reduced_picture
from handlers.triage.targets import measured, volume_finding

Picture = NDArray[np.float64]
OPPOSITE = {"left": "right", "right": "left", "top": "bottom", "bottom": "top"}
# Where the chest wall, which is posterior, lies when rows or columns run to the front or to the back.
OF_ROWS = {"A": "left", "P": "right"}
OF_COLUMNS = {"A": "top", "P": "bottom"}


@needs_values
def chest_wall(series: Series) -> list[Finding]:
    """Find mammograms whose chest wall lies elsewhere than PatientOrientation says (MAM-007).

    The chest wall is the edge that the breast touches over most of its length, with air along the opposite
    one. Where the picture or the attribute does not settle it, nothing is said. Source: PS3.3 C.7.6.1.1.1.
    """
    found = []
    for volume in measured(series, "MG"):
        picture = _picture(volume, breast_view(volume.frames[0]))
        expected = _stated_side(volume.frames[0])
        seen = _chest_wall_side(picture) if expected and picture is not None else ""
        if seen and seen != expected:
            evidence = {
                "PatientOrientation": list(header.texts(volume.frames[0], "PatientOrientation")),
                "FieldOfViewHorizontalFlip": header.text(volume.frames[0], "FieldOfViewHorizontalFlip"),
                "seen": seen,
                "expected": expected,
            }
            message = f"the chest wall lies at the {seen}, but PatientOrientation puts it at the {expected}"
            found.append(volume_finding(volume, "MAM-007", Severity.REVIEW, message, **evidence))
    return found


@needs_values
def pectoral_muscle(series: Series) -> list[Finding]:
    """Find a pectoral triangle in a CC view, and an MLO view that ends within the picture (MAM-008).

    An MLO without a visible muscle, and a strip of muscle in a CC, are common and no finding. Partial and
    special views and breasts with an implant are not judged.
    """
    found = []
    for volume in measured(series, "MG"):
        shown = breast_view(volume.frames[0])
        picture = _picture(volume, shown)
        if picture is None or shown.modifiers or shown.is_partial or shown.has_implant:
            continue
        side = _chest_wall_side(picture)
        if not side or shown.view not in ("CC", "MLO"):
            continue
        turned = _chest_wall_to_the_left(picture, side)
        ends = [_triangle(turned), _triangle(turned[::-1])]
        triangle = next((each for each in ends if each), None)
        if shown.view == "CC" and triangle:
            message = "the view is CC, but a pectoral muscle as in MLO shows"
            evidence: dict[str, Any] = {"view": shown.view, **triangle}
            found.append(volume_finding(volume, "MAM-008", Severity.WARN, message, **evidence))
        elif shown.view == "MLO" and not triangle and _has_air_at_both_ends(turned):
            message = "the view is MLO, but the breast ends within the picture as in CC"
            found.append(volume_finding(volume, "MAM-008", Severity.WARN, message, view=shown.view))
    return found


def _picture(volume: Volume, shown: BreastView) -> Picture | None:
    """Return the picture of a two-dimensional mammogram made for viewing; None for all others."""
    if shown.kind not in (CONVENTIONAL, SYNTHETIC) or shown.intent == "FOR PROCESSING":
        return None
    return reduced_picture(volume)


def _stated_side(frame: Frame) -> str:
    """Return the edge at which PatientOrientation puts the chest wall, "" when it does not say."""
    directions = header.texts(frame, "PatientOrientation")
    if len(directions) != 2 or header.text(frame, "AnatomicalOrientationType").upper() == "QUADRUPED":
        return ""
    along_rows, along_columns = (each.strip().upper()[:1] for each in directions)
    by_rows, by_columns = OF_ROWS.get(along_rows, ""), OF_COLUMNS.get(along_columns, "")
    return "" if by_rows and by_columns else by_rows or by_columns


def _tissue(picture: Picture) -> NDArray[np.bool_]:
    tissue: NDArray[np.bool_] = picture > table("projections")["chest_wall"]["air"]
    return tissue


def _chest_wall_side(picture: Picture) -> str:
    """Return "left", "right", "top" or "bottom", "" when it is not clear to see."""
    limits = table("projections")["chest_wall"]
    tissue = _tissue(picture)
    if (~tissue).mean() < limits["min_air"]:
        return ""
    edges = {"left": tissue[:, :2], "right": tissue[:, -2:], "top": tissue[:2], "bottom": tissue[-2:]}
    contact = {name: float(edge.mean()) for name, edge in edges.items()}
    side = max(contact, key=lambda name: contact[name])
    beside = max(contact[name] for name in edges if name not in (side, OPPOSITE[side]))
    is_clear = (
        contact[side] >= limits["min_contact"]
        and contact[OPPOSITE[side]] <= limits["max_opposite"]
        and contact[side] - beside >= limits["min_lead"]
    )
    return side if is_clear else ""


def _chest_wall_to_the_left(picture: Picture, side: str) -> Picture:
    turned = {
        "left": picture,
        "right": picture[:, ::-1],
        "top": picture.T,
        "bottom": picture[::-1].T,
    }
    return turned[side]


def _triangle(picture: Picture) -> dict[str, float] | None:
    """Return height, width and angle of a bright triangle in the upper left corner, or None."""
    limits = table("projections")["pectoral"]
    rows, columns = picture.shape
    tissue = _tissue(picture)
    corner = picture[: max(3, rows // 25), : max(3, columns // 25)]
    if not tissue.any() or corner.min() <= table("projections")["chest_wall"]["air"]:
        return None
    muscle, breast = float(np.median(corner)), float(np.median(picture[tissue]))
    if muscle - breast < limits["min_step"]:
        return None
    is_muscle = picture > (muscle + breast) / 2
    widths = np.where(is_muscle.all(axis=1), columns, is_muscle.argmin(axis=1))
    height = int((widths == 0).argmax()) if (widths == 0).any() else rows
    if height < limits["min_height"] * rows or widths[0] < limits["min_width"] * columns:
        return None
    widths = widths[:height].astype(np.float64)
    if widths.sum() > limits["max_share"] * tissue.sum():
        return None
    slope, _ = np.polyfit(np.arange(height), widths, 1)
    straightness = float(np.corrcoef(np.arange(height), widths)[0, 1] ** 2) if widths.std() else 0.0
    angle = math.degrees(math.atan(-slope))
    low, high = limits["angle_deg"]
    if straightness < limits["min_straightness"] or not low <= angle <= high:
        return None
    return {
        "height": round(height / rows, 3),
        "width": round(float(widths[0]) / columns, 3),
        "angle_deg": round(angle, 1),
    }


def _has_air_at_both_ends(picture: Picture) -> bool:
    """Say whether the chest wall, at the left, begins and ends with air."""
    length = max(1, round(table("projections")["pectoral"]["air_at_corners"] * len(picture)))
    wall = np.any(_tissue(picture)[:, :2], axis=1)
    return not wall[:length].any() and not wall[-length:].any()
