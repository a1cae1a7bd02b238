"""The image is built from pinned parts, runs as nobody special, and tells whether it works."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from node.config import Config, load

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "Dockerfile"
HADOLINT = Path(sys.executable).with_name("hadolint")


def instructions() -> list[tuple[str, str]]:
    """Return (instruction, arguments) with continued lines joined and comments left out."""
    text = re.sub(r"^\s*#.*\n", "", DOCKERFILE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    lines = text.replace("\\\n", " ").splitlines()
    return [(line.split(None, 1)[0], line.split(None, 1)[1].strip()) for line in lines if line.strip()]


def of(name: str) -> list[str]:
    return [arguments for instruction, arguments in instructions() if instruction == name]


@pytest.mark.skipif(not HADOLINT.exists(), reason="hadolint is not installed")
def test_hadolint_finds_nothing():
    done = subprocess.run([HADOLINT, DOCKERFILE], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_every_base_image_has_a_version():
    images = [arguments.split()[0] for arguments in of("FROM")]
    assert len(images) == 2
    assert all(re.fullmatch(r"python:3\.1[1-3](\.\d+)?-slim-[a-z]+", image) for image in images)


def test_dependencies_are_installed_by_their_hashes_alone():
    installs = [
        shlex.split(step) for run in of("RUN") for step in run.split("&&") if " install " in f" {step} "
    ]
    by_pip = [words for words in installs if words[0].endswith("/pip")]
    assert len(by_pip) == 2
    locked, own = by_pip
    assert {"--require-hashes", "--only-binary"} <= set(locked)
    assert locked[locked.index("-r") + 1] == "requirements.lock"
    assert {"--no-deps", "--no-build-isolation", "."} <= set(own)


def test_nothing_is_fetched_from_elsewhere():
    assert of("ADD") == []
    assert not re.search(
        r"curl|wget|https?://(?!127\.0\.0\.1)|index-url|git\+", DOCKERFILE.read_text(encoding="utf-8")
    )


def test_everything_that_is_copied_exists_and_reaches_the_build():
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    sources = [
        word.strip("./")
        for arguments in of("COPY")
        if not arguments.startswith("--from")
        for word in arguments.split()[:-1]
    ]
    assert "requirements.lock" in sources
    for source in sources:
        assert (ROOT / source).exists()
        assert f"!{source}" in ignored


def test_the_program_does_not_run_as_root():
    last_stage = instructions()[max(i for i, (name, _) in enumerate(instructions()) if name == "FROM") :]
    users = [arguments for name, arguments in last_stage if name == "USER"]
    assert users == ["10001:10001"]
    names = [name for name, _ in last_stage]
    assert names.index("USER") > max(i for i, name in enumerate(names) if name in ("RUN", "COPY"))


def test_the_ports_and_the_volume_are_those_of_the_defaults():
    config = load(None)
    assert of("EXPOSE") == [f"{config.node.port} {config.web.port}"]
    assert of("VOLUME") == [str(config.node.data_dir)]


def health_program() -> str:
    command = json.loads(of("HEALTHCHECK")[0].split("CMD", 1)[1])
    assert command[:2] == ["python", "-c"]
    return command[2]


@pytest.mark.parametrize(("status", "expected"), [(200, 0), (503, 1)])
def test_the_health_check_follows_healthz(status, expected):
    import threading
    from http.server import BaseHTTPRequestHandler, HTTPServer

    asked = []

    class Health(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Health) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        done = subprocess.run(
            [sys.executable, "-c", health_program()],
            env={"PREPNODE_WEB__PORT": str(server.server_port)},
            capture_output=True,
            timeout=60,
            check=False,
        )
        thread.join()
    assert (done.returncode, asked) == (expected, ["/healthz"])


def compose() -> dict:
    return yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))


def test_compose_pins_every_image_and_checks_every_service():
    services = compose()["services"]
    assert all(re.search(r":\d+\.\d+", service["image"]) for service in services.values())
    assert "healthcheck" in services["pacs"]  # the node's is in its image
    assert services["node"]["read_only"]
    assert services["node"]["cap_drop"] == ["ALL"]


def test_compose_publishes_on_this_machine_alone():
    for service in compose()["services"].values():
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])


def test_the_node_of_compose_has_a_valid_configuration(monkeypatch):
    environment = compose()["services"]["node"]["environment"]
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    config = load(None)
    assert isinstance(config, Config)
    assert [destination.kind for destination in config.destination] == ["dicom"]
    pacs = json.loads(compose()["services"]["pacs"]["environment"]["ORTHANC_JSON"])
    assert pacs["DicomAet"] == config.destination[0].called_aet
    assert pacs["DicomModalities"]["prepnode"] == [config.node.ae_title, "node", config.node.port]
