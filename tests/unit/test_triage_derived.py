"""Reformats, projections, maps: computed images are told from acquired ones."""

from __future__ import annotations

import pytest

from handlers.model import Severity
from handlers.triage import derived
from triage_cases import codes, header, multi_frame, only, series, volume


def test_derived_ct_is_marked():
    finding = only(derived.derived(series(volume("CT", ImageType=["DERIVED", "PRIMARY", "AXIAL"]))))
    assert (finding.code, finding.severity) == ("TRI-DER-001", Severity.WARN)


def test_a_projection_named_by_the_second_source_of_a_frame_is_one():
    items = tuple(
        header({"DerivationCodeSequence": [header({"CodeValue": each})]}) for each in ("113085", "113079")
    )
    frames = multi_frame(volume("CT"), DerivationImageSequence=items)
    finding = only(derived.projected(series(frames)))
    assert (finding.severity, finding.evidence["DerivationCodeSequence"]) == (Severity.ERROR, ["113079"])


def test_padded_derived_of_old_writers_is_recognized():
    assert codes(derived.derived(series(volume("CT", ImageType=["DERIVED ", "PRIMARY"])))) == ["TRI-DER-001"]


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {
            "ImageType": ["DERIVED", "PRIMARY", "AXIAL"],
            "DerivationCodeSequence": [header({"CodeValue": "113085", "CodingSchemeDesignator": "DCM"})],
        },
        {"ImageType": None},
    ],
    ids=["original", "only resampled and axial", "no ImageType"],
)
def test_original_and_merely_resampled_images_are_not_marked(attributes):
    assert derived.derived(series(volume("CT", **attributes))) == []


def test_derived_is_the_normal_state_of_a_radiograph():
    assert (
        derived.derived(
            series(
                volume(
                    "CR", slices=1, sop_class="1.2.840.10008.5.1.4.1.1.1", ImageType=["DERIVED", "PRIMARY"]
                )
            )
        )
        == []
    )


@pytest.mark.parametrize(
    "attributes",
    [
        {"ImageType": ["DERIVED", "SECONDARY", "MPR"]},
        {"ImageType": ["DERIVED", "PRIMARY", "AXIAL", "CT_SOM5 MPR"]},
        {"ImageType": ["DERIVED", "SECONDARY", "REFORMATTED"]},
        {"ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"], "SeriesDescription": "COR MPR 2mm"},
        {"SeriesDescription": "Coronal Reformat"},
    ],
)
def test_reformats_are_held(attributes):
    finding = only(derived.reformatted(series(volume("CT", **attributes))))
    assert (finding.code, finding.severity) == ("TRI-DER-002", Severity.REVIEW)


@pytest.mark.parametrize("words", ["t1_mpr_sag_p2_iso", "T1 MPRAGE", "t1_mprage_tra"])
def test_the_mprage_of_mr_is_no_reformat(words):
    assert derived.reformatted(series(volume("MR", SeriesDescription=words))) == []


def test_sampled_frames_of_enhanced_images_are_reformats():
    assert codes(derived.reformatted(series(multi_frame(volume("MR"), VolumetricProperties="SAMPLED")))) == [
        "TRI-DER-002"
    ]


def test_curved_reformats_are_told_by_their_technique():
    curved = multi_frame(volume("CT"), VolumeBasedCalculationTechnique="CURVED_MPR")
    assert codes(derived.reformatted(series(curved))) == ["TRI-DER-002"]
    assert derived.projected(series(curved)) == []


@pytest.mark.parametrize(
    "functional",
    [
        {"VolumetricProperties": "VOLUME", "VolumeBasedCalculationTechnique": "NONE"},
        {"VolumetricProperties": "DISTORTED"},  # Siemens MR: original images without distortion correction
    ],
)
def test_acquired_enhanced_frames_are_no_reformats(functional):
    assert derived.reformatted(series(multi_frame(volume("MR"), **functional))) == []


