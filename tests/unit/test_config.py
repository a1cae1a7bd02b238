"""The configuration: defaults, environment, and all mistakes told at once."""

import inspect
from pathlib import Path

import pytest

from node.config import Config, load
from node.errors import ConfigError


@pytest.fixture(autouse=True)
def no_environment(monkeypatch):
    import os

    for name in list(os.environ):
        if name.startswith("PREPNODE_"):
            monkeypatch.delenv(name)


@pytest.fixture
def mistakes_of(tmp_path):
    def of(text: str) -> list[str]:
        file = tmp_path / "node.toml"
        file.write_text(inspect.cleandoc(text), encoding="utf-8")
        with pytest.raises(ConfigError) as caught:
            load(file)
        assert all(mistake.startswith(f"{file}: ") for mistake in caught.value.mistakes)
        return [mistake.removeprefix(f"{file}: ") for mistake in caught.value.mistakes]

    return of


def test_nothing_but_defaults_is_a_valid_configuration():
    config = load(None)
    assert (config.node.ae_title, config.node.port, config.listener.durability) == (
        "PREPNODE",
        11112,
        "fsync",
    )
    assert config.registry_url == "sqlite:////var/lib/prepnode/registry.db"
    assert config.spool_dir == Path("/var/lib/prepnode/spool")


def test_the_environment_wins_over_the_file_and_over_overrides(tmp_path, monkeypatch):
    file = tmp_path / "node.toml"
    file.write_text("[node]\nport = 104\nae_title = 'FILE'\n", encoding="utf-8")
    monkeypatch.setenv("PREPNODE_NODE__PORT", "11113")
    config = load(file, {"node": {"port": 0, "listeners": 3}})
    assert (config.node.port, config.node.ae_title, config.node.listeners) == (11113, "FILE", 3)


def test_what_a_configuration_says_survives_the_way_to_another_process():
    config = Config(
        destination=[{"name": "research", "kind": "folder", "path": "/srv/research"}],
        route=[{"name": "all", "destinations": ["research"], "continue": True}],
        profile={"lung": {"intensity": "lung"}},
    )
    assert Config(**config.model_dump(mode="json", by_alias=True)) == config


def test_mistakes_in_keys_and_between_keys_are_told_together(mistakes_of):
    found = mistakes_of("""
        colour = "blue"
        [node]
        port = 99999
        data_dri = "/data"
        [tls]
        enabled = true
        [[destination]]
        name = "twice"
        kind = "folder"
        path = "/srv/a"
        [[destination]]
        name = "twice"
        kind = "dicom"
        [[route]]
        name = "ct"
        profile = "missing"
        destinations = ["nowhere"]
        send = ["everything"]
    """)
    told = "\n".join(found)
    for expected in (
        "colour: unknown key",
        "node.port: ",
        "node.data_dri: unknown key",
        "destination 'twice' is defined twice",
        "destination 'twice': kind 'dicom' needs `host`, `port` and `called_aet`",
        "route 'ct': destination 'nowhere' is not defined; there are: twice",
        "route 'ct': profile 'missing' is not defined; there are: cardiac-ct",
        "route.0.send.0: ",
        "tls: enabled, but `cert` or `key` is empty",
    ):
        assert expected in told
    assert len(found) == 9


def test_each_mistake_between_keys_is_told_once(mistakes_of):
    found = mistakes_of("""
        [[route]]
        name = "ct"
        destinations = ["a", "b"]
    """)
    assert found == [
        "route 'ct': destination 'a' is not defined; there are: none",
        "route 'ct': destination 'b' is not defined; there are: none",
    ]


DEIDENTIFYING = """
    [[destination]]
    name = "files"
    kind = "folder"
    path = "/srv/a"
    [[destination]]
    name = "outside"
    kind = "dicom"
    host = "h"
    port = 104
    called_aet = "OUT"
    [profile.out]
    derived_dicom = true
    deidentify = true
    deidentify_key_file = "/etc/key"
    [[route]]
    name = "research"
    profile = "out"
"""


