"""Values of CT at the limits of the rules, from histograms whose every count is given."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from handlers.model import Severity
from handlers.triage import hounsfield, hounsfield_scale, kernel, kernel_table, noise_texture, value_histogram
from handlers.triage.noise_texture import Texture
from handlers.triage.value_histogram import LOWEST, Histogram, histogram
from triage_cases import codes, only, series, volume

HOUNSFIELD = "[hnsf'U]"


def counted(counts):
    made = np.zeros(65535 - LOWEST + 1, np.int64)
    for value, count in counts.items():
        made[value - LOWEST] = count
    return Histogram(made, float(min(counts)), float(max(counts)))


@pytest.fixture
def told(monkeypatch):
    """The findings on a volume with so many voxels of each value."""

    def judge(counts):
        monkeypatch.setattr(hounsfield, "histogram", lambda _: counted(counts))
        return hounsfield.hounsfield_values(series(volume("CT", slices=1, units=HOUNSFIELD)))

    return judge


# ---- Hounsfield units


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({0: 1000}, ["HU-002"]),
        ({0: 999}, []),  # too few to say anything
        ({0: 9950, -1000: 50}, []),  # half a percent of air
        ({0: 9990, -200: 10}, []),  # 99.9 % above -200
        ({0: 9990, -199: 10}, ["HU-002"]),
        ({0: 9989, -500: 11}, []),  # no air, but the offset is there
    ],
)
def test_a_lost_offset(told, counts, expected):
    assert codes(told(counts)) == expected


def test_the_ends_of_the_values_are_told_without_the_last_thousandth(told):
    found = only(told({-100: 10, 0: 9979, 2000: 11}))
    assert (found.code, found.severity) == ("HU-002", Severity.REVIEW)
    assert found.evidence == {"min": -100.0, "p0.1": -100, "p99.9": 2000}
    assert only(told({-100: 9, -50: 1, 0: 9980, 2000: 10})).evidence == {
        "min": -100.0,
        "p0.1": -50,
        "p99.9": 0,
    }


@pytest.mark.parametrize(("air", "expected"), [(-1030, None), (-1031, -1031.0), (-970, None), (-969, -969.0)])
def test_air_is_where_it_belongs(told, air, expected):
    found = told({air: 5000, 0: 5000})
    assert [each.evidence.get("air_hu") for each in found] == ([] if expected is None else [expected])
    assert all((each.code, each.severity) == ("HU-009", Severity.WARN) for each in found)


@pytest.mark.parametrize(("voxels", "expected"), [(50, ["HU-009"]), (49, [])])
def test_air_is_half_a_percent_of_the_voxels(told, voxels, expected):
    assert codes(told({-1031: voxels, 0: 10_000 - voxels})) == expected


def test_air_and_tissue_are_told_to_a_tenth(told):
    found = told({-1040: 3000, -1041: 1500, 300: 3000, 301: 1500})
    assert only(found, "HU-009").evidence["air_hu"] == -1040.3
    assert only(found, "HU-003").evidence["tissue_hu"] == 300.3


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({-1000: 5000, 150: 5000}, []), ({-1000: 5000, 151: 5000}, ["HU-003"]), ({-1000: 5000, -150: 5000}, []),
        ({-1000: 5000, -151: 5000}, ["HU-003"]), ({-1000: 5000, 300: 50, 2000: 4950}, ["HU-003"]),
        ({-1000: 5000, 300: 49, 2000: 4951}, []),
    ],
)  # fmt: skip
def test_tissue_is_where_it_belongs(told, counts, expected):
    found = told(counts)
    assert codes(found) == expected
    assert all(each.severity is Severity.WARN for each in found)


@pytest.mark.parametrize(
    ("counts", "is_doubled"),
    [
        ({-2010: 50, -2015: 50, -1000: 9900}, True),  # one percent of air at its displaced place
        ({-2010: 50, -2015: 49, -1000: 9901}, False),
        ({-2010: 5000, -2015: 4900, -1000: 100}, True),  # one percent of tissue
        ({-2010: 5000, -2015: 4901, -1000: 99}, False),
        ({-2010: 2000, -2015: 2000, -1000: 5000, 0: 999}, True),
        ({-2010: 2000, -2015: 2000, -1000: 5000, 0: 1000}, False),  # a fifth of it is left near water
        ({-2000: 950, -1990: 50, -1000: 9000}, True),
        ({-2000: 951, -1990: 49, -1000: 9000}, False),  # a fill value, not air
        ({-2010: 1000, -1000: 9000}, True),  # nobody fills with this one
    ],
)
def test_a_rescale_that_was_applied_twice(told, counts, is_doubled):
    found = told(counts)
    assert ("HU-005" in codes(found)) is is_doubled
    assert not is_doubled or codes(found) == ["HU-005"]
    assert not is_doubled or only(found).severity is Severity.REVIEW


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({-1101: 10, -1000: 5000, 0: 4990}, None),
        ({-1101: 11, -1000: 5000, 0: 4989}, {"share": 0.0011, "most_frequent": -1101, "constancy": 1.0}),
        ({-1100: 500, -1000: 5000, 0: 4500}, None),
        (
            {-32768: 20, -3000: 10, -1000: 5000, 0: 4977},
            {"share": 0.003, "most_frequent": -32768, "constancy": 0.667},
        ),
        ({-3000: 23, -1000: 5000, 0: 4984}, {"share": 0.0023, "most_frequent": -3000, "constancy": 1.0}),
        ({-3000: 12, -1000: 5000, 0: 4747}, {"share": 0.00123, "most_frequent": -3000, "constancy": 1.0}),
    ],
)
def test_values_below_air_are_told_with_their_share(told, counts, expected):
    found = told(counts)
    assert [each.evidence for each in found] == ([] if expected is None else [expected])
    assert all((each.code, each.severity) == ("HU-004", Severity.WARN) for each in found)


@pytest.mark.parametrize(
    ("largest", "severity", "words"),
    [
        (3071, None, ""), (3072, Severity.INFO, "an extended scale"), (32766, Severity.INFO, "an extended scale"),
        (32767, Severity.WARN, "values may be saturated"),
    ],
)  # fmt: skip
def test_values_beyond_twelve_bits(told, largest, severity, words):
    found = told({-1000: 5000, 0: 5000, largest: 1})
    assert [(each.code, each.severity) for each in found] == ([("HU-006", severity)] if words else [])
    assert all(each.message.endswith(words) for each in found)


# ---- the scale in the header


@pytest.mark.parametrize(
    ("slopes", "expected"),
    [((1.0, 1.0), []), ((1.0, 2.0), ["HU-007"]), ((None, 1.0), []), ((None, 2.0), ["HU-007"])],
)
def test_two_pairs_of_slope_and_intercept_are_several(slopes, expected):
    made = volume("CT", slices=2, RescaleSlope=lambda k: slopes[k], RescaleIntercept=-1024)
    assert codes(hounsfield_scale.rescale(series(made))) == expected


def test_one_of_the_two_may_be_missing():
    made = volume("CT", slices=2, RescaleIntercept=lambda k: None if k else 0)
    assert hounsfield_scale.rescale(series(made)) == []  # 0 is taken for it


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        (
            {"ManufacturerModelName": "O-arm"},
            "no Hounsfield units: a device without Hounsfield calibration (o arm)",
        ),
        ({"RescaleType": "US"}, "no Hounsfield units: RescaleType is US"),
        (
            {"MultienergyCTAcquisition": "YES"},
            "no Hounsfield units: a multi-energy image without RescaleType",
        ),
    ],
)
def test_each_reason_against_hounsfield_units_is_told(attributes, message):
    plain = volume("CT")
    found = only(hounsfield_scale.uncalibrated(series(plain, volume("CT", index=1, **attributes))))
    assert (found.target, found.message) == ("v1", message)


# ---- the histogram


def test_a_share_counts_both_ends_and_whole_values():
    made = counted({-5: 1, 0: 2, 5: 3, 6: 4})
    assert made.share(-5, 5) == 0.6
    assert made.share(-4.5, 5.5) == 0.5
    assert made.share(-99999, 99999) == 1.0
    assert made.share(7, 99) == 0.0
    assert made.total == 10


def test_a_quantile_is_the_value_that_the_share_reaches():
    made = counted({-10: 1, 0: 8, 20: 1})
    assert [made.quantile(each) for each in (0.1, 0.11, 0.9, 0.91)] == [-10, 0, 0, 20]


def test_the_most_frequent_value_and_its_share():
    assert counted({0: 3, 5: 1, 50: 99}).most_frequent(-10, 10) == (0, 0.75)
    assert counted({50: 99}).most_frequent(-10, 10)[1] == 0.0


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({0: 100}, 0.0),
        ({0: 100, 4: 100}, 2.0),
        ({0: 300, 3: 100}, 0.75),
        ({0: 100, 11: 40}, 0.0),  # of another peak, beyond ten values
        ({0: 100, 10: 25}, 2.0),
        (dict.fromkeys(range(-100, 101), 1), None),  # spread evenly
        ({}, None),
        ({-100: 100}, None),  # at the end: the flank of something outside
        ({100: 100}, None),
        ({-86: 100}, -86.0),
    ],
)
def test_a_mode_stands_out_and_lies_inside(counts, expected):
    assert counted({**counts, 5000: 1}).mode(-100, 100) == expected


def test_a_large_volume_is_counted_in_steps(monkeypatch):
    monkeypatch.setattr(value_histogram, "MAX_SAMPLES", 100)
    values = np.arange(2 * 20 * 20).reshape(2, 20, 20).astype(np.int16)
    found = histogram(volume("CT", slices=2, values=values))
    assert found.total == 2 * 7 * 7  # every third row and column
    assert (found.minimum, found.maximum) == (0.0, 799.0)
    assert found.share(0, 0) == found.share(3, 3) == 1 / 98
    assert found.share(1, 2) == 0.0


def test_padding_is_not_counted_but_belongs_to_the_range():
    values = np.zeros((1, 4, 4), np.int16)
    values[0, 0] = -2000
    padding = values == -2000
    found = histogram(volume("CT", slices=1, values=values, padding=padding))
    assert (found.total, found.minimum) == (12, -2000.0)
    assert histogram(volume("CT", slices=1, values=values, padding=np.ones_like(padding))) is None
    assert histogram(volume("CT", slices=1)) is None
    assert histogram(volume("CT", slices=1, values=np.zeros((0, 4, 4)))) is None


def test_fractions_are_rounded_and_what_is_beyond_counts_at_the_ends():
    values = np.array([[[0.4, 0.6, 99999.0, -99999.0], [np.nan, np.inf, 65535.0, -32768.0]]], np.float32)
    found = histogram(volume("CT", slices=1, values=values))
    assert found.total == 6
    assert (found.share(0, 0), found.share(1, 1), found.share(65535, 65535)) == (1 / 6, 1 / 6, 2 / 6)
    assert found.share(-32768, -32768) == 2 / 6
    assert found.share(-32768, 65535) == 1.0


# ---- noise texture


TILE = 12


def test_a_picture_is_cut_into_whole_tiles():
    picture = np.arange(25 * 40).reshape(25, 40)
    made = noise_texture._tiles(picture)
    assert made.shape == (6, TILE, TILE)
    assert np.array_equal(made[0], picture[:12, :12])
    assert np.array_equal(made[2], picture[:12, 24:36])
    assert np.array_equal(made[3], picture[12:24, :12])


def test_mean_and_slopes_are_taken_out_as_by_least_squares():
    tiles = np.random.default_rng(1).normal(50, 20, (3, TILE, TILE))
    i, j = np.indices((TILE, TILE))
    design = np.stack([np.ones(TILE * TILE), i.ravel(), j.ravel()], axis=1)
    expected = [
        tile - (design @ np.linalg.lstsq(design, tile.ravel(), rcond=None)[0]).reshape(TILE, TILE)
        for tile in tiles
    ]
    assert noise_texture._detrended(tiles) == pytest.approx(np.array(expected), abs=1e-9)


PATTERN = np.random.default_rng(3).normal(0, 20, (TILE, TILE))
PATTERN = noise_texture._detrended(PATTERN[None])[0]


def tissue(rows=5, columns=6, *, slices=1, mean=50.0, spacing=(0.8, 0.9, 40.0), padding=None, changed=()):
    """Tiles of one and the same noise; `changed` are (tile, factor of its noise, mean)."""
    values = np.tile(PATTERN, (slices, rows, columns)) + mean
    for (row, column), factor, middle in changed:
        place = (slice(None), slice(row * TILE, (row + 1) * TILE), slice(column * TILE, (column + 1) * TILE))
        values[place] = factor * PATTERN + middle
    made = volume("CT", slices=slices, values=values, units=HOUNSFIELD, padding=padding)
    return replace(made, geometry=replace(volume("CT").geometry, spacing_mm=spacing))


def measured_tiles(made):
    found = noise_texture.noise_texture(made)
    return None if found is None else round(found.volume_cm3 * 1000 / (TILE * TILE * 0.8 * 0.9 * 40.0))


def test_thirty_tiles_are_enough():
    assert measured_tiles(tissue()) == 30
    padding = np.zeros((1, 60, 72), np.bool_)
    padding[0, 59, 71] = True
    assert measured_tiles(tissue(padding=padding)) is None
    assert measured_tiles(tissue(6, padding=np.pad(padding, ((0, 0), (0, 12), (0, 0))))) == 35


def test_the_volume_counts_in_cubic_centimetres():
    found = noise_texture.noise_texture(tissue(spacing=(0.5, 0.7, 100.0)))
    assert found.volume_cm3 == pytest.approx(30 * 144 * 0.5 * 0.7 * 100.0 / 1000)
    assert noise_texture.noise_texture(tissue(spacing=(0.5, 0.7, 0.001))) is None
    assert noise_texture.noise_texture(tissue(spacing=(0.5, 0.7, -100.0))).volume_cm3 == found.volume_cm3


@pytest.mark.parametrize(("factor", "tiles"), [(1.29, 36), (1.31, 35)])
def test_what_is_louder_holds_edges(factor, tiles):
    assert measured_tiles(tissue(6, changed=[((0, 0), factor, 50.0)])) == tiles


def test_tissue_lies_within_its_range_of_hounsfield_units():
    low, high = kernel_table.texture()["tissue_hu"]
    for mean, tiles in ((low - 0.5, 35), (low + 0.5, 36), (high - 0.5, 36), (high + 0.5, 35)):
        assert measured_tiles(tissue(6, changed=[((0, 0), 1.0, mean)])) == tiles, mean


def test_the_first_and_the_last_slice_are_looked_at():
    empty = np.full((1, 60, 72), -1000.0)
    for order in ((tissue().values, empty), (empty, tissue().values)):
        made = replace(tissue(slices=2), values=np.concatenate(order))
        assert measured_tiles(made) == 30


@pytest.mark.parametrize("lacking", [{"values": None}, {"geometry": None}])
def test_without_values_in_space_there_is_no_texture(lacking):
    assert noise_texture.noise_texture(replace(tissue(), **lacking)) is None


@pytest.mark.parametrize(("r", "power"), [(0.0, 100.0), (0.3, 50.0), (0.8, 9.0)])
def test_neighbours_of_a_known_correlation(r, power):
    """A process of which neighbours are correlated by r, and those two apart by r^4, as the text says."""
    distance = np.abs(np.subtract.outer(np.arange(TILE), np.arange(TILE)))
    covariance = power * np.where(distance == 0, 1.0, np.float64(r) ** (distance**2))
    root = np.linalg.cholesky(covariance + 1e-9 * np.eye(TILE))
    tiles = np.random.default_rng(4).standard_normal((400, TILE, TILE)) @ root.T
    found = noise_texture._correlation(tiles)
    assert found.neighbour == pytest.approx(r, abs=0.02)
    assert found.power == pytest.approx(power, rel=0.05)


def test_without_any_noise_there_is_no_correlation():
    found = noise_texture._correlation(np.zeros((3, TILE, TILE)))
    assert (found.neighbour, found.power) == (0.0, 0.0)


# ---- kernels


def read(*volumes):
    return kernel.kernel_class(series(*volumes))


def test_every_kernel_of_a_series_is_judged():
    silent = volume("CT", ConvolutionKernel=None)
    found = read(silent, volume("CT", index=1, ConvolutionKernel="B30f"))
    assert [(each.code, each.target) for each in found] == [("KER-002", "v0"), ("KER-001", "v1")]


@pytest.mark.parametrize(
    ("manufacturer", "words"),
    [("SIEMENS", "not in the table for siemens"), ("ACME", "not in the table for this manufacturer")],
)
def test_an_unknown_kernel_is_told_with_its_table(manufacturer, words):
    found = only(read(volume("CT", Manufacturer=manufacturer, ConvolutionKernel="XYZ")))
    assert (found.code, found.message) == ("KER-003", f"kernel XYZ: {words}")


def test_several_kernels_warn():
    made = volume("CT", ConvolutionKernel=lambda k: "B30f" if k % 2 else "B60f")
    assert only(kernel.mixed_kernels(series(made))).severity is Severity.WARN


def canon(name, manufacturer="TOSHIBA", creator="TOSHIBA_MEC_CT3", group=0x7005, element=0x1B):
    made = volume("CT", slices=1, Manufacturer=manufacturer, ConvolutionKernel=None)
    block = made.frames[0].instance.header.private_block(group, creator, create=True)
    block.add_new(element, "LO", name)
    return made


def test_canon_keeps_a_copy_of_the_kernel():
    found = only(read(canon(" FC18 ")))
    assert found.evidence["kernel"]["raw"] in ("FC18", ["FC18"])
    assert found.code != "KER-002"
    assert codes(read(canon("FC18", manufacturer="SIEMENS"))) == ["KER-002"]
    assert codes(read(canon("FC18", element=0x1C))) == ["KER-002"]


@pytest.mark.parametrize(
    ("manufacturer", "expected"),
    [
        ("GE MEDICAL SYSTEMS", "ge"), ("GENERATION X", ""), ("Siemens Healthineers", "siemens"), ("SIEMENSHEALTH", "siemens"),
        ("Philips Medical Systems", "philips"), ("Canon Medical", "canon"), ("", ""),
    ],
)  # fmt: skip
def test_a_vendor_is_found_by_its_name(manufacturer, expected):
    assert kernel_table.vendor(manufacturer) == expected


@pytest.mark.parametrize(
    ("length_mm", "kernel_name", "expected"),
    [
        ("smooth_at_least_mm", "B20f", []),
        ("sharp_at_most_mm", "B70f", []),
        (0.0, "B20f", ["KER-006"]),
        (9.0, "B70f", ["KER-006"]),
    ],
)
def test_noise_at_the_limit_goes_with_the_kernel(monkeypatch, length_mm, kernel_name, expected):
    length = kernel_table.texture()[length_mm] if isinstance(length_mm, str) else length_mm
    monkeypatch.setattr(kernel, "noise_texture", lambda _: Texture(length, 12.34, 5.67))
    odd = volume("CT", units="1")
    medium = volume("CT", index=1, units=HOUNSFIELD, ConvolutionKernel="B40f")
    made = volume("CT", index=2, units=HOUNSFIELD, ConvolutionKernel=kernel_name)
    found = kernel.measured_texture(series(odd, medium, made))
    assert codes(found) == expected
    assert all(each.severity is Severity.WARN for each in found)


def test_what_was_measured_of_the_noise_is_rounded(monkeypatch):
    monkeypatch.setattr(kernel, "noise_texture", lambda _: Texture(0.12345, 12.34, 5.67))
    evidence = only(
        kernel.measured_texture(series(volume("CT", units=HOUNSFIELD, ConvolutionKernel="B20f")))
    ).evidence
    told = {key: evidence[key] for key in ("correlation_length_mm", "noise_hu", "measured_cm3")}
    assert told == {"correlation_length_mm": 0.123, "noise_hu": 12.3, "measured_cm3": 5.7}


def test_a_volume_whose_noise_fits_hides_no_other(monkeypatch):
    textures = iter((Texture(9.0, 12.0, 5.0), Texture(0.0, 12.0, 5.0)))
    monkeypatch.setattr(kernel, "noise_texture", lambda _: next(textures))
    made = [volume("CT", index=k, units=HOUNSFIELD, ConvolutionKernel="B20f") for k in range(2)]
    assert only(kernel.measured_texture(series(*made))).target == "v1"
