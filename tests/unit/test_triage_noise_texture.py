"""The noise of a CT against its kernel: textures whose correlation length is known from how they were made."""

from dataclasses import replace

import numpy as np
import pytest

from handlers.model import Severity
from handlers.triage.kernel import measured_texture
from handlers.triage.noise_texture import noise_texture
from triage_cases import codes, only, series, volume

HOUNSFIELD = "[hnsf'U]"
SIZE, SLICES = 240, 12


def noisy(
    length_mm: float,
    *,
    kernel: str = "B30f",
    noise_hu: float = 20.0,
    tissue_hu: float = 50.0,
    pixel_mm: float = 0.7,
):
    """A water-like slab whose noise was smoothed with a Gaussian of this standard deviation, in the frequency domain."""
    white = np.random.default_rng(7).standard_normal((SLICES, SIZE, SIZE))
    frequencies = np.fft.fftfreq(SIZE, pixel_mm)
    transfer = np.exp(-2 * (np.pi * length_mm * frequencies) ** 2)
    colored = np.fft.ifft2(np.fft.fft2(white) * transfer[:, None] * transfer).real
    values = np.rint(tissue_hu + noise_hu * colored / colored.std()).astype(np.int16)
    return volume(
        "CT", slices=SLICES, values=values, units=HOUNSFIELD, Manufacturer="SIEMENS", ConvolutionKernel=kernel,
        PixelSpacing=[pixel_mm, pixel_mm],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("length_mm", "pixel_mm"), [(0.3, 0.4), (0.5, 0.4), (0.3, 0.7), (0.5, 0.7), (0.7, 0.7), (0.9, 0.9)]
)
def test_the_length_is_that_of_the_filter_whatever_the_pixel(length_mm, pixel_mm):
    found = noise_texture(noisy(length_mm, pixel_mm=pixel_mm))
    assert found.length_mm == pytest.approx(length_mm, abs=0.06)
    assert found.noise_hu == pytest.approx(20, rel=0.15)


def test_white_noise_has_next_to_no_length():
    assert noise_texture(noisy(0.01)).length_mm < 0.15


@pytest.mark.parametrize(("kernel", "length_mm"), [("B20f", 0.05), ("B70f", 0.9)])
def test_noise_that_the_kernel_cannot_leave_is_told(kernel, length_mm):
    finding = only(measured_texture(series(noisy(length_mm, kernel=kernel))))
    assert (finding.code, finding.severity) == ("KER-006", Severity.WARN)
    assert finding.evidence["correlation_length_mm"] == pytest.approx(length_mm, abs=0.15)


@pytest.mark.parametrize(
    ("kernel", "length_mm"),
    [("B20f", 0.6), ("B70f", 0.2), ("B40f", 0.05), ("B40f", 0.9), ("B20f", 0.35), ("B70f", 0.5)],
)
def test_noise_that_goes_with_the_kernel_and_medium_kernels_are_fine(kernel, length_mm):
    assert measured_texture(series(noisy(length_mm, kernel=kernel))) == []


@pytest.mark.parametrize(
    "options",
    [{"tissue_hu": -800.0}, {"tissue_hu": 900.0}, {"noise_hu": 1.0}],
    ids=["lung", "bone", "no noise"],
)
def test_without_noisy_soft_tissue_nothing_is_said(options):
    made = noisy(0.05, **options)
    assert noise_texture(made) is None
    assert measured_texture(series(made)) == []


def test_a_few_tiles_of_tissue_are_not_enough():
    made = noisy(0.05)
    values = np.full_like(made.values, -1000)
    values[:, :12, :24] = made.values[:, :12, :24]
    assert noise_texture(replace(made, values=values)) is None


def test_values_in_other_units_are_not_looked_at():
    assert measured_texture(series(replace(noisy(0.05), units="1"))) == []


def test_edges_and_vessels_do_not_count_as_noise():
    made = noisy(0.05, kernel="B20f")
    values = made.values.copy()
    values[:, ::40, :] += 200
    assert codes(measured_texture(series(replace(made, values=values)))) == ["KER-006"]
