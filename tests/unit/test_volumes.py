"""Series that hold more, or less, than one volume; the rows of the known pitfalls."""

from __future__ import annotations

import math
import time
from pathlib import Path

import pytest
from pydicom.dataelem import RawDataElement
from pydicom.tag import BaseTag
from pydicom.uid import ExplicitVRLittleEndian

import data
from handlers.model import Series, Severity
from handlers.reading import series_from_files
from handlers.volumes import split

SERIES = data.uid("series", "under test")


def series_of(tmp_path: Path, datasets) -> Series:
    data.write(datasets, tmp_path)
    found, unreadable = series_from_files(tmp_path.iterdir())
    assert not unreadable
    assert len(found) == 1
    return found[0]


def volumes_of(tmp_path: Path, datasets) -> Series:
    return split(series_of(tmp_path, datasets))


def codes(series: Series) -> list[str]:
    return [finding.code for finding in series.findings]


def ct(**options):
    return data.ct_series(rows=16, columns=16, series_uid=SERIES, **options)


def numbers(volume) -> list[int]:
    return [int(frame.instance.header.InstanceNumber) for frame in volume.frames]


def test_one_plain_stack_is_one_volume_without_findings(tmp_path: Path) -> None:
    series = volumes_of(tmp_path, ct(slices=20))
    assert [len(volume.frames) for volume in series.volumes] == [20]
    assert series.volumes[0].split_key == {}
    assert series.volumes[0].modality == "CT"
    assert codes(series) == []


def test_shuffled_instance_numbers_change_nothing(tmp_path: Path) -> None:
    expected = volumes_of(tmp_path / "sorted", ct(slices=20))
    series = volumes_of(tmp_path / "shuffled", ct(slices=20, shuffled=True))
    order = [frame.instance.sop_instance_uid for frame in series.volumes[0].frames]
    assert order == [frame.instance.sop_instance_uid for frame in expected.volumes[0].frames]
    assert series.volumes[0].geometry == expected.volumes[0].geometry


def test_missing_slice_stays_one_volume_with_the_hole_in_view(tmp_path: Path) -> None:
    series = volumes_of(tmp_path, ct(slices=20, missing=(7,)))
    (volume,) = series.volumes
    assert volume.geometry.missing == ((6, 1),)
    assert volume.spacing_mm == pytest.approx((0.5, 0.5, 2.0))


def test_duplicate_position_stays_visible_and_is_held(tmp_path: Path) -> None:
    series = volumes_of(tmp_path, ct(slices=20, duplicate=5))
    (volume,) = series.volumes
    assert volume.geometry.duplicates == ((5, 6),)
    assert volume.geometry.spacing_mm[2] == pytest.approx(2.0)
    (finding,) = [each for each in series.findings if each.code == "SPL-003"]
    assert (finding.severity, finding.target) == (Severity.REVIEW, "v0")
    assert len(finding.evidence["SOPInstanceUID"]) == 2


def test_two_kernels_are_two_volumes(tmp_path: Path) -> None:
    series = volumes_of(tmp_path, [*ct(kernel="B70f"), *ct(kernel="B30f")])
    assert [len(volume.frames) for volume in series.volumes] == [20, 20]
    assert [volume.split_key for volume in series.volumes] == [
        {"ConvolutionKernel": ["B30f"]},
        {"ConvolutionKernel": ["B70f"]},
    ]
    assert codes(series) == ["SPL-001", "SPL-005"]


@pytest.mark.parametrize("stated", [None, "", "ct"])
def test_ct_that_does_not_say_so_is_ct_by_its_class(tmp_path: Path, stated: str | None) -> None:
    (volume,) = volumes_of(tmp_path, ct(slices=5, Modality=stated)).volumes
    assert volume.modality == "CT"
    assert len(volume.frames) == 5


def leaning(datasets, degrees_of):
    """Turn each slice about the left-right axis, the position of its first pixel unchanged."""
    for index, dataset in enumerate(datasets):
        angle = math.radians(degrees_of(index))
        dataset.ImageOrientationPatient = [1, 0, 0, 0, round(math.cos(angle), 9), round(math.sin(angle), 9)]
    return datasets


def test_slices_that_jitter_by_a_fraction_of_a_degree_stay_one_volume(tmp_path: Path) -> None:
    jittering = leaning(data.ct_series(slices=20), lambda index: 0.3 * (index % 2))
    (volume,) = volumes_of(tmp_path, jittering).volumes
    assert len(volume.frames) == 20
    assert volume.geometry.orientation_spread_deg == pytest.approx(0.15, abs=0.01)  # from their mean


