"""The contrast phase: what supports it, how much, and when the node must say that it does not know."""

from __future__ import annotations

from dataclasses import replace

import pytest

from handlers.model import Severity
from handlers.triage import (
    contrast_agent,
    contrast_mr,
    contrast_order,
    contrast_phase,
    phase_evidence,
    phase_fusion,
    phase_times,
)
from triage_cases import codes, header, multi_frame, only, series, sibling, volume

NOON = {
    "AcquisitionDate": "20260102",
    "AcquisitionTime": "120100",
    "SeriesTime": "115500",
    "StudyTime": "115000",
}


def judged(need_phase=False, study=(), **attributes):
    return contrast_phase.ContrastPhase(need_phase)(series(volume("CT", **attributes), study=study))


def fact(findings):
    return next(f.evidence["contrast"] for f in findings if "contrast" in f.evidence)


@pytest.mark.parametrize(
    ("words", "label"),
    [
        ("CHEST W/O CONTRAST", "NON_CONTRAST"), ("PULMONARY ARTERIAL", "PULMONARY_ARTERIAL"), ("arteriell", "ARTERIAL"),
        ("PORTAL VENOUS", "PORTAL_VENOUS"), ("NEPHROGRAPHIC", "NEPHROGRAPHIC"), ("DELAYED", "DELAYED"), ("EXCRETORY", "EXCRETORY"),
    ],
)  # fmt: skip
def test_a_phase_word_in_the_description_is_enough(words, label):
    findings = judged(
        SeriesDescription=words, ContrastBolusAgent="" if label == "NON_CONTRAST" else "IOPAMIRO"
    )
    assert codes(findings) == ["CON-001"]
    assert fact(findings)["label"] == label
    assert fact(findings)["confidence"] >= 0.85


def test_no_word_and_no_agent_is_unknown_not_unenhanced():
    # contrast tags are missing or wrong in most CTs, so that silence proves nothing
    findings = judged()
    assert codes(findings) == ["CON-002"]
    assert only(findings).severity is Severity.WARN
    assert fact(findings)["label"] == "UNKNOWN"


def test_an_agent_without_a_phase_is_contrast_of_unknown_phase():
    findings = judged(ContrastBolusAgent="ISOVUE 300")
    assert codes(findings) == ["CON-002"]
    assert (fact(findings)["label"], fact(findings)["code"]) == ("CE_UNSPECIFIED", "CE")


def test_a_profile_that_needs_a_phase_holds_what_has_none():
    assert only(judged(need_phase=True)).severity is Severity.REVIEW
    assert (
        only(judged(need_phase=True, SeriesDescription="DELAYED", ContrastBolusAgent="X")).severity
        is Severity.INFO
    )


@pytest.mark.parametrize(
    "value",
    [
        "NONE",
        "OHNE KM",
        "BRAK",
        "nessuno",
        "N/A",
        "NA",
        "NO",
        "no contrast",
        "No IV",
        "No agent given",
        "NIL",
        "None given",
    ],
)
def test_an_agent_that_says_none_is_none(value):
    (line,) = list(fact(judged(ContrastBolusAgent=value))["evidence"])
    assert line["supports"] == "NC"


@pytest.mark.parametrize(
    "value",
    ["Na diatrizoate", "No. 1 Ultravist", "No oral, 100 ml Omnipaque 350 IV", "NILE BLUE", "Nonionic"],
)
def test_an_agent_that_only_begins_like_none_is_one(value):
    lines = fact(judged(ContrastBolusAgent=value))["evidence"]
    assert [line["supports"] for line in lines] == ["CE"]


@pytest.mark.parametrize(
    ("route", "is_elsewhere"),
    [
        ("Oral", True), ("Per rectum", True), ("Intra-articular route", True), ("Intravesical", True), ("Per ostomy", True),
        ("Intraperitoneal route", True), ("Intrathecal route", True), ("Intravenous route", False),
    ],
)  # fmt: skip
def test_a_coded_route_outside_the_veins_is_noted(route, is_elsewhere):
    way = header({"CodeMeaning": route})
    given = volume("CT", ContrastBolusAgent="Iohexol", ContrastBolusAdministrationRouteSequence=[way])
    assert codes(contrast_agent.other_routes(series(given))) == (["CON-008"] if is_elsewhere else [])


