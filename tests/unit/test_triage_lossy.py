"""Lossy compression, now or ever: transfer syntax, history, ratio, codestream."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom.encaps import encapsulate

from handlers.model import Severity
from handlers.triage import burned_in, codestream, lossy
from triage_cases import codes, header, instance, multi_frame, only, series, volume

PREFIX = "1.2.840.10008.1.2.4."
SIZ = b"\xff\x51\x00\x04\x00\x00"


def jpeg_2000(transformation: int) -> bytes:
    """Main header with SIZ and COD; ISO 15444-1 A.6.1: the last byte of COD is 0 for 9-7, 1 for 5-3."""
    cod = b"\xff\x52\x00\x0c" + bytes([0, 0, 0, 1, 0, 5, 4, 4, 0, transformation])
    return b"\xff\x4f" + SIZ + cod + b"\xff\x90\x00\x0a"


def jpeg_ls(near: int) -> bytes:
    """SOI, SOF55, SOS with NEAR; ISO 14495-1 C.2.3."""
    frame = b"\xff\xf7\x00\x0b\x08\x00\x10\x00\x10\x01\x01\x11\x00"
    scan = b"\xff\xda\x00\x08\x01\x01\x00" + bytes([near, 0, 0])
    return b"\xff\xd8" + frame + scan + b"\x00\x00"


def stored(folder: Path, syntax: str, stream: bytes, *, icon: bytes = b"", **attributes):
    """An instance whose file holds nothing but some header bytes and the encapsulated stream."""
    tag = b"\xe0\x7f\x10\x00OB\x00\x00\xff\xff\xff\xff"
    path = folder / "file"
    path.write_bytes(
        b"\x00" * 300 + (tag + encapsulate([icon]) if icon else b"") + tag + encapsulate([stream])
    )
    return instance(path=path, syntax=PREFIX + syntax, **attributes)


def judged(one):
    return lossy.lossy_history(series(loose=(one,)))


@pytest.mark.parametrize("tail", ["50", "51", "100", "102.1", "107"])
def test_a_lossy_transfer_syntax_is_lossy(tail):
    finding = only(judged(instance(syntax=PREFIX + tail)))
    assert (finding.code, finding.severity) == ("LOS-001", Severity.WARN)
    assert finding.evidence["lossy"]["is_lossy"] is True


def test_decompressed_images_stay_lossy():
    # Explicit VR Little Endian with (0028,2110) = 01: the loss does not come back (E8)
    once = instance(
        LossyImageCompression="01",
        LossyImageCompressionRatio=[10, 2],
        LossyImageCompressionMethod="ISO_10918_1",
    )
    fact = only(judged(once)).evidence["lossy"]
    assert fact["ratio"] == 20
    assert fact["methods"] == ["ISO_10918_1"]


@pytest.mark.parametrize(
    "attributes",
    [
        {"LossyImageCompressionRatio": 12.5},
        {"LossyImageCompressionMethod": "ISO_10918_1"},
        {"DerivationCodeSequence": [header({"CodeValue": "113040", "CodingSchemeDesignator": "DCM"})]},
    ],
)
def test_ratio_and_derivation_are_evidence_by_themselves(attributes):
    assert codes(judged(instance(**attributes))) == ["LOS-001"]


@pytest.mark.parametrize(("code", "expected"), [("113040", ["LOS-001"]), ("113085", [])])
def test_the_derivation_of_any_source_of_a_frame_is_evidence(code, expected):
    plain, told = (
        header({"DerivationCodeSequence": [header({"CodeValue": each})]}) for each in ("113085", code)
    )
    frames = multi_frame(
        volume("CT", slices=3), DerivationImageSequence=lambda k: (plain, told) if k == 2 else (plain,)
    )
    assert codes(lossy.lossy_history(series(frames))) == expected


@pytest.mark.parametrize(
    "syntax", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.5", PREFIX + "70", PREFIX + "57", PREFIX + "201"]
)
def test_lossless_syntaxes_without_history_are_lossless(syntax):
    assert judged(instance(syntax=syntax, LossyImageCompression="00", LossyImageCompressionRatio=1)) == []


def test_the_irreversible_wavelet_is_found_in_the_codestream(tmp_path):
    finding = only(judged(stored(tmp_path, "91", jpeg_2000(0))))
    assert finding.evidence["lossy"]["evidence"] == [{"source": "codestream", "raw": "irreversible"}]


def test_the_reversible_wavelet_is_taken_as_lossless(tmp_path):
    assert judged(stored(tmp_path, "91", jpeg_2000(1))) == []


@pytest.mark.parametrize(("near", "expected"), [(2, ["LOS-001"]), (0, [])])
def test_near_decides_for_jpeg_ls(tmp_path, near, expected):
    assert codes(judged(stored(tmp_path, "81", jpeg_ls(near)))) == expected


def test_the_codestream_of_an_icon_is_not_taken_for_that_of_the_image(tmp_path):
    icon = header({"Rows": 1})
    icon.add_new("PixelData", "OB", encapsulate([jpeg_2000(0)]))
    icon["PixelData"].is_undefined_length = True
    image = stored(tmp_path, "91", jpeg_2000(1), icon=jpeg_2000(0), IconImageSequence=[icon])
    assert codestream.is_irreversible(image) is False


def test_a_denied_loss_is_named_and_not_believed(tmp_path):
    findings = judged(stored(tmp_path, "90", jpeg_2000(0), LossyImageCompression="00"))
    assert codes(findings) == ["LOS-001", "LOS-003"]
    assert only(findings, "LOS-003").severity is Severity.WARN


def test_an_undecided_syntax_that_cannot_be_looked_into_is_noted():
    finding = only(judged(instance(syntax=PREFIX + "91")))
    assert (finding.code, finding.severity) == ("LOS-002", Severity.INFO)


@pytest.mark.parametrize(
    "stream", [b"", b"\xff\x4f\xff\x51", b"\xff\xd8\xff\xda", b"\xff\x4f" + SIZ + b"\xff\x52\x00"]
)
def test_cut_short_codestreams_say_nothing(tmp_path, stream):
    for syntax in ("81", "91"):
        assert codestream.is_irreversible(stored(tmp_path, syntax, stream + b"\x00\x00")) is None


def test_one_lossy_slice_makes_the_volume_lossy():
    mixed = volume("CT", LossyImageCompression=lambda k: "01" if k == 3 else None)
    finding = only(lossy.lossy_history(series(mixed)))
    assert finding.target == "v0"
    assert "1 of 20" in finding.message


def test_burned_in_text_is_held():
    finding = only(burned_in.burned_in_annotation(series(volume("CT", BurnedInAnnotation="YES"))))
    assert (finding.code, finding.severity) == ("DEI-BIA-001", Severity.REVIEW)


@pytest.mark.parametrize("value", ["NO", None, ""])
def test_no_and_silence_on_burned_in_text_are_no_finding(value):
    assert burned_in.burned_in_annotation(series(volume("CT", BurnedInAnnotation=value))) == []


def test_overlay_planes_are_noted():
    drawn = volume("CT", slices=1)
    drawn.frames[0].instance.header.add_new(0x60023000, "OW", b"\x00\x00")
    assert codes(burned_in.overlay_planes(series(drawn))) == ["DEI-BIA-003"]


def test_images_without_overlays_are_not_noted():
    assert burned_in.overlay_planes(series(volume("CT"))) == []


def test_the_greatest_ratio_counts_and_ten_statements_are_quoted():
    made = volume("CT", slices=12, LossyImageCompressionRatio=lambda k: 30.12345 if k == 3 else 2 + k)
    told = only(lossy.lossy_history(series(made))).evidence["lossy"]
    assert told["ratio"] == 30.123
    assert [each["raw"] for each in told["evidence"]] == ["2", "3", "4", "30.1234", *map(str, range(6, 12))]
