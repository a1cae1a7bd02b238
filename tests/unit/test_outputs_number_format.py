"""The number format of a profile, and what it costs."""

import numpy as np
import pytest

from handlers.errors import VolumeError
from handlers.outputs.number_format import set_number_format
from outcomes import ct_volume


def test_auto_leaves_the_values_alone():
    volume = ct_volume()
    assert set_number_format(volume, "auto") is volume


def test_whole_numbers_become_int16_without_a_finding():
    volume = set_number_format(ct_volume(values=np.array([[[-1024.0, 3071.0]]], np.float32)), "int16")
    assert volume.values.dtype == np.int16
    assert volume.values.tolist() == [[[-1024, 3071]]]
    assert volume.findings == ()


def test_rounding_is_told_with_its_largest_error():
    volume = set_number_format(ct_volume(values=np.array([[[0.25, 10.0]]], np.float32)), "int16")
    (finding,) = volume.findings
    assert finding.code == "OUT-004"
    assert finding.evidence["largest_error"] == 0.25


@pytest.mark.parametrize("value", [40000.0, -32769.0, np.nan])
def test_values_that_do_not_fit_are_refused(value):
    with pytest.raises(VolumeError, match="int16"):
        set_number_format(ct_volume(values=np.array([[[value, 0.0]]], np.float32)), "int16")


def test_float32_is_exact_for_hounsfield_units():
    volume = set_number_format(ct_volume(), "float32")
    assert volume.values.dtype == np.float32
    assert volume.findings == ()


def test_an_unknown_format_lists_the_known_ones():
    with pytest.raises(VolumeError, match="int16, float32"):
        set_number_format(ct_volume(), "float16")
