"""The table of finding codes: complete, printable, and in step with the rules."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from handlers.findings import CODES
from handlers.model import Severity

ROOT = Path(__file__).parents[2]
CODE = re.compile(r'"([A-Z]{3,4}(?:-[A-Z]{2,4})?-\d{3})"')
PUBLISHED = (
    *(f"ING-{n:03}" for n in range(1, 14)), *(f"TRI-SC-{n:03}" for n in (1, 2, 3)), *(f"TRI-OBJ-{n:03}" for n in range(1, 5)),
    "TRI-LOC-001", "TRI-LOC-002", *(f"TRI-DER-{n:03}" for n in range(1, 7)), *(f"DEI-BIA-{n:03}" for n in (1, 2, 3, 4)),
    "DEI-FACE-001", *(f"DEI-{n:03}" for n in range(1, 7)),
    *(f"LOS-{n:03}" for n in (1, 2, 3)), *(f"MOD-{n:03}" for n in (1, 2, 3)), *(f"SPL-{n:03}" for n in range(1, 10)),
    *(f"GEO-{n:03}" for n in range(1, 22)), *(f"CON-{n:03}" for n in range(1, 12)), *(f"GAT-{n:03}" for n in range(1, 12)),
    *(f"RSP-{n:03}" for n in range(1, 5)), *(f"KER-{n:03}" for n in range(1, 7)), *(f"MAM-{n:03}" for n in range(1, 11)),
    *(f"SPC-{n:03}" for n in (1, 2, 3)), *(f"HU-{n:03}" for n in range(1, 10)), *(f"PET-{n:03}" for n in (1, 2, 3)),
    *(f"USX-{n:03}" for n in (1, 2, 3)), *(f"MRS-{n:03}" for n in range(1, 5)), "PRV-TAG-001", "PRV-TAG-002",
    *(f"PIX-{n:03}" for n in range(1, 6)), *(f"PAD-{n:03}" for n in (1, 2, 3)), "RSC-001", "RSC-002", *(f"POL-{n:03}" for n in range(1, 5)),
    "NRM-ORI-001", "NRM-TLT-001", "NRM-GAP-001", "NRM-RES-001", "NRM-RES-002", "NRM-RES-003", "NRM-KER-001", "NRM-CLP-001", "NRM-INT-001",
    "NRM-INT-002", "NRM-ERR-001", "NRM-ERR-002", "TRI-ERR-001", "VOI-001", "VOI-002", *(f"OUT-{n:03}" for n in range(1, 7)),
)  # fmt: skip


@pytest.mark.parametrize("code", PUBLISHED)
def test_every_published_code_is_explained(code):
    assert code in CODES


@pytest.mark.parametrize("info", CODES.values(), ids=str)
def test_an_entry_is_complete_and_fits_a_code_meaning(info):
    assert 0 < len(info.title) <= 64  # VR LO
    assert not info.title.endswith(".")
    assert isinstance(info.severity, Severity)
    for text in (info.meaning, info.action_taken, info.advice):
        assert text.endswith((".", "?"))
        assert text == text.strip()


def test_every_code_that_the_programs_raise_is_explained():
    sources = [path.read_text() for folder in ("handlers", "node") for path in (ROOT / folder).rglob("*.py")]
    raised = {code for text in sources for code in CODE.findall(text)} | set(
        re.findall(r'"(HU-\d{3})"', " ".join(sources))
    )
    assert raised - set(CODES) == set()


def test_the_table_cannot_be_changed():
    with pytest.raises(TypeError):
        CODES["X"] = None  # type: ignore[index]
