"""The web application, asked directly: health, metrics, API, pages, and what it refuses."""

import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from node import heartbeat
from node.config import load
from node.errors import ConfigError
from node.registry.arrivals import Arrival
from node.registry.database import engine as open_engine
from node.registry.database import migrate
from node.registry.repository import Repository
from node.web.app import create_app

UID = "2.25.77"
NOW = datetime.now(UTC).replace(tzinfo=None, microsecond=0)


@pytest.fixture
def config(tmp_path: Path):
    return load(None, {"node": {"data_dir": str(tmp_path)}, "retention": {"min_free_gb": 0}})


@pytest.fixture
def registry(config):
    engine = open_engine(config.registry_url)
    migrate(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def client(config, registry):
    with TestClient(create_app(config, registry), base_url="http://127.0.0.1:8112") as client:
        yield client


def everything_beats(config) -> None:
    for part in ("listener-0", "registrar", "worker", "web"):
        heartbeat.write(
            config.node.data_dir / "run", part, ok=True, counters={"by_status": {"0x0000": 3}, "bytes": 9}
        )


def arrive(registry, description: str = "CT") -> None:
    arrival = Arrival(
        sop_instance_uid="2.25.7700",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        study_instance_uid="2.25.7",
        series_instance_uid=UID,
        path=Path("store/x.dcm"),
        size_bytes=100,
        sha256="0" * 64,
        calling_ae_title="PACS",
        called_ae_title="PREPNODE",
        source_address="127.0.0.1",
        association="a1",
        received_at=NOW,
        facts={"Modality": "CT", "SeriesDescription": description},
    )
    Repository(registry).register([arrival], NOW)


def test_health_is_200_when_every_part_works(client, config) -> None:
    everything_beats(config)
    answer = client.get("/healthz")
    assert answer.status_code == 200
    assert set(answer.json()["parts"]) == {
        "listener-0",
        "registrar",
        "worker",
        "web",
        "registry",
        "disk",
    }


def test_health_is_503_and_names_the_part_that_is_down(client, config) -> None:
    everything_beats(config)
    heartbeat.write(config.node.data_dir / "run", "worker", ok=False, detail="the job engine does not answer")
    answer = client.get("/healthz")
    assert answer.status_code == 503
    assert answer.json()["parts"]["worker"] == {"ok": False, "detail": "the job engine does not answer"}


def test_a_part_without_recent_heartbeat_is_down(config) -> None:
    everything_beats(config)
    beat = heartbeat.read_all(config.node.data_dir / "run")[0]
    assert beat.is_alive(time.time())
    assert not beat.is_alive(time.time() + 60)
    assert "no sign of life" in beat.describe(time.time() + 60)


def test_metrics_count_what_arrived(client, config, registry) -> None:
    everything_beats(config)
    arrive(registry)
    text = client.get("/metrics").text
    assert 'prepnode_series{state="RECEIVING"} 1.0' in text
    assert 'prepnode_received_instances_total{part="listener-0",status="0x0000"} 3.0' in text
    assert "prepnode_free_bytes" in text
    assert "prepnode_queue_depth 0.0" in text


def test_series_are_listed_shown_and_completed(client, registry) -> None:
    arrive(registry)
    assert [row["SeriesInstanceUID"] for row in client.get("/api/series").json()] == [UID]
    assert client.get(f"/api/series/{UID}").json()["state"] == "RECEIVING"
    assert client.post(f"/api/series/{UID}/complete").status_code == 200
    assert client.get(f"/api/series/{UID}").json()["state"] == "COMPLETE"


def test_an_illegal_move_is_a_conflict_and_an_unknown_series_is_not_found(client, registry) -> None:
    arrive(registry)
    assert client.post(f"/api/series/{UID}/release").status_code == 409
    assert client.post("/api/series/2.25.1/complete").status_code == 404
    assert client.get("/api/series/2.25.1").status_code == 404
    assert client.post(f"/api/series/{UID}/explode").status_code == 422


def test_pages_escape_what_came_from_outside(client, registry) -> None:
    arrive(registry, description="<script>alert(1)</script>")
    for page in ("/", f"/series/{UID}"):
        answer = client.get(page)
        assert answer.status_code == 200
        assert "<script>" not in answer.text
        assert "script-src 'none'" in answer.headers["Content-Security-Policy"]


def test_pages_say_what_a_series_waits_for(client, registry) -> None:
    arrive(registry)
    Repository(registry).set_due(UID, NOW, waits_for="1 position missing between others")
    for page in ("/", f"/series/{UID}"):
        assert "waiting: 1 position missing between others" in client.get(page).text


def test_pages_say_what_a_person_has_to_do_with_a_held_series(client, registry) -> None:
    arrive(registry)
    assert "a person has to look" not in client.get("/").text
    repository = Repository(registry)
    repository.complete(UID, "because", {}, NOW)
    repository.start(UID, 1, NOW)
    volume = {"index": 0, "verdict": "QUARANTINE", "shape": [512, 512, 40], "spacing_mm": [0.5, 0.5, 2.0]}
    finding = {"code": "GEO-005", "severity": "REVIEW", "scope": "volume", "target": "v0", "message": "a gap"}
    report = {"verdict": "QUARANTINE", "findings": [finding], "volumes": [volume]}
    repository.finish(UID, 1, report, [], [{"destination": "research", "send": ["report"]}], NOW)
    assert "Held: a person has to look" in client.get("/").text
    page = client.get(f"/series/{UID}").text
    for text in (f"series release {UID}", "v0", "a gap", "research", "verdict: QUARANTINE"):
        assert text in page


def test_a_request_for_another_host_is_refused(client) -> None:
    assert client.get("/healthz", headers={"host": "attacker.example"}).status_code == 421


def test_a_change_that_another_site_asks_for_is_refused(client, registry) -> None:
    arrive(registry)
    answer = client.post(f"/api/series/{UID}/complete", headers={"origin": "http://attacker.example"})
    assert answer.status_code == 403
    assert client.get(f"/api/series/{UID}").json()["state"] == "RECEIVING"


def test_with_a_token_only_health_and_metrics_are_open(config, registry, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("k" * 40)
    guarded = config.model_copy(update={"web": config.web.model_copy(update={"token_file": str(token)})})
    with TestClient(create_app(guarded, registry), base_url="http://127.0.0.1:8112") as client:
        assert client.get("/metrics").status_code == 200
        assert client.get("/api/series").status_code == 401
        assert client.get("/api/series", headers={"authorization": "Bearer wrong"}).status_code == 401
        assert client.get("/api/series", headers={"authorization": "Bearer " + "k" * 40}).status_code == 200


def test_an_open_address_without_a_token_stops_the_start(config, registry) -> None:
    opened = config.model_copy(update={"web": config.web.model_copy(update={"host": "0.0.0.0"})})
    with pytest.raises(ConfigError, match="token_file"):
        create_app(opened, registry)