def test_slices_that_lean_by_two_degrees_are_another_volume(tmp_path: Path) -> None:
    leaning_ones = leaning(data.ct_series(slices=20), lambda index: 2.0 * (index >= 10))
    assert [len(volume.frames) for volume in volumes_of(tmp_path, leaning_ones).volumes] == [10, 10]


def test_three_slices_of_another_orientation_are_a_volume(tmp_path: Path) -> None:
    series = volumes_of(tmp_path, [*ct(slices=20), *ct(slices=3, orientation="coronal")])
    assert sorted(len(volume.frames) for volume in series.volumes) == [3, 20]
    assert codes(series) == ["SPL-001", "SPL-005"]


def test_two_slices_of_another_orientation_are_left_over_and_listed(tmp_path: Path) -> None:
    strays = ct(slices=2, orientation="coronal")
    series = volumes_of(tmp_path, [*ct(slices=20), *strays])
    assert [len(volume.frames) for volume in series.volumes] == [20]
    (finding,) = [each for each in series.findings if each.code == "SPL-004"]
    assert set(finding.evidence["SOPInstanceUID"]) == {each.SOPInstanceUID for each in strays}


def test_antiparallel_slices_are_another_volume(tmp_path: Path) -> None:
    head_first = ct(slices=4)
    flipped = ct(slices=4, name="flipped", ImageOrientationPatient=[1, 0, 0, 0, -1, 0])
    series = volumes_of(tmp_path, [*head_first, *flipped])
    assert [len(volume.frames) for volume in series.volumes] == [4, 4]


def test_secondary_capture_is_a_volume_of_its_own_without_geometry(tmp_path: Path) -> None:
    series = volumes_of(tmp_path, [*ct(slices=20), data.secondary_capture(series_uid=SERIES)])
    by_size = {len(volume.frames): volume for volume in series.volumes}
    assert sorted(by_size) == [1, 20]
    assert by_size[1].geometry is None
    assert by_size[20].geometry.is_uniform


def test_localizer_is_a_volume_of_its_own(tmp_path: Path) -> None:
    series = volumes_of(tmp_path, [*ct(slices=20), data.localizer(series_uid=SERIES)])
    sizes = sorted((len(volume.frames), volume.geometry.orientation) for volume in series.volumes)
    assert sizes == [(1, "LIP"), (20, "LPS")]
    assert "SPL-004" not in codes(series)


def test_interleaved_thick_and_thin_slices_are_two_even_volumes(tmp_path: Path) -> None:
    thin, thick = ct(slices=20, step_mm=2.0), ct(slices=8, step_mm=5.0)
    series = volumes_of(tmp_path, [*thin, *thick])
    assert sorted((len(v.frames), round(v.geometry.spacing_mm[2], 6)) for v in series.volumes) == [
        (8, 5.0),
        (20, 2.0),
    ]
    assert all(volume.geometry.is_uniform for volume in series.volumes)
    assert {"SPL-002", "SPL-005"} <= set(codes(series))


def test_thickness_that_changes_along_the_body_stays_one_uneven_volume(tmp_path: Path) -> None:
    lower = ct(slices=5, step_mm=3.0, centre=(0, 0, 0))  # -6 .. 6 mm
    upper = ct(slices=5, step_mm=7.0, centre=(0, 0, 27))  # 13 .. 41 mm
    series = volumes_of(tmp_path, [*lower, *upper])
    (volume,) = series.volumes
    assert len(volume.frames) == 10
    assert not volume.geometry.is_uniform
    assert volume.geometry.missing == ()


def test_two_stacks_that_no_key_tells_apart_are_one_uneven_volume(tmp_path: Path) -> None:
    first, second = ct(slices=10, step_mm=2.0), ct(slices=4, step_mm=5.0, SliceThickness=2.0)
    series = volumes_of(tmp_path, [*first, *second])
    (volume,) = series.volumes
    assert not volume.geometry.is_uniform


def test_volume_without_positions_has_no_geometry(tmp_path: Path) -> None:
    series = volumes_of(tmp_path, ct(slices=5, ImagePositionPatient=None, ImageOrientationPatient=None))
    (volume,) = series.volumes
    assert volume.geometry is None
    assert numbers(volume) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("modality", ["DX", "CR", "MG"])
