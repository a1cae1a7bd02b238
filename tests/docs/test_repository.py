"""The repository as a whole: what is locked, what is licensed, what must not be written anywhere."""

import re
import subprocess
import tomllib
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LOCKS = ("requirements.lock", "requirements-dev.lock")
PIN = re.compile(r"^([A-Za-z0-9_.-]+)==(\S+)", re.MULTILINE)


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def locked(name: str) -> dict[str, list[str]]:
    pins: dict[str, list[str]] = {}
    for package, version in PIN.findall((ROOT / name).read_text(encoding="utf-8")):
        pins.setdefault(canonical(package), []).append(version)
    return pins


def wanted(*, dev: bool) -> list[Requirement]:
    lines = [*PROJECT["project"]["dependencies"], *PROJECT["build-system"]["requires"]]
    lines += PROJECT["project"]["optional-dependencies"]["dev"] if dev else []
    return [Requirement(line) for line in lines]


@pytest.mark.parametrize(("name", "dev"), [("requirements.lock", False), ("requirements-dev.lock", True)])
def test_every_dependency_is_locked_in_a_version_that_the_project_allows(name, dev):
    pins = locked(name)
    for requirement in wanted(dev=dev):
        versions = pins.get(canonical(requirement.name))
        assert versions, f"{requirement.name} is not in {name}: run `make lock`"
        assert all(requirement.specifier.contains(version) for version in versions), requirement


def test_tests_run_with_the_libraries_of_the_service():
    service, tests = locked("requirements.lock"), locked("requirements-dev.lock")
    assert {name: versions for name, versions in service.items() if tests.get(name) != versions} == {}


@pytest.mark.parametrize("name", LOCKS)
def test_every_pin_has_hashes_and_nothing_says_where_to_fetch_it(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    entries = re.split(r"\n(?=\S)", text.strip())
    assert all(
        re.match(r"[A-Za-z0-9_.-]+==\S+( ; .*)? \\\n +--hash=sha256:[0-9a-f]{64}", entry) for entry in entries
    )
    assert not re.search(r"://|^\s*-[a-z]|--(?!hash=)", text, re.MULTILINE)


def licence_of(package: str) -> str:
    found = metadata(package)
    classifiers = [line for line in found.get_all("Classifier", []) if line.startswith("License")]
    return f"{found.get('License-Expression') or found.get('License') or ''} {' '.join(classifiers)}"


def test_no_library_of_the_service_is_under_the_gpl():
    copyleft = set()
    for package in locked("requirements.lock"):
        try:
            licence = licence_of(package)
        except PackageNotFoundError:  # for another platform or Python
            continue
        if re.search(r"GPL|General Public", licence):
            assert re.search(r"LGPL|Lesser", licence), package
            copyleft.add(package)
    assert copyleft == {"psycopg", "psycopg-binary", "pebble"}, "the README names those under the LGPL"


def files() -> list[Path]:
    """Return what is, or is about to be, in the repository."""
    done = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if done.returncode != 0:
        pytest.skip("not a git repository")
    paths = (ROOT / name.decode() for name in done.stdout.split(b"\0") if name)
    return [path for path in paths if path.is_file()]


# Written in two parts, so that this file does not hold them.
FORBIDDEN = [
    r"\b{}{}\b".format(*parts)
    for parts in (
        ("chat", "gpt"),
        ("open", "ai"),
        ("anth", "ropic"),
        ("clau", "de"),
        ("co", "pilot"),
        ("AI", "[- ]generated"),
        ("language ", "model"),
    )
] + [
    "pypi" + r"\.org",
    "python" + r"hosted\.org",
    "extra-index" + "-url",
    r"(?<![\w.-])/(?:work|root|Users)" + r"/",
]


def test_nothing_names_a_package_index_a_private_path_or_a_writing_tool():
    pattern = re.compile("|".join(FORBIDDEN), re.IGNORECASE)
    found = []
    for path in files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [f"{path.relative_to(ROOT)}: {match.group()}" for match in pattern.finditer(text)]
    assert found == []


def test_no_file_is_large():
    # Data belongs beside the repository. The largest text is a lock file.
    assert [path.name for path in files() if path.stat().st_size > 300_000] == []


@pytest.mark.parametrize("package", ["node", "handlers"])
def test_no_work_is_left_for_later(package):
    pattern = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XXX|raise NotImplemented" + r"Error)\b")
    left = [
        path
        for path in sorted((ROOT / package).rglob("*.py"))
        if pattern.search(path.read_text(encoding="utf-8"))
    ]
    assert left == []


@pytest.mark.parametrize("package", ["node", "handlers"])
def test_every_room_says_what_it_is_and_is_small(package):
    for path in sorted((ROOT / package).rglob("*.py")):
        lines = path.read_text(encoding="utf-8").splitlines()
        assert lines, path
        assert lines[0].startswith(('"""', 'r"""')), path
        assert len(lines) <= 400, f"{path}: {len(lines)} lines are a sign to split"


def test_ci_runs_what_a_person_runs():
    script = (ROOT / ".ci/run").read_text(encoding="utf-8")
    assert re.findall(r"^make (.*)$", script, re.MULTILINE) == ["lint", "test"]


def test_the_licence_is_the_one_that_the_project_names():
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert PROJECT["project"]["license"] == "Apache-2.0"
    assert "Apache License" in text
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text


@pytest.mark.parametrize("name", ["run", "check-python", "apt-install"])
def test_scripts_can_be_run_and_are_valid(name):
    path = ROOT / ".ci" / name
    assert path.stat().st_mode & 0o111
    subprocess.run(["bash", "-n", path], check=True)


def test_a_python_that_is_missing_or_too_old_is_told_in_words(tmp_path):
    missing = subprocess.run(
        [ROOT / ".ci/check-python", "python9"], capture_output=True, text=True, check=False
    )
    assert missing.returncode == 1
    assert "python9: not found" in missing.stderr
    old = tmp_path / "python-old"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.9.2 && exit\nexit 1\n', encoding="utf-8")
    old.chmod(0o755)
    told = subprocess.run([ROOT / ".ci/check-python", old], capture_output=True, text=True, check=False)
    assert told.returncode == 1
    assert "Python 3.9.2. prepnode needs Python 3.11, 3.12 or 3.13" in told.stderr


def test_a_missing_package_is_named_when_it_may_not_be_installed():
    done = subprocess.run(
        [ROOT / ".ci/apt-install", "no-such-package"],
        env={"APT": "no", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "apt-get install no-such-package" in done.stderr
