"""Projections beside reconstructed slices of the same modality."""

from __future__ import annotations

from handlers.triage import projection_spacing
from triage_cases import only, series, volume

XA_3D, XA = "1.2.840.10008.5.1.4.1.1.13.1.1", "1.2.840.10008.5.1.4.1.1.12.1"


def test_slices_that_lie_in_the_patient_hide_no_projection():
    slices = volume("XA", slices=5, sop_class=XA_3D)
    projection = volume(
        "XA", index=1, slices=1, sop_class=XA, PixelSpacing=None, ImageOrientationPatient=None
    )
    assert slices.geometry is not None
    finding = only(projection_spacing.projection_spacing(series(slices, projection)))
    assert (finding.code, finding.target) == ("SPC-001", "v1")