def test_a_deidentifying_route_sends_nothing_that_holds_the_identity(mistakes_of):
    found = mistakes_of(DEIDENTIFYING + 'destinations = ["files", "outside"]')
    assert found == [
        "route 'research': its profile de-identifies; set send = [\"outputs\"], since all else holds names",
        (
            "route 'research': its profile de-identifies, and destination 'files' is not of kind \"dicom\": "
            "other files hold the UIDs of the source"
        ),
    ]


def test_a_deidentifying_route_to_dicom_alone_is_in_order(mistakes_of):
    right = DEIDENTIFYING + 'destinations = ["outside"]\nsend = ["outputs"]'
    assert mistakes_of(right + '\n[profile.wrong]\norientation = "XYZ"') != []
    assert not [
        each for each in mistakes_of(right + '\n[profile.wrong]\norientation = "XYZ"') if "route" in each
    ]


def test_a_profile_with_a_mistake_still_counts_as_defined(mistakes_of):
    found = mistakes_of("""
        [profile.lung]
        orientation = "XYZ"
        [[route]]
        name = "ct"
        profile = "lung"
    """)
    assert len(found) == 1
    assert found[0].startswith("profile.lung.orientation: ")


def test_an_address_for_reports_without_a_port_is_a_mistake(mistakes_of):
    assert mistakes_of("""
        [[listener.peer]]
        calling_aet = "SCANNER"
        report_host = "10.0.0.7"
    """) == ["listener.peer 'SCANNER': `report_host` needs `report_port`"]


@pytest.mark.parametrize("kind", ["stow", "s3", "webhook"])
def test_a_kind_of_a_later_version_is_refused_in_words(mistakes_of, kind):
    assert mistakes_of(f"""
        [[destination]]
        name = "later"
        kind = "{kind}"
    """) == [f"destination 'later': kind '{kind}' is not in this version"]


def test_a_folder_destination_needs_a_path(mistakes_of):
    assert mistakes_of("""
        [[destination]]
        name = "research"
        kind = "folder"
    """) == ["destination 'research': kind 'folder' needs `path`"]


def test_tables_of_the_wrong_shape_are_mistakes_and_no_crash(mistakes_of):
    found = mistakes_of("""
        destination = "research"
        route = [1, "two"]
        profile = 3
        tls = []
    """)
    assert {mistake.split(":")[0] for mistake in found} == {
        "destination",
        "route.0",
        "route.1",
        "profile",
        "tls",
    }


def test_tls_switched_on_by_environment_is_checked_beside_other_mistakes(mistakes_of, monkeypatch):
    monkeypatch.setenv("PREPNODE_TLS__ENABLED", "true")
    found = mistakes_of("[node]\nport = -1\n")
    assert "tls: enabled, but `cert` or `key` is empty" in found
    assert len(found) == 2


@pytest.mark.parametrize("url", ["sqlite:///{folder}/registry.db", "sqlite:///{}/registry.db", "sqlite:///{"])
def test_an_unknown_placeholder_in_a_database_url_is_a_mistake(mistakes_of, url):
    found = mistakes_of(f"""
        [registry]
        url = "{url}"
    """)
    assert found == ["registry.url: only {data_dir} is filled in; write any other brace twice"]


@pytest.mark.parametrize("title", ["", "SEVENTEEN_LETTERS", "BACK\\\\SLASH", "NEW\\nLINE"])
def test_an_ae_title_that_dicom_forbids_is_refused(mistakes_of, title):
    # PS3.5 6.2, VR AE: at most 16 characters, no backslash, no control characters
    found = mistakes_of(f'[node]\nae_title = "{title}"\n')
    assert len(found) == 1
    assert found[0].startswith("node.ae_title: ")


def test_files_that_cannot_be_read_are_told_with_the_path(tmp_path):
    with pytest.raises(ConfigError, match="no such file"):
        load(tmp_path / "missing.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text("[node\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="not valid TOML"):
        load(broken)
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path)


def test_values_never_change_after_loading():
    config = load(None)
    with pytest.raises(ValueError, match="frozen"):
        config.node.port = 1
