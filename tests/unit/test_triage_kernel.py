"""Kernels: exact codes per vendor, absence, doubt, and what the profile takes."""

from __future__ import annotations

import pytest

from handlers.model import Severity
from handlers.triage import kernel, kernel_table
from triage_cases import codes, only, series, volume


def judged(raw, manufacturer="SIEMENS", **attributes):
    return kernel.kernel_class(
        series(volume("CT", ConvolutionKernel=raw, Manufacturer=manufacturer, **attributes))
    )


@pytest.mark.parametrize(
    ("manufacturer", "raw", "expected"),
    [
        ("SIEMENS", "B10s", "smooth"), ("SIEMENS", "B30f", "smooth"), ("Siemens Healthineers", "Br36d", "smooth"),
        ("SIEMENS", "B40s", "medium"), ("SIEMENS", "Br44f", "medium"), ("SIEMENS", "Qr47", "medium"), ("SIEMENS", "B50f", "sharp"),
        ("SIEMENS", "Bl57d", "sharp"), ("SIEMENS", "H60s", "sharp"), ("SIEMENS", "U30u", "sharp"), ("SIEMENS", "S80f", "sharp"),
        ("SIEMENS", "J30s", "smooth"), ("siemens", "br40d", "medium"),
        ("GE MEDICAL SYSTEMS", "SOFT", "smooth"), ("GE MEDICAL SYSTEMS", "STANDARD", "medium"), ("General Electric", "Chst", "medium"),
        ("GE MEDICAL SYSTEMS", "BONEPLUS", "sharp"), ("GE MEDICAL SYSTEMS", "LUNG", "sharp"), ("GE MEDICAL SYSTEMS", "HD LUNG", "sharp"),
        ("Philips", "A", "smooth"), ("Philips", "B", "medium"), ("Philips", "YA", "sharp"), ("Philips Medical Systems", "L", "sharp"),
        ("TOSHIBA", "FC03", "smooth"), ("Canon Medical Systems", "FC18", "medium"), ("TOSHIBA", "FC52", "sharp"),
        ("TOSHIBA", "FC26", "medium"), ("UIH", "B_SOFT_A", "smooth"), ("United Imaging", "H_SHARP_B", "sharp"), ("UIH", "B_LUNG_B", "sharp"),
    ],
)  # fmt: skip
def test_a_known_kernel_has_its_class(manufacturer, raw, expected):
    finding = only(judged(raw, manufacturer))
    assert (finding.code, finding.severity) == ("KER-001", Severity.INFO)
    assert finding.evidence["kernel"]["class"] == expected
    assert finding.evidence["kernel"]["raw"] == raw


def test_the_second_value_of_siemens_is_the_iterative_strength():
    # two values: .strip() on the attribute would raise (E4)
    fact = only(judged(["I31f", "3"])).evidence["kernel"]
    assert fact["raw"] == "I31f\\3"
    assert fact["class"] == "smooth"
    assert fact["ir"] == {"name": "SAFIRE", "strength": "3", "source": "ConvolutionKernel"}


@pytest.mark.parametrize(
    ("manufacturer", "raw"),
    [("SIEMENS", "STANDARD"), ("GE MEDICAL SYSTEMS", "B30f"), ("", "STANDARD"), ("GE MEDICAL SYSTEMS", "SOFTER"), ("TOSHIBA", "FC99"),
     ("Philips", "AB"), ("AGE Imaging", "SOFT"), ("SIEMENS", "B3")],
)  # fmt: skip
def test_an_unknown_kernel_stays_unknown(manufacturer, raw):
    finding = only(judged(raw, manufacturer))
    assert (finding.code, finding.severity) == ("KER-003", Severity.WARN)
    assert finding.evidence["kernel"]["class"] == "unknown"


def test_other_vendors_tables_are_only_a_hint():
    assert only(judged("STANDARD", "")).evidence["other_vendors"]["ge"] == "medium"


@pytest.mark.parametrize(
    ("manufacturer", "raw", "expected"),
    [("Philips", "UB", "medium"), ("Philips", "D", "sharp"), ("TOSHIBA", "FC51", "sharp")],
)
def test_disputed_codes_keep_their_class_and_are_marked(manufacturer, raw, expected):
    findings = judged(raw, manufacturer)
    assert codes(findings) == ["KER-001", "KER-003"]
    assert findings[0].evidence["kernel"]["class"] == expected


@pytest.mark.parametrize("raw", [None, "", []])
def test_an_absent_kernel_is_marked(raw):
    finding = only(judged(raw))
    assert (finding.code, finding.severity) == ("KER-002", Severity.WARN)
    assert finding.evidence["kernel"]["class"] == "unknown"


def test_philips_repeats_the_kernel_in_the_filter_type_and_ge_does_not():
    assert only(judged(None, "Philips", FilterType="YA")).evidence["kernel"]["source"] == "FilterType"
    assert codes(judged(None, "GE MEDICAL SYSTEMS", FilterType="BODY FILTER")) == ["KER-002"]


def test_the_group_of_enhanced_ct_helps_where_the_code_is_unknown():
    findings = judged("X1", "Acme", ConvolutionKernelGroup="LUNG")
    assert codes(findings) == ["KER-001", "KER-003"]
    assert findings[0].evidence["kernel"]["class"] == "sharp"


def test_the_table_version_is_in_the_evidence():
    assert only(judged("B30f")).evidence["kernel"]["table_version"] == kernel_table.version()


@pytest.mark.parametrize(
    ("accepted", "expected"), [(("sharp",), ["KER-004"]), (("smooth", "medium"), []), ((), [])]
)
def test_a_profile_may_take_some_classes_only(accepted, expected):
    findings = kernel.AcceptedKernels(accepted)(series(volume("CT")))
    assert codes(findings) == expected
    assert all(finding.severity is Severity.REVIEW for finding in findings)


def test_two_kernels_in_a_series_are_marked():
    finding = only(
        kernel.mixed_kernels(series(volume("CT"), volume("CT", index=1, ConvolutionKernel="B70f")))
    )
    assert finding.code == "KER-005"
    assert finding.evidence["ConvolutionKernel"] == ["B30f", "B70f"]


def test_one_kernel_in_two_volumes_is_not_mixed():
    assert kernel.mixed_kernels(series(volume("CT"), volume("CT", index=1))) == []


def test_localizers_screens_and_other_modalities_have_no_kernel():
    others = series(
        volume("CT", slices=1, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"], ConvolutionKernel=None),
        volume("CT", index=1, sop_class="1.2.840.10008.5.1.4.1.1.7", ConvolutionKernel=None),
        volume("PT", index=2, ConvolutionKernel="XYZ Gauss6.00"),
    )
    assert kernel.kernel_class(others) == []