def test_each_projection_is_a_volume_without_geometry(tmp_path: Path, modality: str) -> None:
    images = [data.projection(modality, name=name, series_uid=SERIES) for name in ("first", "second")]
    series = volumes_of(tmp_path, images)
    assert [(len(volume.frames), volume.geometry) for volume in series.volumes] == [(1, None), (1, None)]


def test_phases_by_time_are_told_apart_by_a_soft_key(tmp_path: Path) -> None:
    early = ct(slices=6, name="early", AcquisitionNumber=3)
    late = ct(slices=6, name="late", AcquisitionNumber=4)
    series = volumes_of(tmp_path, [*early, *late])
    assert [volume.split_key for volume in series.volumes] == [
        {"AcquisitionNumber": 3},
        {"AcquisitionNumber": 4},
    ]
    assert codes(series) == ["SPL-001", "SPL-002"]


def test_acquisition_number_alone_never_splits_a_stack(tmp_path: Path) -> None:
    series = volumes_of(tmp_path, ct(slices=8, AcquisitionNumber=lambda index: index + 1))
    assert [len(volume.frames) for volume in series.volumes] == [8]


def test_repeated_scans_are_told_apart_by_instance_number(tmp_path: Path) -> None:
    first = ct(slices=6, name="first")
    second = ct(slices=6, name="second", InstanceNumber=lambda index: index + 7)
    series = volumes_of(tmp_path, [*first, *second])
    assert [numbers(volume) for volume in series.volumes] == [[1, 2, 3, 4, 5, 6], [7, 8, 9, 10, 11, 12]]
    assert [each.evidence["key"] for each in series.findings if each.code == "SPL-002"] == ["InstanceNumber"]


def test_soft_key_that_would_leave_half_a_volume_is_not_taken(tmp_path: Path) -> None:
    whole = ct(slices=6, name="whole", AcquisitionNumber=1)
    half = ct(slices=6, name="half", AcquisitionNumber=2, missing=(3, 4, 5))
    series = volumes_of(tmp_path, [*whole, *half])
    assert len(series.volumes) == 1
    assert "SPL-003" in codes(series)


def test_phases_of_unequal_length_are_told(tmp_path: Path) -> None:
    phases = [
        *ct(slices=6, name="a", TemporalPositionIdentifier=1),
        *ct(slices=6, name="b", TemporalPositionIdentifier=2, missing=(5,)),
    ]
    series = volumes_of(tmp_path, phases)
    assert [len(volume.frames) for volume in series.volumes] == [6, 5]
    assert codes(series) == ["SPL-001", "SPL-006"]


def test_every_scan_of_unequal_phases_is_told(tmp_path: Path) -> None:
    phases = [
        image
        for kernel in ("B30f", "B70f")
        for number, missing in ((1, ()), (2, (5,)))
        for image in ct(
            slices=6,
            name=f"{kernel}{number}",
            kernel=kernel,
            TemporalPositionIdentifier=number,
            missing=missing,
        )
    ]
    assert codes(volumes_of(tmp_path, phases)).count("SPL-006") == 2


PRIVATE_KEYS = {
    "philips_kev": (0x01F7, "ELSCINT1", 0xCB, "FD", [40.0, 70.0]),
    "canon_delay_ms": (0x7005, "TOSHIBA_MEC_CT3", 0x05, "DS", ["300", "600"]),
    "philips_gating_delay": (0x01F1, "ELSCINT1", 0x41, "LO", ["40.0%", "75.0%"]),
    "canon_percent_of_rr": (0x7005, "TOSHIBA_MEC_CT3", 0x04, "LO", ["40", "75"]),
}


@pytest.mark.parametrize("name", PRIVATE_KEYS)
def test_private_phases_and_energies_tell_volumes_apart(tmp_path: Path, name: str) -> None:
    group, creator, offset, vr, values = PRIVATE_KEYS[name]
    images = []
    for value in values:
        part = ct(slices=5, name=str(value))
        for image in part:
            image.private_block(group, creator, create=True).add_new(offset, vr, value)
        images += part
    series = volumes_of(tmp_path, images)
    assert [len(volume.frames) for volume in series.volumes] == [5, 5]
    assert [set(volume.split_key) for volume in series.volumes] == [{name}, {name}]


