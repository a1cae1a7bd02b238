import pytest

from node.errors import RegistryError
from node.registry.database import read_engine
from node.registry.queries import research, research_columns
from node.registry.repository import Repository
from phantoms import uid
from registries import NOON, after, arrival, registry, report, rows


@pytest.fixture
def reader(tmp_path):
    """Three processed series: arterial CT, portal venous CT, a rejected MR; and one CT that arrives."""
    repository = Repository(registry(tmp_path))
    for name, modality, phase in (
        ("arterial", "CT", "ARTERIAL"),
        ("venous", "CT", "PORTAL_VENOUS"),
        ("rejected", "MR", None),
    ):
        repository.register([arrival(index, series=name, Modality=modality) for index in range(3)], NOON)
        repository.complete(uid(name), "because", {}, after(5))
        repository.start(uid(name), 1, after(5))
        written = report("REJECT" if phase is None else "ACCEPT")
        written["volumes"][0]["contrast"] = {"label": phase, "confidence": 0.9}
        repository.finish(uid(name), 1, written, [], [], after(6))
    repository.register([arrival(0, series="arriving")], NOON)
    found = read_engine(f"sqlite:///{tmp_path / 'registry.db'}")
    yield found
    found.dispose()
    repository.engine.dispose()


def selected(reader, where):
    return sorted(row["SeriesInstanceUID"] for row in research(reader, where))


def test_series_are_selected_by_modality_and_phase(reader):
    (row,) = research(reader, "Modality = 'CT' AND contrast_phase = 'ARTERIAL'")
    assert row["SeriesInstanceUID"] == uid("arterial")
    assert (row["rows"], row["slices"], row["spacing_slice_mm"]) == (512, 40, 2.0)
    assert (row["n_instances"], row["n_volumes"], row["n_findings"]) == (3, 1, 0)
    assert row["file"].endswith("/r1/v0.nii.gz")
    assert row["lossy"] is False
    assert (row["first_received_at"], row["processed_at"]) == (NOON, after(6))


def test_every_series_is_one_row(reader):
    assert len(research(reader)) == len(rows(reader, "series")) == 4


def test_a_series_without_an_accepted_volume_has_no_volume(reader):
    (row,) = research(reader, "verdict = 'REJECT'")
    assert (row["Modality"], row["file"], row["columns"], row["n_volumes"]) == ("MR", None, None, 1)


def test_a_series_that_arrives_has_no_verdict(reader):
    assert selected(reader, "verdict IS NULL") == [uid("arriving")]


def test_the_rows_have_the_columns_that_are_promised_in_their_order(reader):
    assert list(research(reader)[0]) == research_columns(reader)


def test_nothing_names_the_patient(reader):
    names = {name.lower() for name in research_columns(reader)}
    assert not {name for name in names if "patient" in name or "accession" in name or "studydate" in name}
    assert "PHANTOM" not in str(research(reader))


def test_a_limit_is_kept(reader):
    assert len(research(reader, limit=2)) == 2


@pytest.mark.parametrize(
    "where",
    [
        "contrast_phase IN ('ARTERIAL', 'PORTAL_VENOUS')",
        "SeriesDescription IS NULL AND (slices BETWEEN 10 AND 100)",
        "kernel_class || ':' || ConvolutionKernel = 'medium:B30f'",
        "contrast_phase <> 'it''s; -- no comment'",
        "lower(contrast_phase) LIKE '%venous' OR abs(slices) = 40",
        "NOT lossy",
    ],
)
def test_a_condition_may_be_any_expression(reader, where):
    assert {uid("venous")} <= set(selected(reader, where))


@pytest.mark.parametrize(
    "where",
    [
        "1 = 1; DELETE FROM series",
        "1 = 1) UNION SELECT * FROM study WHERE (1 = 1",
        "1 = 1) OR (1 = 1",
        "EXISTS (SELECT 1 FROM study WHERE PatientID = 'PHANTOM')",
        "SeriesInstanceUID IN (select SeriesInstanceUID from series)",
        "1 = 1 -- all",
        "1 = 1 /* all */",
        "(1 = 1",
        "Modality = 'CT",
        "load_extension('x') IS NULL",
        "Modality = zeroblob(100000000)",
        "Patient = 'x'",
        "",
    ],
)
def test_what_is_more_than_a_condition_is_refused(reader, where):
    with pytest.raises(RegistryError):
        research(reader, where)


def test_a_mistake_is_answered_with_the_columns_there_are(reader):
    with pytest.raises(RegistryError, match=r"no such column: contrast.*ConvolutionKernel"):
        research(reader, "contrast = 'ARTERIAL'")


def test_after_a_refused_condition_the_engine_serves_as_before(reader):
    with pytest.raises(RegistryError):
        research(reader, "load_extension('x') IS NULL")
    assert len(rows(reader, "study")) == 4
