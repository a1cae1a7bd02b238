"""What a reload takes over, what waits for a start, and what a file with mistakes changes: nothing."""

import threading

import pytest

from node.config import Config, load
from node.errors import ConfigError
from node.reload import LISTENER_KEYS, Reload, merged
from nodes import await_that


def config(**tables) -> Config:
    return load(None, tables)


def peers(*titles: str, **more) -> dict:
    return {"peer": [{"calling_aet": title} | more for title in titles]}


def test_peers_limits_users_and_certificates_are_taken_over() -> None:
    wanted = config(
        listener=peers("CT")
        | {"max_associations": 7, "users_file": "/u", "called_aets": ["X"], "acse_timeout_s": 3},
        tls={"enabled": True, "cert": "c", "key": "k", "ca": "a"},
    )
    assert merged(config(), wanted) == (wanted, [])


@pytest.mark.parametrize(
    ("tables", "waiting"),
    [
        ({"node": {"port": 104, "data_dir": "/elsewhere"}}, ["node.port", "node.data_dir"]),
        ({"node": {"listeners": 3, "ae_title": "X"}}, ["node.ae_title", "node.listeners"]),
        ({"registry": {"url": "sqlite:///x"}}, ["registry.url"]),
        (
            {"listener": {"max_pdu": 16384, "durability": "flush"}},
            ["listener.max_pdu", "listener.durability"],
        ),
        ({"listener": peers("CT", quiet_s=3)}, ["listener.peer: quiet_s"]),
        ({"route": [{"name": "r"}], "profile": {"p": {}}}, ["route", "profile"]),
        ({"destination": [{"name": "d", "kind": "folder", "path": "/"}]}, ["destination"]),
    ],
)
def test_what_waits_for_the_next_start_keeps_its_value_and_is_named(tables: dict, waiting: list[str]) -> None:
    current = config()
    taken, found = merged(current, config(**tables))
    assert found == waiting
    without_peers = taken.listener.model_copy(update={"peer": ()})
    assert taken.model_copy(update={"listener": without_peers}) == current


def test_every_key_of_the_listener_is_either_taken_over_or_told_to_wait() -> None:
    fields = set(type(config().listener).model_fields)
    assert set(LISTENER_KEYS) < fields
    assert fields - set(LISTENER_KEYS) == {
        "max_pdu",
        "durability",
        "storage_commitment",
        "report_max_age_h",
    }


def settled(reload: Reload) -> Reload:
    def is_done() -> bool:
        reload.look()
        return not reload.is_reading

    await_that(is_done, "the reading to end", 10)
    return reload


def test_a_good_file_is_taken_over_and_clears_the_mistakes_of_the_last() -> None:
    wanted = config(listener=peers("CT"))
    answers = [["one", "two"], []]
    reload = Reload(config(), lambda: wanted, lambda _: answers.pop(0))
    reload.ask()
    assert settled(reload).config == config()
    assert reload.examine()[1] == "stale: the file has 2 mistakes, named in the log; the last good one holds"
    assert reload.examine()[2] == {"config_stale": 1, "config_reloads": {"taken": 0, "rejected": 1}}
    reload.ask()
    assert settled(reload).config == wanted
    assert reload.examine()[2] == {"config_stale": 0, "config_reloads": {"taken": 1, "rejected": 1}}
    assert reload.examine()[1].startswith("in force since 20")


def test_every_mistake_is_logged_and_nothing_changes(caplog) -> None:
    def read() -> Config:
        raise ConfigError(["listener.max_pdu: too small", "nodes: unknown key"])

    reload = Reload(config(), read, lambda _: [])
    reload.ask()
    assert settled(reload).config == config()
    assert reload.number == 0
    assert caplog.text.count("config.rejected") == 2
    assert "listener.max_pdu: too small" in caplog.text


def test_a_reading_that_fails_itself_is_a_mistake_too(monkeypatch) -> None:
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    reload = Reload(config(), lambda: 1 / 0, lambda _: [])
    reload.ask()
    assert settled(reload).examine()[2]["config_stale"] == 1


def test_what_waits_is_told_once_and_is_no_mistake(caplog) -> None:
    reload = Reload(config(), lambda: config(node={"port": 104}), lambda _: [])
    reload.ask()
    assert settled(reload).config.node.port == 11112
    assert "takes effect at the next start" in caplog.text
    assert "node.port" in caplog.text
    assert reload.examine()[2]["config_stale"] == 0


def test_requests_during_a_reading_are_served_by_one_more_that_begins_after_them() -> None:
    began, go, reads = threading.Event(), threading.Event(), []

    def read() -> Config:
        reads.append(len(reads))
        began.set()
        assert go.wait(10)
        return config(listener=peers(f"CT{len(reads)}"))

    reload = Reload(config(), read, lambda _: [])
    reload.ask()
    reload.look()
    assert began.wait(10)
    for _ in range(50):
        reload.ask()
        reload.look()
    go.set()
    settled(reload)
    assert len(reads) == 2
    assert reload.config.listener.peer[0].calling_aet == "CT2"


def test_the_refusal_of_one_listener_makes_the_configuration_stale() -> None:
    reload = Reload(config(), config, lambda _: [])
    reload.ask()
    settled(reload).reject(["tls.cert: /c cannot be read"])
    assert reload.examine()[2] == {"config_stale": 1, "config_reloads": {"taken": 1, "rejected": 1}}
