import pytest

from node.registry import queries
from node.registry.associations import Opening
from node.registry.repository import Repository
from phantoms import uid
from registries import NOON, after, arrival, registry, report


@pytest.fixture
def repository(tmp_path):
    """Two series of one study, the first processed twice, and a third series of another study."""
    made = Repository(registry(tmp_path))
    made.register([arrival(index, series="exam/ct", ConvolutionKernel="B30f") for index in range(2)], NOON)
    made.register([arrival(0, series="exam/mr", at=50, Modality="MR")], after(50))
    made.register([arrival(0, series="other", at=20)], after(20))
    for revision in (1, 2):
        if revision == 2:
            made.act(uid("exam/ct"), "reprocess", who="eva", now=after(30))
        else:
            made.complete(uid("exam/ct"), "because", {}, after(10))
        made.start(uid("exam/ct"), revision, after(11))
        outputs = [{"kind": "nifti", "path": f"{revision}.nii.gz", "sha256": "", "size_bytes": 1}]
        deliveries = [{"destination": "research", "send": ["outputs"]}]
        made.finish(uid("exam/ct"), revision, report(), outputs, deliveries, after(12 + revision))
    yield made
    made.engine.dispose()


def uids(found):
    return [row["SeriesInstanceUID"] for row in found]


def test_series_are_listed_with_the_last_one_heard_of_first(repository):
    assert uids(queries.series_list(repository.engine)) == [uid("exam/mr"), uid("other"), uid("exam/ct")]
    assert len(queries.series_list(repository.engine, limit=1)) == 1


def test_series_are_listed_by_state_modality_and_study(repository):
    engine = repository.engine
    assert uids(queries.series_list(engine, state="PROCESSED")) == [uid("exam/ct")]
    assert uids(queries.series_list(engine, modality="MR")) == [uid("exam/mr")]
    assert uids(queries.series_list(engine, study_uid=uid("study of", "other"))) == [uid("other")]


def test_a_series_is_shown_with_what_its_revision_brought_and_all_its_history(repository):
    shown = queries.series_show(repository.engine, uid("exam/ct"))
    assert shown["revision"] == 2
    assert [output["path"].rsplit("/", 1)[1] for output in shown["outputs"]] == ["2.nii.gz"]
    assert len(shown["volumes"]) == 1
    assert [(each["revision"], each["state"]) for each in shown["deliveries"]] == [
        (2, "PENDING"),
        (1, "SUPERSEDED"),
    ]
    assert [event["name"] for event in shown["events"]] == [
        "series.opened",
        "series.complete",
        "series.processing",
        "series.processed",
        "series.reprocess",
        "series.processing",
        "series.processed",
    ]
    assert queries.history(repository.engine, uid("exam/ct")) == shown["events"]


def test_a_series_that_is_not_there_is_none(repository):
    assert queries.series_show(repository.engine, "1.2.3") is None
    assert queries.study(repository.engine, "1.2.3") is None


def test_siblings_are_the_other_series_of_the_study(repository):
    facts = queries.sibling_facts(repository.engine, uid("exam/mr"))
    assert list(facts) == [uid("exam/ct")]
    assert facts[uid("exam/ct")]["ConvolutionKernel"] == "B30f"
    assert queries.sibling_facts(repository.engine, uid("other")) == {}


def test_instances_are_listed_with_conflicting_ones(repository):
    repository.register([arrival(0, series="exam/ct", content="other")], after(60))
    found = queries.instances(repository.engine, uid("exam/ct"))
    assert [row["is_conflict"] for row in found if row["SOPInstanceUID"] == uid("exam/ct", 0)] == [
        False,
        True,
    ]
    assert len(list(queries.paths(repository.engine))) == 5


def test_deliveries_are_listed_with_the_latest_first(repository):
    assert [row["revision"] for row in queries.deliveries_list(repository.engine)] == [2, 1]
    assert [row["id"] for row in queries.deliveries_list(repository.engine, state="PENDING")] == [2]


def test_states_are_counted(repository):
    counted = queries.counts(repository.engine)
    assert counted["series"]["PROCESSED"] == 1
    assert counted["series"]["RECEIVING"] == 2
    assert counted["series"]["HELD"] == 0
    assert counted["deliveries"]["PENDING"] == counted["deliveries"]["SUPERSEDED"] == 1


def test_associations_are_listed_with_the_latest_first(repository):
    names = ("first", "second")
    repository.note_associations(
        [Opening(name, "S", "P", "::1", after(second)) for second, name in enumerate(names)]
    )
    assert [row["id"] for row in queries.associations_list(repository.engine)] == ["second", "first"]
