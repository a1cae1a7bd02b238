"""What scanners write beyond the bare image: a CT and an MR header of about a hundred elements.

A receiver that looks into headers has to walk over elements like these; a bare phantom would flatter it.
"""

from __future__ import annotations

from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import UID, MRImageStorage

from node.phantom import uid

COMMON: dict[str, Any] = {
    "SpecificCharacterSet": "ISO_IR 100",
    "InstanceCreationDate": "20260101",
    "InstanceCreationTime": "120001.125000",
    "SeriesDate": "20260101",
    "SeriesTime": "120000.500000",
    "AcquisitionDate": "20260101",
    "AcquisitionTime": "120000.750000",
    "AcquisitionDateTime": "20260101120000.750000",
    "ContentDate": "20260101",
    "ContentTime": "120001.000000",
    "AccessionNumber": "A0000001",
    "InstitutionName": "Measured Hospital",
    "InstitutionAddress": "1 Loopback Street",
    "InstitutionalDepartmentName": "Radiology",
    "StationName": "SCANNER1",
    "StudyDescription": "BENCHMARK",
    "ReferringPhysicianName": "Referring^Physician",
    "PerformingPhysicianName": "Performing^Physician",
    "OperatorsName": "Operator^One",
    "ManufacturerModelName": "Phantom Scanner 64",
    "DeviceSerialNumber": "60000",
    "SoftwareVersions": "syngo 2026A",
    "PatientBirthDate": "19700101",
    "PatientAge": "056Y",
    "PatientSize": "1.75",
    "PatientWeight": "75",
    "PatientComments": "none",
    "BodyPartExamined": "CHEST",
    "ProtocolName": "Chest routine",
    "DateOfLastCalibration": "20251231",
    "TimeOfLastCalibration": "070000",
    "PositionReferenceIndicator": "",
    "ImageComments": "benchmark object",
    "Laterality": "",
    "LossyImageCompression": "00",
    "SmallestImagePixelValue": 0,
    "LargestImagePixelValue": 4095,
    "WindowCenter": ["40", "300"],
    "WindowWidth": ["400", "1500"],
    "WindowCenterWidthExplanation": ["WINDOW1", "WINDOW2"],
    "RequestingPhysician": "Requesting^Physician",
    "RequestingService": "Pulmonology",
    "RequestedProcedureDescription": "Chest",
    "PerformedProcedureStepStartDate": "20260101",
    "PerformedProcedureStepStartTime": "115900",
    "PerformedProcedureStepID": "P0000001",
    "PerformedProcedureStepDescription": "Chest",
    "CommentsOnThePerformedProcedureStep": "",
}
CT: dict[str, Any] = {
    "ScanOptions": "SPIRAL",
    "DataCollectionDiameter": "500",
    "ReconstructionDiameter": "358",
    "DistanceSourceToDetector": "1085.6",
    "DistanceSourceToPatient": "595",
    "TableHeight": "151",
    "RotationDirection": "CW",
    "ExposureTime": "500",
    "XRayTubeCurrent": "220",
    "Exposure": "110",
    "FilterType": "WEDGE_3",
    "GeneratorPower": "26",
    "FocalSpots": "1.2",
    "SingleCollimationWidth": 0.6,
    "TotalCollimationWidth": 38.4,
    "TableSpeed": 46.0,
    "TableFeedPerRotation": 23.0,
    "SpiralPitchFactor": 0.6,
    "CTDIvol": 7.4,
    "SliceLocation": "0",
}
MR: dict[str, Any] = {
    "Modality": "MR",
    "ImageType": ["ORIGINAL", "PRIMARY", "M", "ND"],
    "BodyPartExamined": "BRAIN",
    "ProtocolName": "ep2d_bold",
    "ScanningSequence": "EP",
    "SequenceVariant": "SK",
    "ScanOptions": "FS",
    "MRAcquisitionType": "2D",
    "SequenceName": "*epfid2d1_64",
    "AngioFlag": "N",
    "RepetitionTime": "2000",
    "EchoTime": "30",
    "NumberOfAverages": "1",
    "ImagingFrequency": "123.25",
    "ImagedNucleus": "1H",
    "EchoNumbers": "1",
    "MagneticFieldStrength": "3",
    "SpacingBetweenSlices": "3.6",
    "NumberOfPhaseEncodingSteps": "63",
    "EchoTrainLength": "31",
    "PercentSampling": "100",
    "PercentPhaseFieldOfView": "100",
    "PixelBandwidth": "2232",
    "TransmitCoilName": "Body",
    "AcquisitionMatrix": [64, 0, 0, 64],
    "InPlanePhaseEncodingDirection": "COL",
    "FlipAngle": "90",
    "SAR": "0.05",
    "SliceLocation": "0",
}
ONLY_CT = (
    "ConvolutionKernel",
    "KVP",
    "GantryDetectorTilt",
    "RescaleIntercept",
    "RescaleSlope",
    "RescaleType",
)
VENDOR_TEXT_BYTES = 1024  # vendors write a protocol of one to hundreds of KB into a private element


def complete(dataset: Dataset, *, is_mr: bool) -> None:
    """Fill the header of a CT phantom's slice up, as a CT or as an MR scanner would."""
    for keyword, value in (COMMON | (MR if is_mr else CT)).items():
        setattr(dataset, keyword, value)
    if is_mr:
        dataset.SOPClassUID = MRImageStorage
        for keyword in ONLY_CT:
            delattr(dataset, keyword)
    dataset.ProcedureCodeSequence = [_code("RPID16", "99RPID", "CT CHEST")]
    dataset.ReferencedStudySequence = [_reference("1.2.840.10008.3.1.2.3.1", "study")]
    dataset.ReferencedImageSequence = [_reference(dataset.SOPClassUID, f"localizer {n}") for n in range(3)]
    request = Dataset()
    request.RequestedProcedureID = "R0000001"
    request.ScheduledProcedureStepID = "S0000001"
    request.ScheduledProcedureStepDescription = "Chest"
    dataset.RequestAttributesSequence = [request]
    private = dataset.private_block(0x0029, "PREPNODE BENCHMARK", create=True)
    private.add_new(0x10, "OB", bytes(range(256)) * (VENDOR_TEXT_BYTES // 256))
    private.add_new(0x11, "LO", "20260101")


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def _reference(sop_class_uid: str, name: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = UID(sop_class_uid), uid("reference", name)
    return item