def test_no_oral_agent_says_nothing_of_the_veins():
    assert fact(judged(ContrastBolusAgent="NO ORAL"))["label"] == "UNKNOWN"


def test_the_study_description_never_says_that_there_was_no_contrast():
    # the study is named after what was ordered
    findings = judged(StudyDescription="CT HEAD W/O CONTRAST")
    assert fact(findings)["label"] == "UNKNOWN"
    assert [line["source"] for line in fact(findings)["evidence"]] == ["ContrastBolusAgent"]


def test_the_protocol_name_alone_is_not_enough():
    assert fact(judged(ProtocolName="ABDOMEN PORTAL VENOUS"))["label"] != "PORTAL_VENOUS"


def test_the_name_of_an_examination_gives_an_uncertain_label():
    findings = judged(SeriesDescription="CTA CHEST", ContrastBolusAgent="X")
    assert codes(findings) == ["CON-001", "CON-003"]
    assert only(findings, "CON-003").severity is Severity.WARN


def test_without_and_with_in_one_description_decides_nothing():
    assert fact(judged(SeriesDescription="ABDOMEN W/WO"))["label"] == "UNKNOWN"


def test_two_far_phases_in_one_description_contradict_each_other():
    finding = only(judged(SeriesDescription="NATIVE + DELAYED"), "CON-004")
    assert finding.severity is Severity.REVIEW


def test_description_against_its_code_is_a_contradiction():
    code = header({"CodeValue": "1", "CodeMeaning": "CT arterial phase"})
    findings = judged(SeriesDescription="CHEST W/O CONTRAST", SeriesDescriptionCodeSequence=[code])
    assert only(findings, "CON-004").severity is Severity.REVIEW


def test_neighbouring_phases_are_no_contradiction():
    assert "CON-004" not in codes(judged(SeriesDescription="ARTERIAL PORTAL", ContrastBolusAgent="X"))


def test_an_agent_copied_to_the_unenhanced_series_is_no_contradiction():
    findings = judged(SeriesDescription="CHEST W/O CONTRAST", ContrastBolusAgent="ISOVUE 300")
    assert "CON-004" not in codes(findings)
    assert fact(findings)["label"] == "NON_CONTRAST"


def test_evident_contrast_without_a_recorded_agent_is_marked():
    assert "CON-005" in codes(judged(SeriesDescription="PORTAL VENOUS"))
    assert "CON-005" not in codes(judged(SeriesDescription="CHEST W/O CONTRAST"))


def test_the_delay_after_injection_supports_its_phase():
    findings = judged(
        ContrastBolusStartTime="115950", ContrastBolusAgent="X", **NOON
    )  # 70 s before the acquisition
    assert fact(findings)["label"] == "PORTAL_VENOUS"
    assert "CON-006" not in codes(findings)


def test_an_injection_before_midnight_is_no_day_ago():
    times = {"AcquisitionDate": "20260102", "AcquisitionTime": "000030", "SeriesTime": "000000"}
    findings = judged(ContrastBolusStartTime="235920", ContrastBolusAgent="X", **times)
    assert fact(findings)["label"] == "PORTAL_VENOUS"


def test_an_acquisition_before_the_injection_is_unenhanced():
    evidence = phase_evidence.delay_evidence(phase_times.Injection(-60.0))
    assert evidence[0].supports == ("NC",)


@pytest.mark.parametrize("start", ["115500", "115000", "060000"])
def test_a_start_that_repeats_another_time_or_lies_hours_back_is_not_used(start):
    findings = judged(ContrastBolusStartTime=start, ContrastBolusAgent="X", **NOON)
    assert only(findings, "CON-006").severity is Severity.INFO
    assert fact(findings)["label"] == "CE_UNSPECIFIED"


def test_content_time_is_never_taken_for_the_acquisition():
    findings = judged(
        ContrastBolusStartTime="115950", ContrastBolusAgent="X", ContentTime="120100", ContentDate="20260102"
    )
    assert fact(findings)["label"] == "CE_UNSPECIFIED"


def test_kernel_names_are_no_delays():
    assert fact(judged(SeriesDescription="ABDOMEN 5.0 B30s"))["label"] == "UNKNOWN"


