"""The aorta of real CT: heads, single slices and noise say nothing; nothing real is mislabelled."""

from __future__ import annotations

from pathlib import Path

import pytest

from handlers.normalization.pipeline import to_modality_units
from handlers.reading import series_from_files
from handlers.triage.aorta_evidence import aorta_evidence
from handlers.triage.rules import HEADER_RULES, judge
from handlers.volumes import split

HEADS = ("ct_philips_head_5mm", "ct_philips_tilt_-18.5")
# Pixels of these were replaced by noise, or they are a few slices; torchio's is a test volume without offset.
OTHERS = ("ct_siemens_gantrytilt", "ct_ge_missing_slice", "ct_torchio_ras", "ct_dcmqi_overlap")


@pytest.mark.parametrize("group", [*HEADS, *OTHERS])
def test_what_shows_no_trunk_is_no_evidence(shared_data: Path, group: str):
    files = [path for path in sorted((shared_data / group).rglob("*")) if path.is_file()]
    seen = 0
    for series in series_from_files(files)[0]:
        whole = split(series)
        findings = judge(whole, HEADER_RULES)
        for volume in whole.volumes:
            if volume.modality == "CT":
                (line,) = aorta_evidence(to_modality_units(volume), findings)
                assert (line.supports, line.weight) == ((), 0.0), line.raw
                seen += 1
    assert seen
