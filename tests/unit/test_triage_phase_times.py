"""When a scan was acquired, and how long after the start of the injection."""

from __future__ import annotations

from datetime import datetime

import pytest

from handlers.triage import phase_times
from triage_cases import sibling, volume

NOON = {"AcquisitionDate": "20260102", "AcquisitionTime": "120100"}


def timed(**attributes):
    plain = {"AcquisitionDate": "20260102", "AcquisitionTime": "120100"}
    return volume("CT", slices=2, **{**plain, **attributes})


@pytest.mark.parametrize(
    ("start", "delay"),
    [
        ("120000", 60.0),
        ("120000.5", 59.5),
        ("1200", 60.0),
        ("12", 60.0),
        ("120130", -30.0),
        ("noon", None),
        ("", None),
    ],
)
def test_the_delay_counts_from_the_start_of_injection(start, delay):
    assert phase_times.injection(timed(ContrastBolusStartTime=start)).delay_s == delay


@pytest.mark.parametrize(
    ("start", "delay", "objection"),
    [
        ("121100", -600.0, ""),
        ("121101", None, "it would be 601 s after the acquisition"),
        ("110100", 3600.0, ""),
        ("110059", None, "it would be 3601 s before the acquisition"),
        ("000101", None, "it would be 43199 s before the acquisition"),
    ],
)
def test_a_delay_beyond_what_can_be_is_told(start, delay, objection):
    assert phase_times.injection(timed(ContrastBolusStartTime=start)) == phase_times.Injection(
        delay, objection
    )


def test_fractions_of_a_second_count():
    made = timed(AcquisitionTime="120100.25", ContrastBolusStartTime="120000.125")
    assert phase_times.injection(made).delay_s == 60.125
    finest = timed(AcquisitionTime="120100.1234567")
    assert phase_times.volume_time(finest).microsecond == 123456


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({}, phase_times.Injection(60.0)),
        ({"ContrastBolusStartTime": None}, phase_times.Injection()),
        ({"AcquisitionTime": None}, phase_times.Injection()),
        (
            {"StudyTime": "120000"},
            phase_times.Injection(None, "it merely repeats the time of the series or study"),
        ),
        (
            {"SeriesTime": "120000"},
            phase_times.Injection(None, "it merely repeats the time of the series or study"),
        ),
    ],
)
def test_the_delay_of_another_series_comes_from_its_facts(facts, expected):
    told = sibling(**{"ContrastBolusStartTime": "120000", **NOON, **facts})
    assert phase_times.sibling_injection(told) == expected


@pytest.mark.parametrize(
    ("acquired", "start", "delay"), [("000030", "235930", 60.0), ("235930", "000030", -60.0)]
)
def test_midnight_may_lie_between(acquired, start, delay):
    made = timed(AcquisitionTime=acquired, ContrastBolusStartTime=start)
    assert phase_times.injection(made).delay_s == delay


@pytest.mark.parametrize(
    ("keyword", "repeated", "expected"),
    [
        ("SeriesTime", "120000.2", "it merely repeats the time of the series or study"),
        ("StudyTime", "120000.9", "it merely repeats the time of the series or study"),
        ("SeriesTime", "120001", ""),
    ],
)
def test_a_start_within_the_second_of_another_time_was_filled_in(keyword, repeated, expected):
    found = phase_times.injection(timed(ContrastBolusStartTime="120000.5", **{keyword: repeated}))
    assert found.objection == expected


@pytest.mark.parametrize(
    ("delta_ms", "times", "expected_s"),
    [
        (5000, ("120100", "120100"), 65.0),
        (0, ("120100", "120100"), 60.0),
        (3_600_000, ("120100", "120100"), 3660.0),
        (3_600_001, ("120100", "120100"), 60.0),
        (5000, ("120100", "120102"), 60.0),  # each slice has its own time already
    ],
)
def test_ge_adds_milliseconds_to_the_time_of_the_first_pass(delta_ms, times, expected_s):
    made = timed(AcquisitionTime=lambda k: times[k])
    for frame in made.frames:
        block = frame.instance.header.private_block(0x0043, "GEMS_PARM_01", create=True)
        block.add_new(0x1E, "DS", str(delta_ms))
    found = phase_times.volume_time(made)
    assert (found - datetime(2026, 1, 2, 12)).total_seconds() == expected_s  # noqa: DTZ001 - DICOM times are local


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        ("20260102120130.25", datetime(2026, 1, 2, 12, 1, 30, 250000)),  # noqa: DTZ001
        ("20260102120130.25+0100", datetime(2026, 1, 2, 12, 1, 30, 250000)),  # noqa: DTZ001
        ("20260102120130-0500", datetime(2026, 1, 2, 12, 1, 30)),  # noqa: DTZ001
        ("20260102", datetime(2026, 1, 2, 12, 1)),  # noqa: DTZ001 - the date alone: AcquisitionTime tells the rest
    ],
)
def test_a_date_with_time_is_preferred(stated, expected):
    assert phase_times.acquisition_time(timed(AcquisitionDateTime=stated).frames[0]) == expected