def test_the_usage_of_enhanced_ct_counts():
    usage = header(
        {
            "ContrastBolusAgentNumber": 1,
            "ContrastBolusAgentAdministered": "YES",
            "ContrastBolusAgentPhase": "PORTAL_VENOUS",
        }
    )
    enhanced = multi_frame(volume("CT"), ContrastBolusUsageSequence=[usage])
    findings = contrast_phase.ContrastPhase()(series(enhanced))
    assert fact(findings)["label"] == "PORTAL_VENOUS"


def test_an_earlier_bolus_tracking_series_says_that_contrast_was_given():
    study = (
        sibling(SeriesDescription="PreMonitoring", AcquisitionDate="20260102", AcquisitionTime="115900"),
    )
    findings = judged(study=study, **NOON)
    assert fact(findings)["code"] == "CE"
    assert fact(judged(study=(sibling(SeriesDescription="PreMonitoring"),), **NOON))["label"] == "UNKNOWN"


def test_every_line_of_evidence_has_source_raw_text_and_weight():
    for line in fact(judged(SeriesDescription="PORTAL VENOUS 70s", ContrastBolusAgent="X"))["evidence"]:
        assert set(line) == {"source", "raw", "supports", "weight"}


def test_virtual_non_contrast_is_a_label_of_its_own():
    virtual = volume("CT", SeriesDescription="VNC ABDOMEN")
    assert fact(contrast_phase.ContrastPhase()(series(virtual)))["label"] == "VIRTUAL_NON_CONTRAST"
    assert only(contrast_phase.virtual_or_spectral(series(virtual))).code == "CON-009"


@pytest.mark.parametrize(
    "attributes",
    [{"ImageType": ["DERIVED", "PRIMARY", "AXIAL", "MONO_E"]}, {"MultienergyCTAcquisition": "YES"}],
)
def test_spectral_results_are_marked(attributes):
    assert codes(contrast_phase.virtual_or_spectral(series(volume("CT", **attributes)))) == ["CON-009"]


def test_a_true_unenhanced_scan_is_not_virtual():
    assert (
        contrast_phase.virtual_or_spectral(
            series(volume("CT", SeriesDescription="TNC", MultienergyCTAcquisition="NO"))
        )
        == []
    )


@pytest.mark.parametrize(
    "attributes",
    [{"ContrastBolusRoute": "ORAL"}, {"ContrastBolusRoute": "RECTAL"}, {"ContrastBolusRoute": "IA"}],
)
def test_contrast_outside_the_veins_is_no_phase(attributes):
    oral = volume("CT", ContrastBolusAgent="GASTROGRAFIN", **attributes)
    assert codes(contrast_agent.other_routes(series(oral))) == ["CON-008"]
    assert fact(contrast_phase.ContrastPhase()(series(oral)))["label"] == "UNKNOWN"


def test_oral_and_intravenous_contrast_is_contrast():
    both = volume("CT", ContrastBolusAgent="ORAL & IV")
    assert codes(contrast_agent.other_routes(series(both))) == ["CON-008", "CON-010"]
    assert fact(contrast_phase.ContrastPhase()(series(both)))["code"] == "CE"


def test_intravenous_contrast_alone_is_not_noted():
    assert (
        contrast_agent.other_routes(series(volume("CT", ContrastBolusAgent="X", ContrastBolusRoute="IV")))
        == []
    )


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [({"ContrastBolusAgent": "11 ml Omniscan"}, ["CON-001"]), ({"SeriesDescription": "T1 post Gd"}, ["CON-001"]), ({}, []),
     ({"ContrastBolusAgent": "NONE"}, []), ({"SeriesDescription": "T1 ARTERIAL"}, [])],
)  # fmt: skip
def test_mr_says_contrast_but_claims_no_phase(attributes, expected):
    findings = contrast_mr.mr_contrast(series(volume("MR", **attributes)))
    assert codes(findings) == expected
    assert all(f.evidence["contrast"]["label"] == "CE_UNSPECIFIED" for f in findings)


def _ordered(own, other, other_time, **facts):
    study = (
        sibling(
            SeriesDescription=other,
            AcquisitionDate="20260102",
            AcquisitionTime=other_time,
            Modality="CT",
            **facts,
        ),
    )
    return contrast_order.phase_order(series(volume("CT", SeriesDescription=own, **NOON), study=study))


