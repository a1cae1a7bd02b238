"""Small rules at their limits: frame counts, extents of phases, breathing, objects, subjects, indices."""

from __future__ import annotations

from dataclasses import replace

import pytest

from handlers.model import Frame, Scope, Severity
from handlers.triage import (
    derived,
    differing_duplicates,
    dimension_index,
    frame_count,
    header,
    modality,
    object_kind,
    patient_position,
    phase_extent,
    respiratory_bins,
    respiratory_gating,
    respiratory_sources,
    respiratory_text,
    sop_classes,
    subject,
    ultrasound,
)
from handlers.triage.sop_classes import Kind
from triage_cases import codes, instance, multi_frame, only, series, sibling, volume
from triage_cases import header as data_set

# ---- frames and concatenations


@pytest.mark.parametrize(
    ("stated", "groups", "expected"),
    [
        (None, 0, []), (None, 1, []), (None, 2, ["ING-008"]), (3, 3, []), (3, 2, ["ING-008"]), (1, 0, []), (0, 0, ["ING-008"]),
    ],
)  # fmt: skip
def test_the_number_of_frames_is_that_of_their_groups(stated, groups, expected):
    items = [data_set({}) for _ in range(groups)] or None
    one = instance(NumberOfFrames=stated, PerFrameFunctionalGroupsSequence=items)
    found = frame_count.inconsistent_frames(series(loose=(one,)))
    assert codes(found) == expected
    assert all((each.severity, each.scope) == (Severity.REVIEW, Scope.INSTANCE) for each in found)


@pytest.mark.parametrize(
    ("parts", "total", "expected"),
    [
        ((1, 2), 2, None),
        ((1,), 2, (1, 2)),
        ((1, 3), None, (2, 3)),
        ((None,), None, None),
        ((1, 2, 3), None, None),
        ((2,), 1, None),
    ],
)
def test_all_parts_of_a_concatenation_are_there(parts, total, expected):
    made = [
        instance(name=k, ConcatenationUID="1.2", InConcatenationNumber=each, InConcatenationTotalNumber=total)
        for k, each in enumerate(parts)
    ]
    found = frame_count.incomplete_concatenation(series(loose=(instance(name="other"), *made)))
    told = [(each.evidence["parts"], each.evidence["expected"]) for each in found]
    assert told == ([] if expected is None else [expected])
    assert all((each.code, each.severity) == ("ING-008", Severity.REVIEW) for each in found)


def test_one_part_that_knows_the_total_is_enough():
    made = [
        instance(
            name=k,
            ConcatenationUID="1.2",
            InConcatenationNumber=k,
            InConcatenationTotalNumber=3 if k == 1 else None,
        )
        for k in (1, 2)
    ]
    assert only(frame_count.incomplete_concatenation(series(loose=tuple(made)))).evidence["expected"] == 3


# ---- extents of phases


def stack(index=0, **geometry):
    made = volume("CT", index=index)
    return replace(made, geometry=replace(made.geometry, **geometry))


def test_an_extent_goes_from_the_first_to_the_last_position_along_the_normal():
    made = stack(origin=(5.0, 6.0, 7.0), gaps_mm=(2.0, 0.001, 0.0, 2.5), missing=((1, 2), (3, 1)))
    found = phase_extent.extent(made)
    assert (found.slices, found.start_mm, found.end_mm, found.missing) == (4, 7.0, pytest.approx(11.501), 3)
    assert phase_extent.extent(replace(made, geometry=None)) is None


@pytest.mark.parametrize(
    ("second", "is_unequal"),
    [
        ({}, False),
        ({"origin": (0.0, 0.0, 1.0)}, False),  # half a slice of 2 mm
        ({"origin": (0.0, 0.0, 1.01)}, True),
        ({"missing": ((3, 1),)}, True),
        ({"gaps_mm": (2.0,) * 17 + (2.0, 0.0)}, True),  # one position less
        ({"gaps_mm": (4.0,) + (2.0,) * 17}, True),  # one position less, with the same ends
        ({"normal": (0.004, 0.0, 1.0)}, False),  # the same to two digits
        ({"normal": (0.004, 0.0, 1.0), "origin": (0.0, 0.0, 1.01)}, True),
    ],
)
def test_phases_of_one_scan_cover_the_same(second, is_unequal):
    found = phase_extent.unequal([stack(), stack(1, **second)])
    assert bool(found) is is_unequal