def test_respiratory_bins_in_comments_tell_volumes_apart(tmp_path: Path) -> None:
    images = [
        image
        for share in ("0.0%A", "50.0%A")
        for image in ct(slices=5, name=share, ImageComments=f"P4^P101^S300^I00003, Gated, {share}")
    ]
    series = volumes_of(tmp_path, images)
    assert [volume.split_key for volume in series.volumes] == [
        {"respiratory_bin": "0.0%A"},
        {"respiratory_bin": "50.0%A"},
    ]
    plain = volumes_of(tmp_path / "plain", ct(slices=5, ImageComments="gated to the table"))
    assert [len(volume.frames) for volume in plain.volumes] == [5]


def test_key_that_changes_from_slice_to_slice_splits_nothing(tmp_path: Path) -> None:
    series = volumes_of(
        tmp_path, data.mr_series(slices=10, rows=8, columns=8, EchoTime=lambda index: 10 + index)
    )
    assert [len(volume.frames) for volume in series.volumes] == [10]


def test_echoes_are_volumes(tmp_path: Path) -> None:
    echoes = [
        each
        for number, echo_time in enumerate(("4.92", "2.46"))
        for each in data.mr_series(
            slices=5, rows=8, columns=8, series_uid=SERIES, name=str(number), EchoTime=echo_time
        )
    ]
    series = volumes_of(tmp_path, echoes)
    assert [volume.split_key for volume in series.volumes] == [{"EchoTime": 2.46}, {"EchoTime": 4.92}]


def test_rounding_noise_of_spacing_does_not_split(tmp_path: Path) -> None:
    noisy = ct(slices=6, PixelSpacing=lambda index: [0.5 + 1e-6 * index, 0.5])
    assert len(volumes_of(tmp_path / "noise", noisy).volumes) == 1
    coarse = ct(slices=6, PixelSpacing=lambda index: [0.5 if index < 3 else 0.501, 0.5])
    assert len(volumes_of(tmp_path / "other", coarse).volumes) == 2


@pytest.mark.parametrize(
    ("group", "creator", "element"),
    [
        (0x0019, "SIEMENS MR HEADER", (0x0C, "IS", str)),
        (0x2001, "Philips Imaging DD 001", (0x03, "FL", float)),
        (0x0043, "GEMS_PARM_01", (0x39, "IS", lambda b: [str(b + 1_000_000_000), "8", "0", "0"])),
        (0x0065, "Image Private Header", (0x09, "FD", float)),
    ],
)
def test_private_b_values_are_hard_keys(tmp_path: Path, group, creator, element) -> None:
    offset, vr, of = element
    scans = []
    for b_value in (0, 800):
        scan = data.mr_series(slices=4, rows=8, columns=8, series_uid=SERIES, name=f"b{b_value}")
        for each in scan:
            each.private_block(group, creator, create=True).add_new(offset, vr, of(b_value))
        scans += scan
    series = volumes_of(tmp_path, scans)
    assert [volume.split_key for volume in series.volumes] == [
        {"DiffusionBValue": 0.0},
        {"DiffusionBValue": 800.0},
    ]


