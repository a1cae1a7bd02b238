"""conf/node.toml documents every key as it is; the example configurations are valid."""

import re
import tomllib
from pathlib import Path

import pytest

from node.config import Config, Destination, Peer, Route, load
from node.profile_keys import Profile, Section

CONF = Path(__file__).parents[2] / "conf"
TEXT = (CONF / "node.toml").read_text(encoding="utf-8")
COMMENTED = re.compile(r"^#(?=[^\s#])", re.MULTILINE)  # `#key = ...`, as against `# words`
TABLES = {"peer": Peer, "destination": Destination, "route": Route, "profile": Profile}


def plain(value):
    """Return a default as TOML would hold it."""
    if isinstance(value, Path):
        return str(value)
    return list(value) if isinstance(value, tuple) else value


def keys_of(section: type[Section]) -> dict[str, object]:
    return {field.alias or name: field for name, field in section.model_fields.items()}


def documented(name: str) -> list[dict[str, object]]:
    tables = tomllib.loads(COMMENTED.sub("", TEXT))
    if name == "peer":
        return tables["listener"]["peer"]
    return list(tables["profile"].values()) if name == "profile" else tables[name]


SECTIONS = [name for name in Config.model_fields if name not in TABLES]


@pytest.mark.parametrize("section", SECTIONS)
def test_every_key_of_a_section_is_documented_with_its_default(section):
    model = Config.model_fields[section].annotation
    expected = {
        name: plain(field.default)
        for name, field in keys_of(model).items()
        if field.annotation != tuple[Peer, ...]
    }
    assert tomllib.loads(TEXT)[section] == expected


def test_the_file_documents_no_section_that_does_not_exist():
    assert set(tomllib.loads(TEXT)) == set(SECTIONS)


def test_the_file_as_it_stands_changes_nothing():
    assert load(CONF / "node.toml") == load(None)


@pytest.mark.parametrize(("name", "model"), TABLES.items())
def test_the_examples_of_a_table_show_every_key(name, model):
    shown = {key for table in documented(name) for key in table}
    assert shown == set(keys_of(model))


def test_the_examples_are_valid_when_they_are_uncommented(tmp_path):
    file = tmp_path / "node.toml"
    file.write_text(COMMENTED.sub("", TEXT), encoding="utf-8")
    config = load(file, {"tls": {"enabled": True, "cert": "c", "key": "k", "ca": "a"}})  # certificate_names
    assert [destination.name for destination in config.destination] == ["research", "pacs", "elsewhere"]
    assert config.route[0].profile in config.profile


def comment_above(line_number: int, lines: list[str]) -> str:
    """Return the words above a commented key; keys that stand together share them."""
    start = line_number
    while COMMENTED.match(lines[start - 1]) and not lines[start - 1].startswith("#["):
        start -= 1
    words = []
    while lines[start - 1].startswith("# "):
        start -= 1
        words.insert(0, lines[start].removeprefix("# "))
    return " ".join(words)


@pytest.mark.parametrize(("name", "model"), TABLES.items())
def test_the_examples_tell_the_default_of_every_key(name, model):
    lines = TEXT.splitlines()
    missing = []
    for key, field in keys_of(model).items():
        if field.is_required():
            expected = "Required."
        else:
            default = field.get_default(call_default_factory=True)
            expected = tomlish(plain(default))
        found = [
            comment_above(number, lines)
            for number, line in enumerate(lines)
            if line.startswith(f"#{key} =") and belongs(number, lines) == name
        ]
        if not any(expected in words and ("efault" in words or expected == "Required.") for words in found):
            missing.append((key, expected, found))
    assert not missing


def belongs(line_number: int, lines: list[str]) -> str:
    header = next(line for line in reversed(lines[:line_number]) if line.startswith(("#[", "[")))
    return header.strip("#[]").split(".")[0].replace("listener", "peer")


def tomlish(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    return str(value).replace("'", '"')


@pytest.mark.parametrize("name", ["example-research.toml", "example-pacs.toml"])
def test_an_example_configuration_is_valid_and_routes_somewhere(name):
    config = load(CONF / name)
    assert config.destination
    assert config.route
