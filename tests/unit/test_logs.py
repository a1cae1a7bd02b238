"""What is logged, and what never is."""

import json
import logging

import pytest

from node import logs


@pytest.fixture
def lines(capsys, monkeypatch):
    """Configure JSON lines for one test; call the result to read what was written since."""
    root, node = logging.getLogger(), logging.getLogger("node")
    before = (list(root.handlers), root.level, node.level)
    monkeypatch.setattr("threading.excepthook", None)
    logs.configure("INFO", json=True)

    def read() -> list[dict]:
        return [json.loads(line) for line in capsys.readouterr().err.splitlines()]

    yield read
    root.handlers[:], root.level = before[0], before[1]
    node.setLevel(before[2])


def test_an_event_is_one_json_line_with_its_keys(lines) -> None:
    logs.get("node.test").info("series.complete", SeriesInstanceUID="1.2.3", instances=212)
    (line,) = lines()
    assert line["event"] == "series.complete"
    assert (line["SeriesInstanceUID"], line["instances"]) == ("1.2.3", 212)
    assert (line["level"], line["logger"]) == ("info", "node.test")
    assert line["timestamp"].endswith("Z")


@pytest.mark.parametrize(
    "key",
    ["PatientName", "PatientID", "PatientBirthDate", "AccessionNumber", "StudyDescription", "SeriesDescription",
     "patient_name", "accession_number", "ReferringPhysicianName"],
)  # fmt: skip
def test_what_names_a_patient_is_left_out_at_any_depth(lines, key: str) -> None:
    canary = "CANARY^PATIENT"
    logs.get("node.test").error("x", **{key: canary}, facts={key: canary, "kept": [{key: canary}]}, other=1)
    (line,) = lines()
    assert canary not in json.dumps(line)
    assert line["other"] == 1
    assert line["facts"] == {"kept": [{}]}


def test_control_characters_of_a_peer_are_escaped(lines) -> None:
    logs.get("node.test").info("x", calling_aet="A\n{fake}\x1b[31m", reason="B\r\0")
    (line,) = lines()
    assert line["calling_aet"] == "A\\n{fake}\\x1b[31m"
    assert line["reason"] == "B\\r\\x00"


def test_text_of_a_peer_is_cut_at_64_characters(lines) -> None:
    logs.get("node.test").info("x", called_aet="A" * 500, SOPInstanceUID="1" * 64)
    (line,) = lines()
    assert line["called_aet"] == "A" * 61 + "..."
    assert line["SOPInstanceUID"] == "1" * 64


def test_a_traceback_is_logged_for_an_exception_of_ours(lines) -> None:
    try:
        int("by\x1bzero")
    except ValueError:
        logs.get("node.test").exception("x.failed")
    (line,) = lines()
    assert "Traceback" in line["exception"]
    assert "\x1b" not in line["exception"]


def test_libraries_speak_from_warning_on_and_without_tracebacks(lines) -> None:
    library = logging.getLogger("pynetdicom.dul")
    library.info("PATIENT^NAME")
    try:
        int("x")
    except ValueError as error:
        library.exception(error)
    (line,) = lines()
    assert line["logger"] == "pynetdicom.dul"
    assert "exception" not in line


def test_debug_is_silent_unless_asked_for(lines) -> None:
    logs.get("node.test").debug("x")
    assert lines() == []


def test_a_thread_that_dies_is_one_line(lines) -> None:
    import threading

    def die() -> None:
        raise ValueError("why")

    thread = threading.Thread(target=die, name="poor")
    thread.start()
    thread.join()
    (line,) = lines()
    assert (line["event"], line["thread"], line["error"]) == ("thread.died", "poor", "ValueError: why")


def test_twenty_lines_a_second_of_one_event_and_peer_then_their_number() -> None:
    now = [100.0]
    throttle = logs.Throttle(20, clock=lambda: now[0])

    def passes(event: str, peer: str) -> logging.LogRecord | None:
        record = logging.LogRecord(
            "node", logging.INFO, "", 1, {"event": event, "source_address": peer}, (), None
        )
        return record if throttle.filter(record) else None

    assert sum(passes("refused", "10.0.0.1") is not None for _ in range(50)) == 20
    assert passes("refused", "10.0.0.2") is not None
    assert passes("accepted", "10.0.0.1") is not None
    now[0] += 1
    assert passes("refused", "10.0.0.1").msg["suppressed"] == 30
    assert "suppressed" not in passes("refused", "10.0.0.1").msg


def test_connections_of_one_host_are_one_peer_whatever_their_ports() -> None:
    throttle = logs.Throttle(20, clock=lambda: 0.0)

    def passes(address: str) -> bool:
        return throttle.filter(
            logging.LogRecord("node", 20, "", 1, {"event": "refused", "source_address": address}, (), None)
        )

    assert sum(passes(f"10.0.0.1:{port}") for port in range(40000, 40100)) == 20
    assert passes("10.0.0.2:40000")


def test_the_throttle_remembers_a_bounded_number_of_peers() -> None:
    throttle = logs.Throttle(1, clock=lambda: 0.0)
    for number in range(5000):
        record = logging.LogRecord("node", 20, "", 1, {"event": "x", "source_address": str(number)}, (), None)
        throttle.filter(record)
        throttle.filter(record)
    assert len(throttle._counts) <= logs.THROTTLED_KEYS + 1
    assert len(throttle._suppressed) <= logs.THROTTLED_KEYS


def test_lines_for_a_terminal_are_text(capsys) -> None:
    root = logging.getLogger()
    before = list(root.handlers), root.level
    logs.configure("INFO", json=False)
    logs.get("node.test").info("series.complete", instances=3)
    root.handlers[:], root.level = before
    assert "series.complete" in capsys.readouterr().err
