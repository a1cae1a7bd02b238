"""report.html: says the verdict in words, shows the picture, and trusts no text of a header."""

import html.parser

import pytest

import data
from handlers.model import Completion, Finding, Scope, Severity, Verdict
from handlers.outputs import preview, report_page
from handlers.outputs.report import report
from outcomes import ct_volume, kernel_finding, outcome_of

ATTACK = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>&{{7*7}}"
HEADINGS = {
    Verdict.ACCEPT: "Ready to use",
    Verdict.ACCEPT_WARN: "Usable, with warnings",
    Verdict.QUARANTINE: "Held: a person must look",
    Verdict.REJECT: "Not usable for processing",
}


class Reader(html.parser.HTMLParser):
    """What a browser would see: tags, attributes, text."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.text = [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]

    def handle_data(self, found):
        self.text += found


def page_of(*volumes, pictures=None, **changes):
    return report_page.page(report(outcome_of(*(volumes or (ct_volume(),)), **changes)), pictures or {})


@pytest.mark.parametrize(("verdict", "words"), HEADINGS.items())
def test_the_verdict_comes_first_and_in_words(verdict, words):
    text = page_of(verdicts=(verdict,))
    assert f"<h1>{words}</h1>" in text
    assert text.index(words) < text.index("Volume")


def test_no_text_of_header_or_finding_can_become_markup():
    volume = ct_volume(modality=ATTACK, units=ATTACK)
    evidence = {ATTACK: ATTACK, "list": [ATTACK], "kernel": {"raw": ATTACK, "class": ATTACK},
                "contrast": {"label": ATTACK, "confidence": 0.5, "evidence": [{"raw": ATTACK}]},
                "cardiac": {"phase": ATTACK}, "respiratory": {"phase": ATTACK}}  # fmt: skip
    findings = tuple(
        Finding("KER-001", severity, ATTACK, Scope.VOLUME, "v0", evidence) for severity in Severity
    )
    findings += (Finding(ATTACK, Severity.WARN, ATTACK, Scope.INSTANCE, ATTACK, evidence),)
    outcome = outcome_of(volume, findings=findings)
    described = report(outcome)
    described["SeriesInstanceUID"] = described["StudyInstanceUID"] = ATTACK
    described["completion"] = {"reason": ATTACK, "evidence": {ATTACK: ATTACK}}
    described["provenance"]["software"] = ATTACK
    described["volumes"][0]["file"] = ATTACK
    described["volumes"][0]["orientation"] = ATTACK[:3]
    seen = Reader(report_page.page(described, {0: b"png"}))
    assert "script" not in seen.tags
    assert seen.tags.count("img") == 1
    assert not [name for _, name, _ in seen.attributes if name.startswith("on")]
    assert "{{7*7}}" in seen.text
    assert "49" not in seen.text.replace("{{7*7}}", "")[:200]


def test_the_page_needs_nothing_else():
    seen = Reader(page_of(pictures={0: preview.png(ct_volume())}))
    links = [value for _, name, value in seen.attributes if name in ("src", "href")]
    assert links
    assert all(link.startswith("data:image/png;base64,") for link in links)
    assert "link" not in seen.tags


def test_findings_are_grouped_by_concern_with_meaning_and_advice():
    findings = (
        kernel_finding(),
        Finding(
            "GEO-008",
            Severity.WARN,
            "the slices are sheared by 14.3 degrees",
            Scope.VOLUME,
            "v0",
            {"shear_deg": 14.3},
        ),
        Finding(
            "GEO-005", Severity.REVIEW, "1 slice is missing", Scope.VOLUME, "v0", {"gaps_mm": [2.0, 4.0]}
        ),
    )
    text = page_of(findings=findings, verdicts=(Verdict.QUARANTINE,))
    order = [text.index(f'badge">{code}') for code in ("GEO-005", "GEO-008", "KER-001")]
    assert order == sorted(order)
    assert "What to do:" in text
    assert "The slices are sheared by 14.3 degrees" in text
    assert "volume 0" in text


def test_the_reasons_stand_beside_the_verdict():
    findings = (
        Finding("GEO-008", Severity.WARN, "sheared", Scope.VOLUME, "v0"),
        Finding("GEO-005", Severity.REVIEW, "1 slice is missing", Scope.VOLUME, "v0"),
    )
    top = page_of(findings=findings, verdicts=(Verdict.QUARANTINE,)).partition("Series Instance UID")[0]
    assert "GEO-005" in top
    assert "GEO-008" not in top


def test_a_finding_with_an_unknown_code_shows_its_message():
    assert "Something a site found" in page_of(
        findings=(Finding("SITE-001", Severity.WARN, "something a site found"),)
    )


def test_what_was_released_is_not_said_to_be_held():
    hole = Finding("GEO-005", Severity.REVIEW, "slices are missing", Scope.VOLUME, "v0")
    held = page_of(findings=(hole,), verdict=Verdict.QUARANTINE)
    released = page_of(findings=(hole,), verdict=Verdict.ACCEPT_WARN)
    assert "What a person must decide" in held
    assert "What a person must decide" not in released
    assert "The volume is held" not in released
    assert "let it pass" in released


def test_one_finding_of_many_instances_is_told_once():
    findings = tuple(
        Finding("LOS-001", Severity.WARN, "the instance was lossy compressed", Scope.INSTANCE, f"1.2.{n}")
        for n in range(9)
    )
    text = page_of(findings=findings)
    assert text.count("The instance was lossy compressed") == 1
    assert "9 times" in text
    assert "and 4 more" in text


def test_picture_has_a_text_for_those_who_cannot_see_it():
    seen = Reader(page_of(pictures={0: preview.png(ct_volume())}))
    (alternative,) = [value for tag, name, value in seen.attributes if (tag, name) == ("img", "alt")]
    assert "cut through its centre" in alternative


def test_facts_are_told_in_words_and_units():
    text = page_of(findings=(kernel_finding(),))
    for words in (
        "24 x 32 x 6 voxels",
        "0.5 x 0.5 x 2 mm",
        "12 x 16 x 12 mm",
        "towards left, back, head",
        "HU",
        "B30f (smooth)",
    ):
        assert words in text.replace("\N{MULTIPLICATION SIGN}", "x")


def test_no_name_of_a_patient_and_a_word_of_caution():
    text = page_of(
        ct_volume(data.ct_series(slices=3, rows=8, columns=8, PatientName="Doe^Jane", PatientID="4711x"))
    )
    assert "Doe" not in text
    assert "4711x" not in text
    assert "not a medical device" in text


def test_the_reason_for_completion_is_told():
    outcome = outcome_of(ct_volume())
    described = report(outcome)
    described["completion"] = {"reason": "contiguous, association released", "evidence": {"quiet_s": 1.5}}
    assert "contiguous, association released" in report_page.page(described, {})
    assert Completion("x").evidence == {}


def test_written_page_holds_the_pictures_of_the_folder(tmp_path):
    outcome = outcome_of(ct_volume())
    products = preview.write(outcome, tmp_path)
    (product,) = report_page.write(outcome_of(ct_volume(), products=tuple(products)), tmp_path)
    assert "data:image/png;base64," in (tmp_path / product.path).read_text("utf-8")
