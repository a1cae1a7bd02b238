"""Contrast phases from descriptions in six languages, and the words that only look like one."""

from __future__ import annotations

import pytest

from handlers.triage.phase_lexicon import read

PHASES = [
    # English
    ("CHEST W/O CONTRAST", "NC"), ("NON-CONTRAST", "NC"), ("NON CON HEAD", "NC"), ("ABDOMEN UNENHANCED", "NC"), ("NCCT", "NC"),
    ("PRE CONTRAST", "NC"), ("ABD C-", "NC"), ("TNC", "NC"), ("PLAIN HEAD", "NC"), ("ABD ART PHASE 1.0", "ART"),
    ("EARLY ARTERIAL", "ART"), ("LATE ARTERIAL", "ART"), ("CORTICOMEDULLARY", "ART"), ("AORTIC PHASE", "ART"),
    ("PORTAL VENOUS", "PV"), ("ABD PV 5MM", "PV"), ("VENOUS", "PV"), ("NEPHROGRAPHIC PHASE", "NEPH"), ("DELAYED", "DEL"),
    ("LATE VENOUS", "DEL"), ("EQUILIBRIUM", "DEL"), ("WASHOUT", "DEL"), ("EXCRETORY PHASE", "EXC"), ("CT IVP PYELOGRAPHIC", "EXC"),
    ("CHEST W CONTRAST", "CE"), ("ABD W/ CONTRAST", "CE"), ("CHEST C+", "CE"), ("POST CONTRAST", "CE"), ("CECT", "CE"),
    ("PULMONARY ARTERIAL", "PA"), ("VNC", "VNC"), ("Virtual Non Contrast", "VNC"),
    # German
    ("Abdomen nativ", "NC"), ("Thorax ohne KM", "NC"), ("Schädel o. KM", "NC"), ("mit KM", "CE"), ("nach KM-Gabe", "CE"),
    ("KM+", "CE"), ("arteriell", "ART"), ("spätarteriell", "ART"), ("frühart. Phase", "ART"), ("portalvenös", "PV"), ("venös 70s", "PV"),
    ("Spätphase", "DEL"), ("spätvenös", "DEL"), ("Ausscheidungsphase", "EXC"), ("parenchymatöse Phase", "NEPH"),
    # French
    ("SANS INJECTION", "NC"), ("Sans IV", "NC"), ("AVEC INJECTION", "CE"), ("Après injection", "CE"), ("temps artériel", "ART"),
    ("temps portal", "PV"), ("temps veineux", "PV"), ("temps tardif", "DEL"), ("temps excréteur", "EXC"),
    # Spanish
    ("SIN CONTRASTE", "NC"), ("S/ contraste", "NC"), ("TC simple", "NC"), ("CON CONTRASTE", "CE"), ("C/ contraste", "CE"),
    ("fase arterial", "ART"), ("fase portal", "PV"), ("fase nefrográfica", "NEPH"), ("fase tardía", "DEL"), ("fase excretora", "EXC"),
    # Polish
    ("bez kontrastu", "NC"), ("przed podaniem kontrastu", "NC"), ("z kontrastem", "CE"), ("po kontraście", "CE"),
    ("faza tętnicza", "ART"), ("faza wrotna", "PV"), ("faza żylna", "PV"), ("faza miąższowa", "NEPH"), ("faza opóźniona", "DEL"),
    ("faza wydalnicza", "EXC"),
    # Italian
    ("SENZA MDC", "NC"), ("smdc", "NC"), ("basale", "NC"), ("CON MDC", "CE"), ("dopo mdc", "CE"), ("fase arteriosa", "ART"),
    ("fase portale", "PV"), ("fase venosa", "PV"), ("fase tardiva", "DEL"), ("fase escretrice", "EXC"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), PHASES, ids=[text for text, _ in PHASES])
def test_a_description_names_its_phase(text, expected):
    reading = read(text)
    assert reading.phases == (expected,)
    assert not reading.is_protocol
    assert not reading.is_mixed


@pytest.mark.parametrize(
    "text",
    [
        "", "THORAX", "LATERAL", "ARTIFACT REDUCTION", "C-SPINE", "C SPINE W C SPINE", "HEAD 5.0 H30s", "Br40d", "CTAP", "PORTABLE CHEST",
        "BASAL GANGLIA", "NATIVE KIDNEY", "ARTHROGRAM", "PARENCHYME PULMONAIRE", "PULMONARY VEINS", "PORT A CATH", "NEPHROSTOMY",
        "ALTERNATE", "with oral contrast", "PO CONTRAST", "SEGMENT IV", "BILATERAL", "PLATEAU", "STANDARD", "10 CM", "ABDOMEN 1.5 I31f 3",
        "VENTRICLE", "PARTIAL", "HEART", "MITRAL VALVE", "COMPARTMENT", "ISOTROPIC",
    ],
)  # fmt: skip
def test_words_that_look_like_a_phase_name_none(text):
    assert read(text).phases == ()


@pytest.mark.parametrize(
    "text",
    [
        "ABDOMEN W/WO", "W WO CONTRAST", "W/ AND W/O CONTRAST", "WITHOUT AND WITH CONTRAST", "mit/ohne KM", "ohne und mit KM",
        "sans et avec injection", "S/C y C/C", "bez i z kontrastem", "senza e con mdc", "PRE/POST CONTRAST", "+/- C",
    ],
)  # fmt: skip
def test_with_and_without_says_neither(text):
    reading = read(text)
    assert reading.is_mixed
    assert reading.phases == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("CTA CHEST", "ART"),
        ("CTPA", "PA"),
        ("PE PROTOCOL", "PA"),
        ("CT UROGRAM", "EXC"),
        ("Lungenembolie", "PA"),
    ],
)
def test_the_name_of_an_examination_is_only_that(text, expected):
    reading = read(text)
    assert reading.phases == (expected,)
    assert reading.is_protocol


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("CTA DELAYED", "DEL"),
        ("UROGRAM NC", "NC"),
        ("CTA PORTAL VENOUS", "PV"),
        ("CT UROGRAM NEPHROGRAPHIC", "NEPH"),
    ],
)
def test_a_phase_beats_the_name_of_the_examination(text, expected):
    assert read(text).phases == (expected,)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("ABD 70s", 70),
        ("70 sec delay", 70),
        ("DELAY 5 MIN", 300),
        ("15 min", 900),
        ("3,5 min", 210),
        ("VEN 80 Sek", 80),
    ],
)
def test_a_time_after_injection_is_read(text, seconds):
    assert read(text).delay_s == seconds


@pytest.mark.parametrize(
    "text", ["HEAD B30s", "5 mm", "H31s 2.0", "THORAX 1.0 I70f", "B 30 smooth", "3 mins1"]
)
def test_kernels_and_thicknesses_are_no_times(text):
    assert read(text).delay_s is None


def test_a_delay_in_seconds_is_no_delayed_phase():
    assert read("70s DELAY").phases == ()


def test_two_phases_in_one_text_are_both_reported():
    assert read("ARTERIAL + DELAYED").phases == ("ART", "DEL")
