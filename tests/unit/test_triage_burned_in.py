"""What in the pixels identifies a person: text near a border, overlays in unused bits, a face."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from handlers.model import Severity
from handlers.triage import burned_in, burned_in_text, faces
from pictures import hand, head, write_text
from triage_cases import codes, only, series, volume

TOP = 4095


def text_in(*frames, modality="US", padding=None, **attributes):
    values = np.stack([np.asarray(each) for each in frames])
    made = volume(modality, slices=len(frames), values=values, padding=padding, **attributes)
    return burned_in_text.burned_in_text(series(made))


def written(text="SMITH", *, top=6, left=10, value=TOP, scale=2, ground=None):
    picture = (hand() if ground is None else ground).copy()
    write_text(picture, text, top=top, left=left, value=value, scale=scale)
    return picture


def test_text_near_a_border_is_found_where_it_stands():
    finding = only(text_in(written(), BurnedInAnnotation="NO"))
    assert (finding.code, finding.severity) == ("DEI-BIA-002", Severity.WARN)
    assert finding.evidence["glyphs"] == 5
    assert finding.evidence["rows"] == [6, 20]  # 7 raster rows of 2 pixels
    assert finding.evidence["BurnedInAnnotation"] == "NO"  # which is no proof


@pytest.mark.parametrize(
    "place", [{"top": 6, "left": 100}, {"top": 215}, {"top": 120, "left": 2, "text": "IT", "scale": 1}]
)
def test_text_is_found_at_each_border_if_it_has_three_letters(place):
    # the last: two letters only, of which the eye makes a word and the rule does not
    expected = [] if place.get("text") == "IT" else ["DEI-BIA-002"]
    assert codes(text_in(written(**place))) == expected


@pytest.mark.parametrize(
    "place",
    [
        {"top": 110, "left": 60},  # in the middle of the picture
        {"value": 3900},  # below the top of the range, where a 4095 is somewhere
        {"scale": 6, "text": "SMI"},  # 42 pixels high: a headline, or anatomy
    ],
)
def test_what_is_not_written_like_annotation_is_no_text(place):
    picture = written(**place)
    picture[120, 90] = TOP
    assert text_in(picture) == []


def test_text_that_stands_in_all_frames_is_found_and_one_frame_alone_is_none():
    frames = [written(ground=hand() + shift) for shift in range(20)]
    assert codes(text_in(*frames)) == ["DEI-BIA-002"]
    plain = [hand() + shift for shift in range(20)]
    assert text_in(written(), *plain[1:]) == []


def test_nine_of_ten_frames_are_enough():
    frames = [hand()] + [written()] * 10  # as after a first frame without text
    assert codes(text_in(*frames)) == ["DEI-BIA-002"]
    assert text_in(*([hand()] * 3), *([written()] * 8)) == []


def test_the_marks_of_a_ruler_are_no_text():
    ruler = hand()
    for column in range(10, 170, 12):
        ruler[4:12, column : column + 2] = TOP
    assert text_in(ruler) == []


def test_noise_bright_air_and_anatomy_at_the_border_are_no_text():
    noise = np.where(np.random.default_rng(2).random((240, 180)) < 0.02, TOP, hand())
    assert text_in(noise) == []
    assert text_in(TOP - hand()) == []
    bone = hand()
    bone[:60, 0:20] = TOP
    assert text_in(bone) == []


def test_padding_is_no_text():
    picture = written()
    assert text_in(picture, padding=(picture == TOP)[None]) == []


@pytest.mark.parametrize("values", [np.zeros((1, 64, 64)), None])
def test_an_empty_picture_has_no_text(values):
    made = volume("US", slices=1, values=values)
    assert burned_in_text.burned_in_text(series(made)) == []


@pytest.mark.parametrize("elements", [{0x0102: 12}, {0x0100: 16}])
def test_overlays_in_unused_bits_are_noted(elements):
    drawn = volume("CT", slices=2)
    for element, value in elements.items():
        drawn.frames[0].instance.header.add_new(0x60000000 | element, "US", value)
    finding = only(burned_in.overlay_planes(series(drawn)))
    assert (finding.code, finding.severity) == ("DEI-BIA-003", Severity.INFO)
    assert finding.evidence["in_unused_bits"] == 1


def test_an_overlay_that_is_described_but_not_there_is_not_noted():
    empty = volume("CT", slices=1)
    empty.frames[0].instance.header.add_new(0x60000100, "US", 1)
    empty.frames[0].instance.header.add_new(0x60000102, "US", 0)
    empty.frames[0].instance.header.add_new(0x60020102, "US", None)
    assert burned_in.overlay_planes(series(empty)) == []


def leaving(made, **options):
    return burned_in.ClearedToLeave(**{"is_wanted": True, **options})(series(made))


@pytest.mark.parametrize("value", [None, "", "YES", "MAYBE"])
def test_what_leaves_must_say_that_it_carries_no_text(value):
    finding = only(leaving(volume("CT", slices=3, BurnedInAnnotation=lambda k: value if k == 1 else "NO")))
    assert (finding.code, finding.severity) == ("DEI-BIA-004", Severity.REVIEW)
    assert finding.evidence["without_statement"] == 1


@pytest.mark.parametrize(
    ("modality", "attributes", "kind"),
    [
        ("US", {}, "ultrasound"),
        ("XA", {}, "XA"),
        ("CR", {"ConversionType": "DF"}, "digitized film"),
        ("CT", {"sop_class": "1.2.840.10008.5.1.4.1.1.7"}, "secondary capture"),
    ],
)
def test_kinds_that_often_carry_text_do_not_leave_on_their_word(modality, attributes, kind):
    made = volume(modality, slices=1, BurnedInAnnotation="NO", **attributes)
    assert only(leaving(made)).evidence["kinds"] == [kind]


def test_what_says_no_leaves_and_so_does_ultrasound_that_is_cropped():
    assert leaving(volume("CT", BurnedInAnnotation="NO")) == []
    assert leaving(volume("DX", slices=1, BurnedInAnnotation="NO")) == []
    assert leaving(volume("US", slices=1), crops_ultrasound=True) == []
    assert codes(leaving(volume("CT", slices=1), crops_ultrasound=True)) == ["DEI-BIA-004"]


def test_images_that_stay_need_no_statement():
    assert leaving(volume("CT"), is_wanted=False) == []


# -- faces ---------------------------------------------------------------------------------------


def head_scan(values=None, modality="CT", *, spacing_mm=2.0, **attributes):
    values = head(spacing_mm=spacing_mm) if values is None else values
    plain = {
        "BodyPartExamined": "HEAD",
        "PixelSpacing": [spacing_mm, spacing_mm],
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
    }
    made = volume(
        modality, slices=len(values), step=(0, 0, spacing_mm), values=values, **{**plain, **attributes}
    )  # fmt: skip
    return faces.recognisable_face(series(made))


@pytest.mark.parametrize("modality", ["CT", "MR"])
def test_a_fine_head_with_a_face_is_marked(modality):
    values = head() if modality == "CT" else head(inside=400, outside=3)
    finding = only(head_scan(values, modality))
    assert (finding.code, finding.severity) == ("DEI-FACE-001", Severity.WARN)
    assert finding.evidence["nose_height_mm"] == pytest.approx(36, abs=4)
    # half axes 75 and 110 mm: the front half of an ellipsoid is 150 wide; 60 mm of it over most of its height
    assert finding.evidence["surface_width_mm"] == pytest.approx(150, abs=6)
    assert finding.evidence["surface_height_mm"] > 150


TURNS = {
    # how the array lies: values from the standing head, IOP, step from slice to slice
    "sagittal": (lambda v: v[::-1].transpose(2, 0, 1), [0, 1, 0, 0, 0, -1], (1, 0, 0)),
    "coronal": (lambda v: v[::-1].transpose(1, 0, 2), [1, 0, 0, 0, 0, -1], (0, 1, 0)),
    "from the head down, turned about": (lambda v: v[:, ::-1, ::-1], [-1, 0, 0, 0, -1, 0], (0, 0, 1)),
}


@pytest.mark.parametrize("name", TURNS)
def test_the_face_is_found_however_the_array_lies(name):
    turn, orientation, direction = TURNS[name]
    values = turn(head())
    made = volume(
        "MR", slices=len(values), step=tuple(2.0 * each for each in direction), values=values + 1100,
        BodyPartExamined="BRAIN", PixelSpacing=[2.0, 2.0], ImageOrientationPatient=orientation,
    )  # fmt: skip
    finding = only(faces.recognisable_face(series(made)))
    assert finding.evidence["nose_height_mm"] == pytest.approx(36, abs=4)


def test_a_removed_face_is_no_finding():
    defaced = head()
    defaced[:, :60, :] = defaced[0, 0, 0]  # all in front of the middle of the head is air
    cut = head()[:, 40:, :]  # the front does not lie in the field of view
    blanked = np.full_like(head(), -1000)
    for values in (cut, blanked):
        assert head_scan(values) == []
    # a cut surface still is a surface: only the statement that it was removed settles it
    assert codes(head_scan(defaced)) == ["DEI-FACE-001"]
    assert head_scan(defaced, RecognizableVisualFeatures="NO") == []


def test_no_is_believed_only_when_no_nose_shows():
    assert codes(head_scan(RecognizableVisualFeatures="NO")) == ["DEI-FACE-001"]
    assert head_scan(head(nose=False), RecognizableVisualFeatures="NO") == []
    assert codes(head_scan(head(nose=False))) == ["DEI-FACE-001"]


def test_yes_is_believed():
    assert codes(head_scan(head()[:, 40:, :], RecognizableVisualFeatures="YES")) == ["DEI-FACE-001"]


def test_thick_slices_show_no_face():
    assert head_scan(head(spacing_mm=2.5), spacing_mm=2.5) == []


def test_other_parts_of_the_body_have_none():
    assert head_scan(BodyPartExamined="CHEST") == []


def test_where_no_text_names_the_part_a_nose_tells_a_head():
    assert codes(head_scan(BodyPartExamined=None)) == ["DEI-FACE-001"]
    assert head_scan(head(nose=False), BodyPartExamined=None) == []


def test_noise_in_the_air_hides_no_face_and_makes_none():
    rng = np.random.default_rng(4)
    for nose, expected in ((True, 36), (False, 0)):
        values = head(inside=400, outside=0, nose=nose)
        noisy = np.hypot(values + rng.normal(0, 15, values.shape), rng.normal(0, 15, values.shape))
        finding = only(head_scan(noisy, "MR"))
        assert finding.evidence["nose_height_mm"] == pytest.approx(expected, abs=6)


@pytest.mark.parametrize("texts", [{"SeriesDescription": "t1_mprage_sag"}, {"ProtocolName": "Schädel nativ"}])
def test_a_head_is_known_by_its_descriptions_too(texts):
    assert codes(head_scan(BodyPartExamined=None, **texts)) == ["DEI-FACE-001"]


def test_a_picture_without_place_or_values_is_not_judged():
    assert head_scan(np.zeros((1, 64, 64))) == []
    bare = volume("CT", slices=4, step=(0, 0, 1), BodyPartExamined="HEAD")
    assert faces.recognisable_face(series(replace(bare, values=None))) == []