def test_other_reconstructions_are_not_compared():
    sharp = volume("CT", index=1, slices=10, ConvolutionKernel="B70f")
    assert phase_extent.unequal([volume("CT"), sharp]) == []
    first = volume("CT", index=1, slices=10, SliceThickness=lambda k: 1 if k == 0 else 2)
    assert phase_extent.unequal([volume("CT"), first]) == []


@pytest.mark.parametrize(
    ("slices", "why"),
    [(2, "only 2 slices"), (3, "3 of 20 slices"), (18, "18 of 20 slices"), (19, None), (20, None)],
)
def test_one_slice_less_is_still_complete(slices, why):
    found = phase_extent.incomplete([volume("CT"), volume("CT", index=1, slices=slices)])
    assert found == ({"v1": why} if why else {})


# ---- breathing


@pytest.mark.parametrize(
    ("delay_ms", "interval_ms", "percent"),
    [
        (500, 1000, 50.0), (500, 999, None), (5000, 20000, 25.0), (5000, 20001, None), (1234, 3000, 41.1), (0, 3000, 0.0),
        (3000, 3000, 0.0), (3001, 3000, None), (-1, 3000, None), (None, 3000, None),
    ],
)  # fmt: skip
def test_a_delay_is_a_share_of_the_breath(delay_ms, interval_ms, percent):
    assert respiratory_sources._share(delay_ms, interval_ms) == percent


@pytest.mark.parametrize(
    ("percent", "expected"),
    [(100, 0.0), (99.96, 0.0), (99.94, 99.9), (33.33, 33.3), (100.1, None), (0.4, 0.4)],
)
def test_a_breath_is_a_circle(percent, expected):
    assert respiratory_sources._cycle(percent) == expected


def test_a_volume_without_breathing_hides_no_other():
    breathing = volume("CT", index=1, SeriesDescription="T=60%")
    found = [
        each
        for each in respiratory_gating.respiratory_phase(series(volume("CT"), breathing))
        if each.code == "RSP-001"
    ]
    assert [(each.target, each.severity) for each in found] == [("v1", Severity.INFO)]


@pytest.mark.parametrize(("bins", "is_combined"), [((), False), ((0,), False), ((0, 50), True)])
def test_an_average_beside_two_bins_is_one_over_them(bins, is_combined):
    study = [
        sibling(SeriesDescription=f"T={each}%", Modality="CT", FrameOfReferenceUID="1.2.3") for each in bins
    ]
    made = volume("CT", SeriesDescription="Average")
    found = respiratory_gating.combined_breathing(series(made, study=tuple(study)))
    assert codes(found) == (["RSP-002", "TRI-DER-003"] if is_combined else [])


@pytest.mark.parametrize(
    ("words", "told"),
    [("100% In", (100.0, "IN")), ("101% In", (None, "")), ("T=99%", (99.0, "")), ("T=101%", (None, ""))],
)
def test_a_bin_in_words_lies_in_the_breath(words, told):
    found = respiratory_text.read(words)
    assert (found.percent, found.half) == told


def test_the_flag_of_ge_for_gating_is_recorded():
    made = volume("CT", slices=1, SeriesDescription="T=50%")
    made.frames[0].instance.header.private_block(0x0053, "GEHC_CT_ADVAPP_001", create=True).add_new(
        0x62, "IS", 1
    )
    assert respiratory_sources.fact(made)["ge_flag"] == "1"


DEPTHS = ("0% Ex", "20% In", "40% In", "60% In", "80% In", "100% In", "80% Ex", "60% Ex", "40% Ex", "20% Ex")


@pytest.mark.parametrize(("lost", "name"), [("0% Ex", "0 %"), ("100% In", "100 %"), ("80% In", "80 % IN")])
def test_the_depth_that_is_missing_is_named(lost, name):
    made = [
        volume("CT", index=k, SeriesDescription=each)
        for k, each in enumerate(each for each in DEPTHS if each != lost)
    ]
    assert only(respiratory_bins.incomplete_bins(series(*made))).evidence["missing"] == [name]


@pytest.mark.parametrize(("percent", "missing"), [(11, 7), (9, 7), (12, 0), (8, 0)])
def test_a_bin_may_be_a_whole_percent_off(percent, missing):
    # 20 and 30 % are bins of ten only
    made = [volume("CT", index=k, SeriesDescription=f"T={each}%") for k, each in enumerate((20, 30, percent))]
    assert len(only(respiratory_bins.incomplete_bins(series(*made))).evidence["missing"]) == missing