@pytest.mark.parametrize(
    ("own", "other", "time"),
    [
        ("ARTERIAL", "PORTAL VENOUS", "115800"),
        ("PORTAL VENOUS", "W/O CONTRAST", "120500"),
        ("ARTERIAL", "DELAYED", "120100"),
    ],
)
def test_phases_in_an_impossible_order_are_marked(own, other, time):
    finding = only(_ordered(own, other, time))
    assert (finding.code, finding.severity) == ("CON-007", Severity.WARN)


@pytest.mark.parametrize(
    ("own", "other", "time"),
    [("ARTERIAL", "PORTAL VENOUS", "120200"), ("ARTERIAL", "W/O CONTRAST", "115000"), ("PORTAL VENOUS", "NEPHROGRAPHIC", "115900"),
     ("ARTERIAL", "ARTERIAL", "115900"), ("ARTERIAL", "THORAX", "115900"), ("CTA", "PORTAL VENOUS", "115900")],
)  # fmt: skip
def test_phases_in_their_order_or_unnamed_are_fine(own, other, time):
    assert _ordered(own, other, time) == []


@pytest.mark.parametrize("delay", [10, 35, 70, 100, 200, 600])
def test_likelihoods_of_a_delay_are_probable_and_never_zero(delay):
    likelihood = phase_fusion.likelihood_of_delay(delay)
    assert all(0 < value <= 1 for value in likelihood.values())
    assert likelihood["NC"] < max(likelihood.values())


@pytest.mark.parametrize(
    ("delay", "phase"), [(12, "PA"), (35, "ART"), (70, "PV"), (110, "NEPH"), (200, "DEL"), (900, "EXC")]
)
def test_a_delay_supports_the_phase_of_its_interval(delay, phase):
    assert phase in phase_fusion.supported_by(phase_fusion.likelihood_of_delay(delay))


def test_the_first_seconds_support_nothing():
    assert phase_evidence.delay_evidence(phase_times.Injection(3.0)) == []


def test_a_long_comment_is_quoted_only_in_part():
    (line,) = [
        e
        for e in fact(judged(ImageComments="arteriell " + "x" * 500))["evidence"]
        if e["source"] == "ImageComments"
    ]
    assert len(line["raw"]) == 64


@pytest.mark.parametrize(
    ("attributes", "source"),
    [
        ({"ContrastBolusVolume": 80}, "ContrastBolusVolume"), ({"ContrastFlowRate": 3}, "ContrastFlowRate"),
        ({"RequestedContrastAgent": "IOMERON"}, "RequestedContrastAgent"),
    ],
)  # fmt: skip
def test_amounts_and_requests_say_that_contrast_was_given(attributes, source):
    lines = fact(judged(**attributes))["evidence"]
    assert ("CE", source) in [(line["supports"], line["source"]) for line in lines]


@pytest.mark.parametrize("attributes", [{"ContrastBolusVolume": 0}, {"RequestedContrastAgent": "NONE"}])
def test_no_amount_and_no_request_say_nothing_of_contrast(attributes):
    assert "CE" not in [line["supports"] for line in fact(judged(**attributes))["evidence"]]


@pytest.mark.parametrize("value", ["ORAL, NO IV", "ORAL ONLY", "BARIUM"])
def test_an_agent_that_denies_the_vein_is_no_phase(value):
    assert fact(judged(ContrastBolusAgent=value))["label"] == "UNKNOWN"


def test_an_agent_may_stand_in_a_sequence():
    coded = header({"CodeValue": "1", "CodeMeaning": "Iohexol"})
    assert fact(judged(ContrastBolusAgentSequence=[coded]))["code"] == "CE"


@pytest.mark.parametrize(("detected", "code"), [("YES", "CE"), ("NO", "UNKNOWN")])
def test_given_but_not_seen_in_the_image_says_nothing(detected, code):
    usage = header({"ContrastBolusAgentAdministered": "YES", "ContrastBolusAgentDetected": detected})
    enhanced = multi_frame(volume("CT"), ContrastBolusUsageSequence=[usage])
    assert fact(contrast_phase.ContrastPhase()(series(enhanced)))["code"] == code


