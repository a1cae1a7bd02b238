"""What holds for every header: no rule fails, words are words in any case, verdicts only get worse."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from handlers.api import Recipe
from handlers.model import Finding, Scope, Severity, Verdict
from handlers.triage import (
    cardiac_text,
    codestream,
    phase_fusion,
    phase_lexicon,
    respiratory_text,
    slice_spacing,
)
from handlers.triage.rules import HEADER_RULES, judge
from handlers.triage.value_histogram import histogram
from handlers.triage.verdict import ORDER, volume_verdict
from handlers.triage.words import fold, words
from triage_cases import codes, only, series, volume

PIECES = st.sampled_from(
    ["ARTERIAL", "venös", "W/O", "contrast", "70s", "C+", "-", "/", "B30s", "SCOUT", "75 %", "0 - 90 %", "4D", "MIP", "Gated, 10%A",
     "CTA", "heart", "ohne KM", "\\", "^", "é", "%", "insp", "VNC", "monitoring", "5 mm", "+/-"]
)  # fmt: skip
TEXTS = st.one_of(st.text(max_size=30), st.lists(PIECES, max_size=6).map(" ".join))


def printable(text):
    return "".join(each for each in text if each.isprintable() and each != "\\")[:60]


@settings(max_examples=60, deadline=None)
@given(
    st.fixed_dictionaries(
        {
            "SeriesDescription": TEXTS.map(printable),
            "ProtocolName": TEXTS.map(printable),
            "ConvolutionKernel": st.one_of(
                st.none(), TEXTS.map(printable), st.lists(TEXTS.map(printable), max_size=3)
            ),
            "ImageType": st.lists(
                st.sampled_from(
                    ["ORIGINAL", "DERIVED", "PRIMARY", "SECONDARY", "AXIAL", "", "MPR", "LOCALIZER"]
                ),
                max_size=5,
            ),
            "ContrastBolusAgent": st.one_of(st.none(), TEXTS.map(printable)),
            "ContrastBolusStartTime": st.one_of(
                st.none(), st.from_regex(r"\d{0,6}(\.\d{1,6})?", fullmatch=True)
            ),
            "AcquisitionTime": st.one_of(st.none(), st.from_regex(r"\d{0,6}", fullmatch=True)),
            "RescaleSlope": st.one_of(st.none(), st.sampled_from([0, 1, 2.5])),
            "PatientPosition": st.sampled_from([None, "", "HFS", "HFP", "??"]),
            "ScanOptions": st.sampled_from([None, "", "HELIX", "TP70PC300"]),
        }
    ),
    st.sampled_from(["CT", "MR", "PT"]),
)
def test_no_rule_fails_on_any_header_and_the_answer_is_always_the_same(attributes, modality):
    made = series(volume(modality, slices=3, **attributes))
    found = judge(made, HEADER_RULES)
    assert "TRI-ERR-001" not in codes(found)
    assert found == judge(made, HEADER_RULES)
    assert {finding.target for finding in found} <= {"", "v0"}


@given(TEXTS)
def test_reading_a_text_never_fails_and_ignores_case_and_accents(text):
    reading = phase_lexicon.read(text)
    assert phase_lexicon.read(fold(text)) == reading
    assert not (reading.is_mixed and reading.phases)
    cardiac_text.read(text)
    assert respiratory_text.read(fold(text)) == respiratory_text.read(text)


@given(TEXTS)
def test_words_are_separated_by_single_blanks(text):
    told = words(text)
    assert told.startswith(" ")
    assert told.endswith(" ")
    assert "  " not in told.strip() or not told.strip()


FINDINGS = st.builds(
    Finding,
    code=st.sampled_from(["GEO-005", "GEO-006", "CON-002", "X-001"]),
    severity=st.sampled_from(list(Severity)),
    message=st.just("said"),
    scope=st.just(Scope.VOLUME),
    target=st.sampled_from(["v0", "v1"]),
)
RECIPES = st.builds(
    Recipe,
    fill_missing=st.booleans(),
    release=st.booleans(),
    policy=st.dictionaries(st.sampled_from(["GEO-005", "X-001"]), st.sampled_from(list(Verdict)), max_size=2),
)


@given(st.lists(FINDINGS, max_size=6), FINDINGS, RECIPES)
def test_another_finding_never_makes_a_verdict_better(findings, more, recipe):
    one = volume("CT", slices=1)
    before, after = volume_verdict(findings, one, recipe), volume_verdict([*findings, more], one, recipe)
    assert ORDER.index(after) >= ORDER.index(before)
    assert volume_verdict(findings[::-1], one, recipe) is before


SUPPORTS = st.lists(st.sampled_from([*phase_fusion.classes(), "CE"]), min_size=1, max_size=2, unique=True)
EVIDENCE = st.builds(
    lambda supports, weight: phase_fusion.Evidence(
        "test", "", tuple(supports), weight, phase_fusion.likelihood_of(supports)
    ),
    SUPPORTS,
    st.sampled_from([0.15, 0.2, 0.5, 0.7, 1.0, 1.5]),
)


@given(st.lists(EVIDENCE, max_size=5))
def test_fusion_does_not_depend_on_order_and_stays_a_probability(evidence):
    phase = phase_fusion.fuse(evidence)
    assert 0 < phase.confidence <= 1
    again = phase_fusion.fuse(evidence[::-1])
    assert abs(again.confidence - phase.confidence) <= 0.001
    if phase.confidence > 0.62:  # away from the boundary of a label and of ties
        assert again.code == phase.code


@given(st.floats(-5000, 5000, allow_nan=False))
def test_every_delay_has_a_likelihood_for_every_phase(delay):
    likelihood = phase_fusion.likelihood_of_delay(delay)
    assert tuple(likelihood) == phase_fusion.classes()
    assert all(0 < value <= 1 for value in likelihood.values())


@given(st.binary(max_size=200))
def test_no_bytes_break_the_codestream_readers(stream):
    for start in (b"", b"\xff\xd8", b"\xff\x4f\xff\x51"):
        assert codestream._wavelet_is_irreversible(start + stream) in (None, True, False)
        assert codestream._near_is_set(start + stream) in (None, True, False)


@settings(deadline=None)
@given(st.sets(st.integers(1, 28), min_size=1, max_size=6))
def test_every_interior_slice_that_is_missing_is_counted(missing):
    places = [(0.0, 0.0, 2.0 * k) for k in range(30) if k not in missing]
    finding = only(slice_spacing.missing_slices(series(volume("CT", positions=places))))
    assert finding.evidence["count"] == len(missing)


@given(st.integers(0, 2**32 - 1))
def test_the_histogram_counts_every_voxel_that_is_no_padding(seed):
    generator = np.random.default_rng(seed)
    values = generator.integers(-2000, 4000, (2, 9, 11)).astype(np.int16)
    padding = generator.random(values.shape) < 0.3
    counted = histogram(volume("CT", slices=2, values=values, padding=padding))
    assert counted.total == np.count_nonzero(~padding)
    assert counted.share(-32768, 65535) == 1.0
    assert counted.quantile(1.0) == values[~padding].max()