# ---- objects


@pytest.mark.parametrize(
    ("uid", "kind"),
    [
        ("1.2.840.10008.5.1.4.1.1.2", Kind.IMAGE), ("1.2.840.10008.5.1.4.1.1.7", Kind.SECONDARY_CAPTURE),
        ("1.2.840.10008.5.1.4.1.1.999", Kind.UNKNOWN), ("1.3.46.670589", Kind.UNKNOWN),
    ],
)  # fmt: skip
def test_a_class_of_the_standard_is_known(uid, kind):
    assert sop_classes.kind(uid) is kind


@pytest.mark.parametrize(
    ("statements", "is_told"), [((None, "YES"), True), (("YES", "NO"), True), (("NO", None), False)]
)
def test_one_image_that_says_it_is_of_quality_control_is_enough(statements, is_told):
    made = [instance(name=k, QualityControlImage=each) for k, each in enumerate(statements)]
    found = subject.phantom(series(loose=tuple(made)))
    assert bool(found) is is_told


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3}, "stored as RGB"),
        (
            {"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3, "UltrasoundColorDataPresent": 1},
            "colour data",
        ),
    ],
)
def test_colour_in_ultrasound_says_why(attributes, words):
    grey = volume("US", slices=1, PhotometricInterpretation="MONOCHROME2")
    found = ultrasound.colour_ultrasound(series(grey, volume("US", index=1, slices=1, **attributes)))
    assert [each.target for each in found] == ["v1"]
    assert words in found[0].message


def test_attributes_of_a_frame_are_read_from_its_own_groups():
    plain = volume("CT", slices=3)
    assert len(list(header.different(plain.frames))) == 3
    one = plain.frames[0].instance
    shared = tuple(Frame(one, k + 1) for k in range(3))
    assert len(list(header.different(shared))) == 1  # nothing of the frame's own
    own = multi_frame(replace(plain, frames=shared), TriggerTime=float)
    assert len(list(header.different(own.frames))) == 3
    mixed = (shared[0], shared[1], own.frames[2], plain.frames[1])
    assert len(list(header.different(mixed))) == 3


SEGMENTATION, CAPTURE, DIRECTORY = (
    "1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.7", "1.2.840.10008.1.3.10",
)  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "attributes", "code", "severity"),
    [
        (object_kind.secondary_capture, {"sop_class": CAPTURE}, "TRI-SC-001", Severity.ERROR),
        (object_kind.not_an_image, {"sop_class": SEGMENTATION}, "TRI-OBJ-001", Severity.ERROR),
        (object_kind.modality_against_class, {"Modality": "MR"}, "TRI-OBJ-002", Severity.REVIEW),
        (object_kind.no_pixels, {"options": {"pixel_keyword": ""}}, "TRI-OBJ-003", Severity.ERROR),
        (object_kind.colour, {"PhotometricInterpretation": "RGB"}, "TRI-OBJ-004", Severity.REVIEW),
        (derived.few_slices, {"slices": 9}, "TRI-DER-006", Severity.WARN),
        (derived.derived, {"ImageType": ["DERIVED", "PRIMARY", "AXIAL"]}, "TRI-DER-001", Severity.WARN),
        (patient_position.patient_position, {"PatientPosition": lambda k: "HFS" if k else "HFP"}, "GEO-016", Severity.REVIEW),
    ],
)  # fmt: skip
def test_a_volume_that_is_as_it_should_be_hides_no_other(rule, attributes, code, severity):
    found = only(rule(series(volume("CT"), volume("CT", index=1, **attributes))))
    assert (found.code, found.severity, found.target) == (code, severity, "v1")


def test_a_coloured_volume_beside_one_whose_colour_is_no_fault_is_told():
    colour = {"PhotometricInterpretation": "RGB"}
    made = series(volume("US", slices=1, **colour), volume("CT", index=1, **colour))
    assert only(object_kind.colour(made)).target == "v1"


def test_the_first_coloured_image_is_quoted():
    made = volume("CT", PhotometricInterpretation=lambda k: ("MONOCHROME2", "YBR_FULL", "RGB")[min(k, 2)])
    assert only(object_kind.colour(series(made))).evidence["PhotometricInterpretation"] == "YBR_FULL"