def test_an_agent_that_says_none_against_a_phase_is_marked():
    finding = only(judged(SeriesDescription="PORTAL VENOUS", ContrastBolusAgent="NONE"), "CON-005")
    assert finding.severity is Severity.WARN


def test_another_reconstruction_of_the_same_irradiation_names_the_phase():
    study = (sibling(SeriesDescription="ABD ART 1.0", IrradiationEventUID="1.2.7", Modality="CT"),)
    own = {"SeriesDescription": "LUNG 1.0", "ContrastBolusAgent": "X"}
    assert fact(judged(study=study, IrradiationEventUID="1.2.7", **own))["label"] == "ARTERIAL"
    assert fact(judged(study=study, IrradiationEventUID="1.2.6", **own))["label"] == "CE_UNSPECIFIED"


def test_one_irradiation_has_one_phase():
    study = (sibling(SeriesDescription="DELAYED", IrradiationEventUID="1.2.7", Modality="CT"),)
    own = series(volume("CT", SeriesDescription="ARTERIAL", IrradiationEventUID="1.2.7"), study=study)
    assert only(contrast_order.phase_order(own)).code == "CON-007"


def _between(*others):
    study = tuple(
        replace(
            sibling(SeriesDescription=text, AcquisitionDate="20260102", AcquisitionTime=time, Modality="CT"),
            series_instance_uid=f"1.2.11.{index}",
        )
        for index, (text, time) in enumerate(others)
    )
    lines = fact(judged(study=study, ContrastBolusAgent="X", **NOON))["evidence"]
    return [line["supports"] for line in lines if line["source"] == "study order"]


def test_the_order_of_the_study_leaves_only_what_lies_between():
    assert _between(("ARTERIAL", "120000"), ("DELAYED", "120500")) == ["ART|PV|NEPH|DEL"]


@pytest.mark.parametrize("others", [(), (("THORAX", "120000"),), (("LUNG", "120000"), ("BONE", "120200"))])
def test_series_that_name_no_phase_change_nothing(others):
    assert _between(*others) == []


def test_passes_of_a_ge_scan_differ_by_their_delta():
    def at(delta_ms):
        made = volume("CT", AcquisitionDate="20260102", AcquisitionTime="120000")
        for each in made.instances:
            block = each.header.private_block(0x0043, "GEMS_PARM_01", create=True)
            block.add_new(0x1E, "DS", str(delta_ms))
        return phase_times.volume_time(made)

    assert (at(2500) - at(0)).total_seconds() == 2.5


def test_a_judgement_changes_no_attribute():
    given = volume(
        "CT", SeriesDescription="ARTERIAL", ContrastBolusAgent="", ContrastBolusStartTime="115950", **NOON
    )
    before = [each.header.to_json() for each in given.instances]
    contrast_phase.ContrastPhase()(series(given))
    assert [each.header.to_json() for each in given.instances] == before


def test_oral_contrast_in_the_description_is_noted():
    found = contrast_agent.other_routes(series(volume("CT", SeriesDescription="ABD WITH ORAL CONTRAST")))
    assert codes(found) == ["CON-008"]


def _dynamic(**attributes):
    made = [
        volume("MR", index=index, TemporalPositionIdentifier=index + 1, ContrastBolusAgent="GADOVIST",
               AcquisitionDate="20260102", AcquisitionTime=time, **attributes)
        for index, time in enumerate(("120000", "120050", "120130"))
    ]  # fmt: skip
    found = contrast_mr.mr_contrast(series(*made))
    return [f.evidence["contrast"]["code"] for f in found if f.code == "CON-001"], codes(found)


def test_a_dynamic_mr_series_is_labelled_by_the_time_after_injection():
    labels, found = _dynamic(ContrastBolusStartTime="120020")
    assert labels == ["NC", "ART", "PV"]
    assert found == ["CON-001"] * 3


def test_without_that_time_only_the_first_position_is_before_contrast():
    labels, found = _dynamic()
    assert labels == ["NC", "CE", "CE"]
    assert found.count("CON-003") == 1
    assert "CON-006" not in found


def test_an_injection_hours_before_a_dynamic_mr_series_is_not_used():
    assert "CON-006" in _dynamic(ContrastBolusStartTime="060000")[1]
