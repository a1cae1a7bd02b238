"""On which side of the patient the CT table lies, as seen in the image, against the stated position."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handlers.model import Finding, Geometry, Series, Severity, Volume
from handlers.tables import table
from handlers.triage import header
from handlers.triage.targets import measured, volume_finding

LIMITS = table("geometry")["table_side"]
EXPECTED = {"S": "posterior", "P": "anterior"}  # supine, prone; PS3.3 C.7.3.1.1.2


def table_side(series: Series) -> list[Finding]:
    """Find a table on the wrong side of the patient (GEO-017): probably left and right are swapped.

    Only a flat, wide thing that stands clear of the body in the median of several slices counts as a
    table, and only when there is one on one side alone. Whatever is less clear is no finding.
    """
    found = []
    for volume in measured(series, "CT"):
        expected = EXPECTED.get(header.text(volume.frames[0], "PatientPosition").upper()[2:], "")
        seen = _seen(volume) if expected else ""
        if seen and seen != expected:
            message = f"the table lies {seen} of the patient, but the stated position puts it {expected}"
            position = header.text(volume.frames[0], "PatientPosition")
            evidence = {"PatientPosition": position, "seen": seen, "expected": expected}
            found.append(volume_finding(volume, "GEO-017", Severity.REVIEW, message, **evidence))
    return found


def _seen(volume: Volume) -> str:
    """Return "posterior", "anterior", or "" when the table is not clear to see."""
    geometry, values = volume.geometry, volume.values
    if geometry is None or values is None or len(values) < LIMITS["min_slices"]:
        return ""
    to_posterior = geometry.column_cosine[1]  # rows go down the picture; LPS
    if abs(geometry.normal[2]) < LIMITS["axial"] or abs(to_posterior) < LIMITS["axial"]:
        return ""
    picked = np.linspace(0, len(values) - 1, LIMITS["slices"]).astype(int)
    picture = np.median(values[np.unique(picked)], axis=0)
    sides = _table_sides(picture > LIMITS["material_hu"], geometry)
    if len(sides) != 1:
        return ""
    is_below = "below" in sides
    return "posterior" if is_below == (to_posterior > 0) else "anterior"


def _table_sides(material: NDArray[np.bool_], geometry: Geometry) -> set[str]:
    """Return on which sides of the body flat, wide things lie: "above" or "below" it in the picture."""
    boxes = sorted(_boxes(material), key=lambda box: box["pixels"], reverse=True)
    if not boxes or boxes[0]["pixels"] < LIMITS["body_share"] * material.size:
        return set()
    body, sides = boxes[0], set()
    width_mm, height_mm = geometry.spacing_mm[0], geometry.spacing_mm[1]
    for box in boxes[1:]:
        wide, high = box["columns"] * width_mm, box["rows"] * height_mm
        if (
            wide < max(LIMITS["table_width"] * body["columns"] * width_mm, LIMITS["table_extent_mm"])
            or wide < LIMITS["table_flatness"] * high
        ):
            continue
        middle = box["top"] + box["rows"] / 2
        if middle > body["top"] + 0.75 * body["rows"]:
            sides.add("below")
        elif middle < body["top"] + 0.25 * body["rows"]:
            sides.add("above")
    return sides


def _boxes(material: NDArray[np.bool_]) -> list[dict[str, Any]]:
    """Return size and place of every connected thing in the picture."""
    sitk: Any = import_module("SimpleITK")  # large, and needed only when a table may be seen

    components = sitk.ConnectedComponent(sitk.GetImageFromArray(material.astype(np.uint8)))
    shapes = sitk.LabelShapeStatisticsImageFilter()
    shapes.Execute(components)
    found = []
    for label in shapes.GetLabels():
        _, top, columns, rows = shapes.GetBoundingBox(label)
        found.append(
            {"pixels": shapes.GetNumberOfPixels(label), "top": top, "columns": columns, "rows": rows}
        )
    return found