def test_different_images_at_one_position_are_found_in_every_volume():
    import numpy as np

    plain = volume("CT", slices=4, values=np.zeros((4, 2, 2)))
    doubled = volume(
        "CT", index=1, positions=[(0.0, 0.0, z) for z in (0.0, 2.0, 2.0, 4.0)], values=np.zeros((4, 2, 2))
    )
    assert only(differing_duplicates.differing_duplicates(series(plain, doubled))).target == "v1"


@pytest.mark.parametrize(
    ("types", "is_derived"),
    [
        (["DERIVED", "PRIMARY"], True), (["derived", "PRIMARY"], True), (["ORIGINAL", "DERIVED"], False),
        (["ORIGINAL", "PRIMARY", "DERIVED"], False),
    ],
)  # fmt: skip
def test_the_first_value_of_the_image_type_says_what_is_derived(types, is_derived):
    first = volume("CT", ImageType=lambda k: types if k == 0 else ["ORIGINAL", "PRIMARY"])
    assert bool(derived.derived(series(first))) is is_derived


@pytest.mark.parametrize(
    ("types", "is_map"),
    [(["DERIVED", "PRIMARY", "PERFUSION"], True), (["ORIGINAL", "PRIMARY", "PERFUSION"], False)],
)
def test_perfusion_is_a_map_when_it_was_derived(types, is_map):
    assert bool(derived.computed_map(series(volume("MR", ImageType=types)))) is is_map


@pytest.mark.parametrize(
    ("types", "expected"),
    [(["ORIGINAL", "PRIMARY"], [("MOD-003", Severity.WARN)]), (["DERIVED", "ORIGINAL"], [])],
)
def test_an_original_ct_image_without_any_sign_of_x_rays_is_told(types, expected):
    bare = volume("CT", ImageType=types, **dict.fromkeys(modality.XRAY_ATTRIBUTES))
    assert [
        (each.code, each.severity) for each in modality.attributes_against_modality(series(bare))
    ] == expected


# ---- the dimension index


def indexed(indices, *, places=None, pointer=0x00209057, concatenation=None, **attributes):
    """One object whose frames have these indices, 2 mm apart."""
    places = places or [2.0 * k for k in range(len(indices))]
    made = volume("CT", positions=[(0.0, 0.0, z) for z in places])
    header_ = {
        "DimensionIndexSequence": [data_set({"DimensionIndexPointer": pointer})],
        "ConcatenationUID": concatenation,
    }
    one = instance(name="enhanced", **header_, **attributes)
    frames = tuple(
        Frame(
            one,
            k + 1,
            {
                "DimensionIndexValues": [value],
                "ImagePositionPatient": [0.0, 0.0, z],
                "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
            },
        )
        for k, (value, z) in enumerate(zip(indices, places, strict=True))
    )
    return replace(made, frames=frames)


@pytest.mark.parametrize("pointer", [0x00209057, 0x00200032])
@pytest.mark.parametrize(
    ("indices", "is_told"),
    [((1, 2, 3, 4), False), ((4, 3, 2, 1), False), ((1, 3, 2, 4), True), ((2, 1), False), ((1, 3, 2), True)],
)
def test_the_index_counts_in_the_order_of_positions(pointer, indices, is_told):
    found = dimension_index.dimension_index(series(indexed(indices, pointer=pointer)))
    assert codes(found) == (["GEO-021"] if is_told else [])


def test_an_index_of_something_else_counts_no_places():
    assert dimension_index.dimension_index(series(indexed((1, 3, 2), pointer=0x00209128))) == []


def test_frames_at_one_place_may_have_any_index():
    near = [0.0, 0.0, 2.0, 2.0005, 4.0]
    assert dimension_index.dimension_index(series(indexed((1, 2, 4, 3, 5), places=near))) == []


def test_parts_of_a_concatenation_are_counted_together():
    whole = indexed((1, 3, 2, 4), concatenation="1.2.7")
    found = only(dimension_index.dimension_index(series(whole)))
    assert found.evidence["object"] == "1.2.7"
    alone = only(dimension_index.dimension_index(series(indexed((1, 3, 2, 4)))))
    assert alone.evidence["object"] == instance(name="enhanced").sop_instance_uid


def test_twenty_indices_are_quoted_and_a_volume_without_a_place_is_passed_over():
    many = indexed([*range(1, 30), 31, 30])
    nowhere = replace(indexed((1, 3, 2)), index=1, geometry=None)
    found = only(dimension_index.dimension_index(series(nowhere, many)))
    assert found.evidence["indices"] == list(range(1, 21))