@pytest.mark.parametrize(
    "attributes",
    [
        {"ImageType": ["DERIVED", "PRIMARY", "PROJECTION IMAGE"]},
        {"ImageType": ["DERIVED", "SECONDARY", "AXIAL", "AVERAGE"]},
        {"ImageType": ["DERIVED", "PRIMARY", "MIN_IP"]},
        {"VolumeBasedCalculationTechnique": "MAX_IP"},
        {"SeriesDescription": "THICK MIP 10mm"},
        {"DerivationCodeSequence": [header({"CodeValue": "113078", "CodingSchemeDesignator": "DCM"})]},
    ],
)
def test_projections_and_averages_of_ct_are_refused(attributes):
    finding = only(derived.projected(series(volume("CT", **attributes))))
    assert (finding.code, finding.severity) == ("TRI-DER-003", Severity.ERROR)


def test_projections_in_other_modalities_are_marked():
    mammogram = volume(
        "MG", slices=1, sop_class="1.2.840.10008.5.1.4.1.1.1.2", ImageType=["DERIVED", "PRIMARY", "MEAN"]
    )
    assert only(derived.projected(series(mammogram))).severity is Severity.WARN


@pytest.mark.parametrize("words", ["", "SHRIMP", "Abdomen mean dose", "MIPROTOCOL"])
def test_acquired_images_are_no_projections(words):
    assert derived.projected(series(volume("CT", SeriesDescription=words))) == []


@pytest.mark.parametrize(
    ("modality", "attributes"),
    [
        ("CT", {"ImageType": ["DERIVED", "PRIMARY", "PERFUSION", "RCBF"]}),
        ("CT", {"ImageType": ["DERIVED", "SECONDARY", "SUBTRACTION"]}),
        ("MR", {"ImageType": ["DERIVED", "PRIMARY", "DIFFUSION", "ADC"]}),
        ("MR", {"ImageType": ["DERIVED", "PRIMARY", "DIFFUSION", "TRACEW"]}),
        ("CT", {"SeriesDescription": "Monoenergetic Plus 55 keV"}),
        ("CT", {"SeriesDescription": "Mono+ 40"}),
        ("CT", {"SeriesDescription": "Iodine map"}),
        ("CT", {"VolumeBasedCalculationTechnique": "VOLUME_RENDER"}),
    ],
)
def test_maps_are_marked(modality, attributes):
    finding = only(derived.computed_map(series(volume(modality, **attributes))))
    assert (finding.code, finding.severity) == ("TRI-DER-004", Severity.WARN)


@pytest.mark.parametrize(
    ("modality", "kind"),
    [
        ("MR", ["ORIGINAL", "PRIMARY", "DIFFUSION", "NONE"]),
        ("MR", ["ORIGINAL", "PRIMARY", "PERFUSION", "NONE"]),
        ("CT", ["ORIGINAL", "PRIMARY", "AXIAL"]),
    ],
)
def test_raw_diffusion_and_perfusion_are_no_maps(modality, kind):
    assert derived.computed_map(series(volume(modality, ImageType=kind))) == []


@pytest.mark.parametrize("words", ["Monophasic abdomen", "Monoplane", "Abdomen monofasico"])
def test_one_phase_is_no_monochromatic_image(words):
    assert derived.computed_map(series(volume("CT", SeriesDescription=words))) == []


@pytest.mark.parametrize(("slices", "expected"), [(9, ["TRI-DER-006"]), (10, [])])
def test_fewer_than_ten_slices_are_marked(slices, expected):
    assert codes(derived.few_slices(series(volume("CT", slices=slices)))) == expected


def test_localizers_and_radiographs_are_not_counted():
    localizer = volume("CT", slices=1, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    assert (
        derived.few_slices(
            series(localizer, volume("DX", index=1, slices=1, sop_class="1.2.840.10008.5.1.4.1.1.1.1"))
        )
        == []
    )
