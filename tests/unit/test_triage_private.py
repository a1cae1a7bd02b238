"""Private elements: those that are read are named, those without an owner are told, all others are left alone."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag

from handlers.model import Severity
from handlers.tables import table
from handlers.triage import header
from handlers.triage.private_evidence import private_evidence
from triage_cases import codes, only, series, volume

HANDLERS = Path(__file__).parents[2] / "handlers"


def holding(modality, group, creator, elements):
    made = volume(modality, slices=2)
    for each in made.instances:
        block = each.header.private_block(group, creator, create=True)
        for offset, vr, value in elements:
            block.add_new(offset, vr, value)
    return made


def test_a_private_element_that_is_read_is_named_with_its_value():
    made = holding("CT", 0x0045, "GEMS_HELIOS_01", [(0x33, "CS", "75")])
    finding = only(private_evidence(series(made)))
    assert (finding.code, finding.severity) == ("PRV-TAG-001", Severity.INFO)
    assert finding.evidence["elements"] == [
        {
            "creator": "GEMS_HELIOS_01",
            "element": "(0045,xx33)",
            "meaning": "cardiac phase, percent",
            "value": "75",
        }
    ]


def test_a_moment_in_the_life_of_a_patient_is_not_quoted():
    made = holding("PT", 0x0009, "GEMS_PETD_01", [(0x0D, "DT", "20240502122000.00")])
    assert only(private_evidence(series(made))).evidence["elements"][0]["value"] == "a date and time"


@pytest.mark.parametrize(
    ("modality", "creator", "offset"),
    [("MR", "GEMS_HELIOS_01", 0x33), ("CT", "SOMEBODY", 0x33), ("CT", "GEMS_HELIOS_01", 0x01)],
)
def test_other_private_elements_are_not(modality, creator, offset):
    assert private_evidence(series(holding(modality, 0x0045, creator, [(offset, "CS", "75")]))) == []


def test_a_series_without_private_elements_has_none():
    assert private_evidence(series(volume("CT"))) == []


def test_a_block_without_its_creator_is_told():
    made = holding("CT", 0x0045, "GEMS_HELIOS_01", [(0x33, "CS", "75")])
    for each in made.instances:
        del each.header[0x00450010]
    finding = only(private_evidence(series(made)))
    assert (finding.code, finding.severity) == ("PRV-TAG-002", Severity.WARN)
    assert finding.evidence["blocks"] == ["(0045,10xx)"]


def test_groups_that_nobody_reads_may_lack_a_creator():
    made = holding("CT", 0x0099, "SOMEBODY", [(0x33, "CS", "75")])
    for each in made.instances:
        del each.header[0x00990010]
    assert codes(private_evidence(series(made))) == []


def test_the_table_holds_every_creator_that_the_programs_read():
    named = re.compile(
        r'"((?:GEMS|GEHC|ELSCINT|TOSHIBA|SIEMENS MR|Philips (?:MR |PET |Imaging))[\w ]*|Image Private Header)"'
    )
    read = {name for path in HANDLERS.rglob("*.py") for name in named.findall(path.read_text("utf-8"))}
    listed = {entry["creator"] for entry in table("private_tags")["element"]}
    nested = {"Philips MR Imaging DD 005"}  # holds a sequence of functional groups, no value
    assert read - nested == listed


@pytest.mark.parametrize(
    ("vr", "value", "told"),
    [("LO", "x" * 41, "x" * 40), ("LO", "x" * 40, "x" * 40), ("OB", b"abc", "3 bytes")],
)
def test_the_start_of_a_long_value_is_quoted(vr, value, told):
    made = holding("CT", 0x0045, "GEMS_HELIOS_01", [(0x30, vr, value)])
    assert only(private_evidence(series(made))).evidence["elements"][0]["value"] == told


def test_an_element_that_cannot_be_read_hides_no_other():
    made = holding("CT", 0x0045, "GEMS_HELIOS_01", [(0x31, "CS", "60"), (0x33, "CS", "75")]).instances[0]
    tag = BaseTag(0x00451030)
    broken = RawDataElement(tag, "QQ", 4, b"what", 0, is_implicit_VR=False, is_little_endian=True)
    made = replace(made, header=Dataset({**dict(made.header.items()), tag: broken}))
    elements = only(private_evidence(series(loose=(made,))), "PRV-TAG-001").evidence["elements"]
    assert [each["element"] for each in elements] == ["(0045,xx31)", "(0045,xx33)"]


def test_the_last_block_of_a_group_has_a_creator_too():
    made = volume("CT", slices=1)
    held = made.frames[0].instance.header
    held.add_new(0x004500FF, "LO", "GEMS_HELIOS_01")
    held.add_new(0x0045FF33, "CS", "75")
    assert codes(private_evidence(series(made))) == ["PRV-TAG-001"]
    del held[0x004500FF]
    assert only(private_evidence(series(made))).evidence["blocks"] == ["(0045,FFxx)"]


def test_each_modality_is_looked_at_once():
    plain = volume("CT", slices=2)
    other = replace(holding("PT", 0x0009, "GEMS_PETD_01", [(0x0D, "DT", "20240502122000.00")]), index=1)
    assert codes(private_evidence(series(plain, other))) == ["PRV-TAG-001"]


@pytest.mark.parametrize(("value", "text"), [(["B", "A"], "B"), ("B", "B"), ("", "")])
def test_the_first_value_of_a_private_element_is_its_text(value, text):
    made = holding("CT", 0x0045, "GEMS_HELIOS_01", [(0x30, "LO", value)])
    assert header.private_text(made.instances[0], 0x0045, "GEMS_HELIOS_01", 0x30) == text
