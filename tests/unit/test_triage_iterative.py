"""Iterative and learned reconstructions: name and strength from wherever a vendor writes them."""

from __future__ import annotations

import struct

import pytest

from handlers import attributes
from handlers.triage import header, kernel
from triage_cases import only, series, volume

GE, PHILIPS, CANON = "GE MEDICAL SYSTEMS", "Philips", "Canon Medical Systems"
BLOCKS = {
    "ge": (0x0053, "GEHC_CT_ADVAPP_001"),
    "philips": (0x01F7, "ELSCINT1"),
    "canon": (0x7005, "TOSHIBA_MEC_CT3"),
}
KERNEL = {"SIEMENS": "Br40d", GE: "STANDARD", PHILIPS: "B", CANON: "FC18", "UIH": "B_SOFT_A"}


def ct(manufacturer: str, private: dict[int, tuple[str, object]] | None = None, **more):
    made = volume("CT", Manufacturer=manufacturer, **{"ConvolutionKernel": KERNEL.get(manufacturer), **more})
    for offset, (vr, value) in (private or {}).items():
        vendor = next(each for each in BLOCKS if manufacturer.lower().startswith(each))
        group, creator = BLOCKS[vendor]
        block = made.frames[0].instance.header.private_block(group, creator, create=True)
        block.add_new(offset, vr, value)
    return made


def fact(made) -> dict[str, str]:
    return only(kernel.kernel_class(series(made))).evidence["kernel"]["ir"]


@pytest.mark.parametrize(
    ("manufacturer", "private", "expected"),
    [
        (GE, {0x42: ("LO", "ASIR-V"), 0x43: ("SL", 40)}, {"name": "ASiR-V", "strength": "40"}),
        (GE, {0x40: ("LO", "ASIR 30%")}, {"name": "ASiR", "strength": "30"}),
        (GE, {0x42: ("LO", "Iterative"), 0x43: ("SL", 0)}, {"name": "Iterative"}),
        (PHILIPS, {0x9B: ("LO", "2")}, {"name": "iDose4", "strength": "2"}),
        (PHILIPS, {0x9B: ("LO", "None")}, {}),
        (CANON, {0x0B: ("LO", "AIDR 3D STD")}, {"name": "AIDR 3D", "strength": "STD"}),
        (CANON, {0x21: ("LO", "AiCE BODY Mild")}, {"name": "AiCE", "strength": "Mild"}),
        (CANON, {0x0B: ("LO", "Boost3D")}, {}),
    ],
)
def test_private_elements_tell(manufacturer, private, expected):
    found = fact(ct(manufacturer, private))
    source = found.pop("source", "")
    assert found == expected
    assert bool(source) == bool(expected)


@pytest.mark.parametrize(
    ("manufacturer", "description", "expected"),
    [
        ("SIEMENS", "Thorax 1.0 Br40 ADMIRE 3", {"name": "ADMIRE", "strength": "3"}),
        ("SIEMENS", "Abdomen SAFIRE", {"name": "SAFIRE"}),
        (GE, "CHEST ASiR-V 50%", {"name": "ASiR-V", "strength": "50"}),
        (GE, "HEAD ASIR", {"name": "ASiR"}),
        (GE, "LIVER TrueFidelity High", {"name": "TrueFidelity", "strength": "High"}),
        (GE, "LIVER DLIR-M", {"name": "TrueFidelity", "strength": "M"}),
        (PHILIPS, "ABD iDose (3)", {"name": "iDose4", "strength": "3"}),
        (PHILIPS, "iDose4 L5", {"name": "iDose4", "strength": "5"}),
        (PHILIPS, "CORONARIES IMR2", {"name": "IMR", "strength": "2"}),
        (CANON, "Lung AIDR3D Strong", {"name": "AIDR 3D", "strength": "Strong"}),
        (CANON, "Body FIRST Body Mild", {"name": "FIRST", "strength": "Mild"}),
        (CANON, "Cardiac PIQE", {"name": "PIQE"}),
        ("UIH", "ABDOMEN KARL 5", {"name": "KARL", "strength": "5"}),
        # another vendor's word, another meaning of a word, a part of a word
        ("SIEMENS", "CHEST ASiR-V 50%", {}),
        (CANON, "FIRST PASS", {}),
        (PHILIPS, "IMRT PLANNING", {}),
        (GE, "ADMIRE TRIAL", {}),
        ("SIEMENS", "ADMIRED", {}),
        (GE, "THORAX", {}),
    ],
)
def test_descriptions_tell(manufacturer, description, expected):
    found = fact(ct(manufacturer, SeriesDescription=description))
    assert {key: value for key, value in found.items() if key != "source"} == expected
    assert found.get("source", "SeriesDescription") == "SeriesDescription"


def test_the_attribute_of_the_standard_wins_and_the_kernel_adds_its_strength():
    made = ct("SIEMENS", ConvolutionKernel=["Br40d", "3"], IterativeReconstructionMethod="ADMIRE")
    assert fact(made) == {"name": "ADMIRE", "strength": "3", "source": "IterativeReconstructionMethod"}
    made = ct("SIEMENS", ReconstructionAlgorithm="FILTER_BACK_PROJ")
    assert fact(made) == {}
    made = ct("SIEMENS", SeriesDescription="SAFIRE", IterativeReconstructionMethod="ADMIRE")
    assert fact(made)["name"] == "ADMIRE"


def test_a_model_before_the_kernel_is_passed_over():
    finding = only(kernel.kernel_class(series(ct(PHILIPS, ConvolutionKernel="IMR1, SoftTissue"))))
    assert finding.evidence["kernel"]["class"] == "smooth"
    assert finding.evidence["kernel"]["ir"]["name"] == "IMR"
    finding = only(kernel.kernel_class(series(ct(PHILIPS, ConvolutionKernel=["IMR2", "SharpPlus"]))))
    assert finding.evidence["kernel"]["class"] == "sharp"


@pytest.mark.parametrize(
    ("raw", "expected"), [("FC08-H", "medium"), ("FC13-H", "smooth"), ("FC08-1", "unknown")]
)
def test_variants_of_a_numbered_kernel(raw, expected):
    finding = only(kernel.kernel_class(series(ct(CANON, ConvolutionKernel=raw))))
    assert finding.evidence["kernel"]["class"] == expected


@pytest.mark.parametrize(
    ("vr", "value", "expected"),
    [
        ("UN", struct.pack("<d", 50.0), 50.0),
        ("UN", struct.pack("<f", 0.75), 0.75),
        ("UN", b"12.5 ", 12.5),
        ("UN", b"not a number", None),
        ("UN", struct.pack("<d", float("nan")), None),
        ("DS", ["3", "4"], 3.0),
        ("LO", "7", 7.0),
    ],
)
def test_a_private_number_is_read_in_every_form(vr, value, expected):
    made = ct(GE, {0x43: (vr, value)})
    frame = made.frames[0]
    assert header.private_number(frame, *BLOCKS["ge"], 0x43) == expected
    assert header.private_number(frame, *BLOCKS["ge"], 0x44) is None
    numbers = attributes.private_numbers(frame, *BLOCKS["ge"], 0x43)
    assert numbers[:1] == (() if expected is None else (expected,))
