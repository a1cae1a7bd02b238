"""The systemd unit is valid and confined, and its times agree with those of the supervisor."""

import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from node import heartbeat, service, supervisor

SYSTEMD = Path(__file__).parents[2] / "systemd"
UNIT = SYSTEMD / "prepnode.service"
EXPOSURE_LIMIT = 1.2  # of 10; a service without any confinement has 9.6


def needs(program: str):
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")


def settings() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in UNIT.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith(("#", "[")):
            key, value = line.split("=", 1)
            found.setdefault(key, []).append(value)
    return found


def seconds(key: str) -> float:
    return float(settings()[key][0])


@needs("systemd-analyze")
def test_the_unit_is_valid(tmp_path):
    # The program is not installed on a machine that runs tests; everything else is checked as it is.
    text = re.sub(
        r"^ExecStart=\S+", "ExecStart=/bin/true", UNIT.read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    unit = tmp_path / "prepnode.service"
    unit.write_text(text, encoding="utf-8")
    done = subprocess.run(
        ["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@needs("systemd-analyze")
def test_the_service_is_confined():
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", str(UNIT)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    exposure = float(re.search(r"Overall exposure level for \S+ ([\d.]+)", done.stdout)[1])
    print(f"exposure of prepnode.service: {exposure} of 10")  # noqa: T201 - the figure to report
    assert exposure <= EXPOSURE_LIMIT


def test_the_watchdog_waits_until_the_supervisor_has_tried():
    # It restarts one hung part by itself; systemd, which would restart all of them, comes later.
    assert seconds("WatchdogSec") > (
        supervisor.HANGS_AFTER_S + max(supervisor.RESTART_PAUSE_S) + supervisor.START_TIMEOUT_S
    )
    assert seconds("WatchdogSec") > 2 * heartbeat.STALE_S


def test_starting_and_stopping_get_the_time_that_they_need():
    assert seconds("TimeoutStartSec") > service.PREPARE_TIMEOUT_S + supervisor.START_TIMEOUT_S
    assert seconds("TimeoutStopSec") > supervisor.STOP_TIMEOUT_S


def test_children_may_limit_their_own_memory():
    allowed: set[str] = set()
    for value in settings()["SystemCallFilter"]:
        names = value.lstrip("~").split()
        allowed = allowed - set(names) if value.startswith("~") else allowed | set(names)
    assert {"setrlimit", "prlimit64"} <= allowed


def test_a_mistaken_configuration_is_not_started_again_and_again():
    assert settings()["RestartPreventExitStatus"] == ["2"]


def test_a_reload_is_offered_only_when_the_supervisor_takes_the_signal():
    source = Path(supervisor.__file__).read_text(encoding="utf-8")
    assert ("ExecReload" in settings()) == (signal.SIGHUP.name in source)


def test_the_unit_runs_a_command_that_exists():
    from node.cli.main import COMMANDS, DEFAULT_CONFIG

    program, command, option, config = settings()["ExecStart"][0].split()
    assert program == "/opt/prepnode/.venv/bin/prepnode"
    assert command in COMMANDS
    assert (option, config) == ("--config", str(DEFAULT_CONFIG))


def test_the_service_may_write_where_the_configuration_says_by_default():
    from node.config import load

    assert load(None).node.data_dir == Path("/var/lib") / settings()["StateDirectory"][0]


@needs("systemd-sysusers")
@needs("systemd-tmpfiles")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give folders to another user")
def test_user_and_folders_are_made_as_the_unit_expects_them(tmp_path):
    (tmp_path / "etc").mkdir()
    for program in (["systemd-sysusers"], ["systemd-tmpfiles", "--create"]):
        file = SYSTEMD / f"prepnode.{program[0].removeprefix('systemd-')}"
        subprocess.run(
            [*program, f"--root={tmp_path}", str(file)], capture_output=True, timeout=60, check=True
        )
    name, _, uid, gid, *_ = (tmp_path / "etc/passwd").read_text(encoding="utf-8").strip().split(":")
    assert [name] == settings()["User"]
    data, config = (tmp_path / "var/lib/prepnode").stat(), (tmp_path / "etc/prepnode").stat()
    assert (data.st_uid, data.st_gid, oct(data.st_mode)) == (int(uid), int(gid), "0o40750")
    assert (config.st_uid, config.st_gid, oct(config.st_mode)) == (0, int(gid), "0o40750")
