"""Whatever a header hides where: no value that identifies somebody is in any byte of a de-identified image."""

import copy
import warnings

import pydicom
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

import data
from handlers.outputs.deidentification import Deidentifier
from handlers.outputs.derived_image import part10
from handlers.outputs.pseudonyms import Pseudonyms

KEY = b"0123456789abcdef" * 2
OPTIONS = ("modified-dates", "patient-characteristics", "device-identity", "safe-private")
# Six letters and more: a shorter name is looked for in values, as a word, and cannot be told from chance among pixels.
NAMES = st.text("abcdefghijklmnopqrstuvwxyzABCXYZäöüéñ", min_size=6, max_size=14)
NUMBERS = st.text("0123456789", min_size=6, max_size=12).filter(
    lambda text: text[0] != "0" and len(set(text)) > 2
)
# Where a name may be hidden: attributes that stay, that go, and that are emptied.
HIDING = (
    "ManufacturerModelName", "SoftwareVersions", "FilterType", "SequenceName", "BodyPartExamined", "ProtocolName",
    "SeriesDescription", "StudyDescription", "ImageComments", "PatientComments", "ContrastBolusAgent", "ReceiveCoilName",
    "StudyID", "DerivationDescription", "PositionReferenceIndicator", "ConvolutionKernel", "RescaleType", "ScanOptions",
    "ContrastBolusRoute", "RequestedProcedureDescription", "WindowCenterWidthExplanation",
)  # fmt: skip
SOURCES = (
    "PatientName",
    "ReferringPhysicianName",
    "OperatorsName",
    "InstitutionName",
    "PatientID",
    "AccessionNumber",
)
(IMAGE, *_) = data.ct_series(slices=2, rows=8, columns=8)


def hidden_in(secret, keywords, style, depth):
    """An image with the secret in some attributes, in a private block, and so many sequences deep."""
    image = copy.deepcopy(IMAGE)
    image.SpecificCharacterSet = "ISO_IR 192"
    text = style.format(secret, secret.upper())[:60]
    for keyword in keywords:
        setattr(image, keyword, text)
    block = image.private_block(0x0029, "HIDING PLACE", create=True)
    block.add_new(1, "LO", text)
    block.add_new(2, "UN", text.encode())
    block.add_new(3, "OB", text.encode())
    declared = Dataset()
    declared.PrivateGroupReference, declared.PrivateCreatorReference = 0x0029, "HIDING PLACE"
    declared.BlockIdentifyingInformationStatus = "SAFE"
    image.PrivateDataElementCharacteristicsSequence = Sequence([declared])
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = "1", "99", text
    for _ in range(depth):
        outer = Dataset()
        outer.PurposeOfReferenceCodeSequence = Sequence([item])
        item = outer
    image.AnatomicRegionSequence = Sequence([item])
    return image


def written(image, sources):
    """The bytes of the de-identified image, which is refused for none of what is hidden here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # values that no VR allows are a part of this
        work = Deidentifier(Pseudonyms(KEY), OPTIONS, sources)
        content = part10(work(image))
        work.check(content)
    return content


PLAIN = written(IMAGE, [IMAGE])


def holds(content, secret):
    forms = {
        form.encode(coding, "ignore")
        for form in (secret, secret.upper(), secret.lower())
        for coding in ("utf-8", "latin-1", "utf-16-le")
    }
    return any(form in content for form in forms if len(form) >= len(secret))


@pytest.mark.filterwarnings("ignore::UserWarning")
@settings(max_examples=100, deadline=None)
@given(
    secret=st.one_of(NAMES, NUMBERS),
    origin=st.sampled_from(SOURCES),
    keywords=st.lists(st.sampled_from(HIDING), unique=True, max_size=6),
    style=st.sampled_from(["{0}", "x{0}x", "Dr. {0} jr", "{1}", "{0}^{0}", "a_{0}_b"]),
    depth=st.integers(0, 3),
)
def test_no_byte_tells_who_it_was(secret, origin, keywords, style, depth):
    assume(not holds(PLAIN, secret))
    image = hidden_in(secret, [keyword for keyword in keywords if keyword != origin], style, depth)
    setattr(image, origin, secret)
    assert not holds(written(image, [image]), secret)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_no_uid_of_the_source_is_left(draw):
    numbers = st.integers(0, 10**25)
    uids = {f"1.2.826.{draw.draw(numbers)}.{draw.draw(numbers)}" for _ in range(6)}
    assume(len(uids) == 6)
    study, series, sop, frame, other, shown = sorted(uids)
    image = hidden_in("Unauffindbar", [], "{0}", 1)
    image.PatientName = "Unauffindbar"
    image.StudyInstanceUID, image.SeriesInstanceUID, image.SOPInstanceUID, image.FrameOfReferenceUID = (
        study,
        series,
        sop,
        frame,
    )
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = image.SOPClassUID, other
    image.SourceImageSequence = Sequence([item])
    image.AcquisitionUID = shown
    image.ManufacturerModelName = f"of {draw.draw(st.sampled_from(sorted(uids)))}"
    content = written(image, [image])
    assert content
    told = pydicom.dcmread(pydicom.filebase.DicomBytesIO(content))
    assert not [uid for uid in uids if uid.encode() in content]
    names = Pseudonyms(KEY)
    assert told.StudyInstanceUID == names.uid(study)
    assert told.SourceImageSequence[0].ReferencedSOPInstanceUID == names.uid(other)
    assert content == written(image, [image])
