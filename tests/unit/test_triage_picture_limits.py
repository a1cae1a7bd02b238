"""Rules on pictures exactly at their limits: polarity of the border, the reduced picture, screens, bolus tracking."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from handlers.model import Severity
from handlers.triage import bolus_tracking, border_polarity, burned_in, screens
from handlers.triage.reduced_picture import reduced_picture
from triage_cases import codes, only, series, volume

DX = "1.2.840.10008.5.1.4.1.1.1.1"


def image(values=None, modality="DX", index=0, **attributes):
    values = None if values is None else np.asarray(values)[None]
    return volume(
        modality, index=index, slices=1, sop_class=DX, values=values, PixelSpacing=None, **attributes
    )


# ---- the border against the centre; pictures are drawn between 0 and 1


ROWS, COLUMNS = 100, 158  # the border is 4 pixels wide and has 2000 pixels; the central half is 50 x 80
BRIGHT, GREY, DARK = 0.85, 0.84, 0.6  # as bright, and as dark, as it has to be; and neither


@pytest.fixture
def seen(monkeypatch):
    """The findings on pictures that are taken as they are."""

    def look(*pictures, modality="DX"):
        waiting = iter(pictures)
        monkeypatch.setattr(border_polarity, "reduced_picture", lambda _: next(waiting))
        return border_polarity.border_polarity(
            series(*(image(modality=modality, index=k) for k in range(len(pictures))))
        )

    return look


def picture(*, n_bright=2000, n_dark=2000, dark=DARK):
    """A bright picture with a dark wedge in its centre, of so many pixels, and a border that is bright in part."""
    made = np.full((ROWS, COLUMNS), BRIGHT)
    rows, columns = np.indices((50, 80))
    wedge = np.argsort(rows * 80 + columns * 50, axis=None, kind="stable")[:n_dark]
    centre = made[25:75, 39:119].copy()
    centre.flat[wedge] = dark
    made[25:75, 39:119] = centre
    ring = np.ones(made.shape, np.bool_)
    ring[4:-4, 4:-4] = False
    made[tuple(each[n_bright:] for each in np.nonzero(ring))] = GREY
    return made


@pytest.mark.parametrize(
    ("modality", "n_bright", "expected"),
    [("DX", 1200, ["POL-004"]), ("DX", 1199, []), ("MG", 1000, ["POL-004"]), ("MG", 999, [])],
)
def test_sixty_percent_of_a_bright_border_are_too_much(seen, modality, n_bright, expected):
    assert codes(seen(picture(n_bright=n_bright), modality=modality)) == expected


@pytest.mark.parametrize(
    ("n_dark", "dark", "expected"), [(1200, 0.6, ["POL-004"]), (1199, 0.6, []), (1200, 0.601, [])]
)
def test_thirty_percent_of_a_dark_centre_are_enough(seen, n_dark, dark, expected):
    assert codes(seen(picture(n_dark=n_dark, dark=dark))) == expected


def test_the_border_is_four_percent_of_the_shorter_edge(seen):
    inner = picture()
    inner[4, 4:-4] = inner[-5, 4:-4] = GREY  # the fifth row is no border
    assert only(seen(inner)).evidence["bright_border"] == 1.0
    outer = picture()
    outer[3, 4:104] = GREY  # the fourth is: 100 of 2000
    assert only(seen(outer)).evidence["bright_border"] == 0.95


def test_the_border_of_a_small_picture_is_one_pixel_wide(seen):
    small = np.full((32, 64), BRIGHT)
    small[8:24, 16:48] = np.where(np.add.outer(np.arange(16) * 2, np.arange(32)) < 30, DARK, BRIGHT)
    small[1, 1:-1] = GREY
    assert only(seen(small)).evidence["bright_border"] == 1.0


def test_shares_have_three_digits(seen):
    made = np.full((100, 200), BRIGHT)
    ring = np.ones(made.shape, np.bool_)
    ring[4:-4, 4:-4] = False
    made[tuple(each[1700:] for each in np.nonzero(ring))] = GREY  # of 2336
    made[25:75, 50:150] = np.where(np.add.outer(np.arange(50) * 2, np.arange(100)) < 97, DARK, BRIGHT)
    evidence = only(seen(made)).evidence
    n_dark = sum(max(0, min(100, 97 - 2 * row)) for row in range(50))
    assert evidence["bright_border"] == 0.728
    assert evidence["dark_centre"] == float(f"{n_dark / 5000:.3f}")
    assert n_dark % 5, "a share of more than three digits"


@pytest.mark.parametrize(("kept", "expected"), [(1860, []), (1859, ["POL-004"])])
def test_what_fills_its_box_was_left_open_by_the_collimator(seen, kept, expected):
    """A dark rectangle of 40 x 50; what is taken from it, from its middle, leaves 93 % or less."""
    made = np.full((ROWS, COLUMNS), BRIGHT)
    made[30:70, 50:100] = DARK
    hole = [(30 + 5 + k // 40, 50 + 5 + k % 40) for k in range(2000 - kept)]
    made[tuple(np.transpose(hole))] = BRIGHT
    assert codes(seen(made)) == expected


def test_a_picture_that_cannot_be_judged_hides_no_other(seen):
    assert only(seen(None, picture())).target == "v1"


# ---- the reduced picture


@pytest.mark.parametrize(("edge", "is_made"), [(32, True), (31, False)])
def test_a_shape_needs_thirty_two_pixels(edge, is_made):
    ramp = np.arange(edge * 40).reshape(edge, 40)
    assert (reduced_picture(image(ramp)) is not None) is is_made
    assert (reduced_picture(image(ramp.T)) is not None) is is_made


@pytest.mark.parametrize(("size", "expected"), [(256, 256), (257, 128), (512, 256), (513, 171)])
def test_the_longer_edge_is_reduced_to_256_at_most(size, expected):
    ramp = np.arange(size * 40).reshape(40, size)
    made = reduced_picture(image(ramp))
    assert made.shape[1] == expected
    assert reduced_picture(image(ramp.T)).shape[0] == expected


def test_a_block_is_the_mean_of_its_pixels():
    values = np.zeros((512, 512))
    values[:, 256:] = 100.0
    values[0, 0] = 40.0
    made = reduced_picture(image(values))
    assert made[0, 0] == pytest.approx(0.1)  # 0.4 of one of four pixels
    assert made[0, 1] == 0.0
    assert made[0, 128] == 1.0


@pytest.mark.parametrize(
    ("outliers", "low", "high"),
    [
        (50, 0.0, 1000.0),  # half a percent at either end is passed over
        (150, -5000.0, 5000.0),  # one and a half percent are not
    ],
)
def test_the_range_goes_from_the_first_to_the_last_percentile(outliers, low, high):
    values = np.repeat([0.0, 1000.0], 5000)
    values[:outliers], values[-outliers:] = -5000.0, 5000.0
    made = reduced_picture(image(values.reshape(100, 100)))
    expected = (np.array([0.0, 1000.0]) - low) / (high - low)
    assert made[40, 0] == pytest.approx(expected[0])
    assert made[60, 0] == pytest.approx(expected[1])
    assert (made.min(), made.max()) == (0.0, 1.0)


def test_padding_is_dark_and_its_background_belongs_to_the_range():
    values = np.repeat([500.0, 1000.0], 800).reshape(40, 40)
    values[:10] = 9999.0
    padding = np.zeros((1, 40, 40), np.bool_)
    padding[0, :10] = True
    padded = replace(image(values), padding=padding)
    made = reduced_picture(replace(padded, background=0.0))
    assert made[0, 0] == 0.0
    assert made[15, 0] == pytest.approx(0.5)
    assert reduced_picture(replace(padded, background=700.0))[15, 0] == 0.0
    assert reduced_picture(replace(padded, padding=np.ones_like(padding))) is None


def test_what_is_no_number_is_dark():
    values = np.repeat([500.0, 1000.0], 800).reshape(40, 40)
    values[0, 0] = np.nan
    assert reduced_picture(image(values))[0, 0] == 0.0


@pytest.mark.parametrize("values", [np.full((40, 40), 7), np.zeros((0, 40)), np.zeros((40, 40, 3))])
def test_without_a_range_there_is_no_picture(values):
    assert reduced_picture(image(values)) is None


@pytest.mark.parametrize(("length", "shape"), [(8192, (1, 256)), (8193, None)])
def test_a_strip_of_which_nothing_would_be_left_is_no_picture(length, shape):
    """Of 32 rows, blocks of 32 pixels leave one, and blocks of 33 none."""
    strip = image(np.arange(32 * length).reshape(32, length))
    made = reduced_picture(strip)
    assert (made if made is None else made.shape) == shape
    assert border_polarity.border_polarity(series(strip)) == []


def test_without_values_there_is_no_picture():
    assert reduced_picture(image()) is None


# ---- screens, overlays, bolus tracking


@pytest.mark.parametrize(("slices", "expected"), [(10, ["TRI-SC-003"]), (11, [])])
def test_a_low_dose_report_of_many_slices_is_a_scan(slices, expected):
    made = volume("CT", slices=slices, SeriesDescription="Dose Report")
    assert codes(screens.dose_or_protocol_screen(series(made))) == expected


@pytest.mark.parametrize(
    ("bits_allocated", "position", "expected"),
    [(1, 0, []), (2, 0, ["DEI-BIA-003"]), (1, 1, ["DEI-BIA-003"]), (1, 12, ["DEI-BIA-003"])],
)
@pytest.mark.parametrize("group", [0x6000, 0x601E])
def test_an_overlay_in_unused_bits_says_which(group, bits_allocated, position, expected):
    made = image()
    made.frames[0].instance.header.add_new((group, 0x0100), "US", bits_allocated)
    made.frames[0].instance.header.add_new((group, 0x0102), "US", position)
    assert codes(burned_in.overlay_planes(series(made))) == expected


def test_a_profile_asks_for_cleared_pixels_or_it_does_not():
    suspect = series(image(modality="XA"))
    assert burned_in.ClearedToLeave()(suspect) == []
    assert codes(burned_in.ClearedToLeave(is_wanted=True)(suspect)) == ["DEI-BIA-004"]


@pytest.mark.parametrize(("positions", "expected"), [(4, ["TRI-DER-005"]), (5, [])])
def test_bolus_tracking_has_four_positions_at_most(positions, expected):
    places = [(0.0, 0.0, 5.0 * k) for k in range(positions)]
    tracked = volume("CT", positions=places, SeriesDescription="Monitoring")
    found = bolus_tracking.bolus_tracking(series(tracked))
    assert codes(found) == expected
    assert all(each.severity is Severity.ERROR for each in found)


def test_the_first_image_tells_when_it_began():
    times = ("101500", "101501")
    tracked = volume(
        "CT",
        positions=[(0.0, 0.0, 0.0), (0.0, 0.0, 5.0)],
        SeriesDescription="Monitoring",
        AcquisitionTime=lambda k: times[k],
    )
    assert only(bolus_tracking.bolus_tracking(series(tracked))).evidence["AcquisitionTime"] == ("101500",)
    marked = volume(
        "CT", positions=[(0.0, 0.0, 0.0), (0.0, 0.0, 5.0)],
        ImageType=lambda k: ["ORIGINAL", "PRIMARY", "AXIAL", "CT_SOM5 MON"] if k else ["ORIGINAL", "PRIMARY", "AXIAL"],
    )  # fmt: skip
    assert bolus_tracking.bolus_tracking(series(marked)) == []