@pytest.mark.parametrize(("stated", "count"), [("HU", 1), ("US", 2)])
def test_an_absent_rescale_type_of_ct_is_hu(tmp_path: Path, stated: str, count: int) -> None:
    scan = data.ct_series(slices=10, rows=8, columns=8, series_uid=SERIES)
    for number, each in enumerate(scan):
        each.RescaleType = stated
        if number % 2:
            del each.RescaleType
    found = volumes_of(tmp_path, scan).volumes
    assert [len(volume.frames) for volume in found] == [10 // count] * count


def test_an_absent_rescale_type_at_the_positions_of_a_stated_one_is_another_volume(tmp_path: Path) -> None:
    stated = data.ct_series(slices=4, rows=8, columns=8, series_uid=SERIES, name="stated")
    absent = data.ct_series(slices=4, rows=8, columns=8, series_uid=SERIES, name="absent")
    for one, other in zip(stated, absent, strict=True):
        one.RescaleType = "HU"
        del other.RescaleType
    assert [len(each.frames) for each in volumes_of(tmp_path, stated + absent).volumes] == [4, 4]


def test_enhanced_diffusion_is_split_by_b_value(tmp_path: Path) -> None:
    image = data.enhanced_mr(slices=5, volumes=({"DiffusionBValue": 0.0}, {"DiffusionBValue": 1000.0}))
    series = volumes_of(tmp_path, [image])
    assert [volume.split_key["DiffusionBValue"] for volume in series.volumes] == [0.0, 1000.0]
    assert [frame.number for frame in series.volumes[1].frames] == [2, 4, 6, 8, 10]


def test_enhanced_and_classic_give_the_same_geometry(tmp_path: Path) -> None:
    options = {"slices": 8, "rows": 32, "columns": 32, "spacing": (1.0, 1.0), "step_mm": 2.0}
    classic = volumes_of(tmp_path / "classic", data.ct_series(**options)).volumes[0]
    enhanced = volumes_of(tmp_path / "enhanced", [data.enhanced_ct(**options, reversed_frames=True)]).volumes[
        0
    ]
    assert enhanced.geometry == classic.geometry
    assert [frame.number for frame in enhanced.frames] == [8, 7, 6, 5, 4, 3, 2, 1]


def test_parts_of_a_concatenation_are_joined(tmp_path: Path) -> None:
    parts = []
    for number, missing in enumerate(((4, 5, 6, 7), (0, 1, 2, 3))):
        part = data.enhanced_ct(
            slices=8, name=str(number), series_uid=SERIES, missing=missing, InConcatenationNumber=number + 1,
            ConcatenationUID="2.25.77", InConcatenationTotalNumber=2,
        )  # fmt: skip
        parts.append(part)
    series = volumes_of(tmp_path, parts)
    assert [len(volume.frames) for volume in series.volumes] == [8]
    assert codes(series) == ["SPL-009"]


def test_instances_without_pixels_are_in_no_volume(tmp_path: Path) -> None:
    images = ct(slices=4)
    del images[2].PixelData
    series = volumes_of(tmp_path, images)
    assert [len(volume.frames) for volume in series.volumes] == [3]


def test_number_of_frames_that_the_file_cannot_hold_leaves_the_instance_out(tmp_path: Path) -> None:
    series = volumes_of(tmp_path, ct(slices=4, NumberOfFrames=lambda index: 100_000 if index == 1 else None))
    assert [len(volume.frames) for volume in series.volumes] == [3]
    assert "ING-008" in codes(series)


def test_order_of_the_volumes_does_not_depend_on_the_order_of_the_files(tmp_path: Path) -> None:
    images = [*ct(kernel="B70f", slices=4), *ct(kernel="B30f", slices=4), data.localizer(series_uid=SERIES)]
    forward = volumes_of(tmp_path / "a", images)
    backward = volumes_of(tmp_path / "b", images[::-1])
    names = [[frame.instance.sop_instance_uid for frame in volume.frames] for volume in forward.volumes]
    assert names == [
        [frame.instance.sop_instance_uid for frame in volume.frames] for volume in backward.volumes
    ]


def test_three_hundred_slices_are_split_without_comparing_each_with_each(tmp_path: Path) -> None:
    images = data.ct_series(slices=300, rows=4, columns=4, transfer_syntax=ExplicitVRLittleEndian)
    series = series_of(tmp_path, images)
    started = time.process_time()
    split(series)
    assert time.process_time() - started < 3  # 0.1 s on a quiet core; the rest is for a busy machine


def test_private_creator_that_cannot_be_read_does_not_stop_the_split(tmp_path: Path) -> None:
    series = series_of(tmp_path, data.mr_series(slices=3, rows=4, columns=4))
    tag = BaseTag(0x00190010)
    for instance in series.instances:
        instance.header[tag] = RawDataElement(
            tag, "QQ", 4, b"what", 0, is_implicit_VR=False, is_little_endian=True
        )
    assert [len(volume.frames) for volume in split(series).volumes] == [3]


def test_dynamic_pet_is_split_by_time_slot(tmp_path: Path) -> None:
    slots = [
        each
        for slot in (0, 1)
        for each in data.mr_series(
            slices=4, rows=4, columns=4, series_uid=SERIES, name=str(slot), Modality="PT", EchoTime=None,
            SeriesType=["DYNAMIC", "IMAGE"], NumberOfSlices=4, ImageIndex=lambda index, slot=slot: 4 * slot + index + 1,
        )
    ]  # fmt: skip
    series = volumes_of(tmp_path, slots)
    assert [volume.split_key for volume in series.volumes] == [{"pet_slot": 0}, {"pet_slot": 1}]


def test_cardiac_phases_of_siemens_ct_are_volumes(tmp_path: Path) -> None:
    phases = [
        each
        for percent in (75, 35)
        for each in ct(slices=4, name=str(percent), ScanOptions=["ECG", f"TP{percent}PC0"])
    ]
    series = volumes_of(tmp_path, phases)
    assert [volume.split_key for volume in series.volumes] == [
        {"siemens_phase": ["35", "0"]},
        {"siemens_phase": ["75", "0"]},
    ]
