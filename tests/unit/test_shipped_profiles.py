"""The profiles that come with the node: known by name, valid, printable, and replaced by one's own."""

from __future__ import annotations

import tomllib

import pytest
from click.testing import CliRunner

from handlers.findings import CODES
from node import shipped_profiles
from node.cli.profiles import profiles
from node.config import Config, load
from node.errors import ConfigError, NodeError
from node.precheck import check
from node.profile_keys import Profile
from node.recipes import recipe_of

NAMES = {
    "ct-hu", "ct-lung", "ct-soft", "ct-brain", "ct-bone", "cardiac-ct", "mr-brain", "mr-generic", "cxr", "mammo",
    "pet-suv", "us",
}  # fmt: skip


def test_the_profiles_are_those_that_are_promised():
    assert set(shipped_profiles.tables()) == NAMES


@pytest.mark.parametrize("name", sorted(NAMES))
def test_a_shipped_profile_is_known_by_its_name_alone(name):
    assert recipe_of(name, Config()).name == name


@pytest.mark.parametrize("name", sorted(NAMES))
def test_a_shipped_profile_can_be_copied_as_it_is_printed(name, tmp_path):
    text = shipped_profiles.text_of(name)
    assert text.startswith("# "), "what it is for stands above it"
    file = tmp_path / "node.toml"
    file.write_text(f'[node]\ndata_dir = "{tmp_path}"\n\n{text}', encoding="utf-8")
    config = load(file)
    check(config)  # no key, code, plug-in or intensity that does not exist
    assert recipe_of(name, config) == recipe_of(name, Config())
    assert set(tomllib.loads(text)["profile"]) == {name}
    assert set(config.profile[name].policy) <= set(CODES)


def test_a_profile_of_the_file_takes_the_place_of_the_shipped_one():
    config = Config(profile={"ct-lung": Profile(intensity="cta")})
    recipe = recipe_of("ct-lung", config)
    assert (recipe.intensity, recipe.spacing_mm) == ("cta", None)


def test_a_route_may_name_a_shipped_profile_and_no_unknown_one():
    load(None, {"route": [{"name": "ct", "profile": "ct-soft"}]})
    with pytest.raises(ConfigError, match=r"'ct-sofd' is not defined; there are: cardiac-ct, .*us"):
        load(None, {"route": [{"name": "ct", "profile": "ct-sofd"}]})


def test_the_list_tells_where_each_profile_comes_from(tmp_path):
    file = tmp_path / "node.toml"
    file.write_text('[profile.mine]\n[profile.us]\norientation = "native"\n', encoding="utf-8")
    result = CliRunner().invoke(profiles, ["list", "--csv", "-c", str(file)])
    origins = dict(line.split(",")[:2] for line in result.output.splitlines()[1:])
    assert origins.keys() == {*NAMES, "default", "mine"}
    assert (origins["default"], origins["ct-hu"]) == ("built in", "shipped")
    assert origins["us"] == origins["mine"] == "configuration"


def test_a_profile_is_printed_with_its_comment():
    result = CliRunner().invoke(profiles, ["show", "ct-lung"])
    assert result.output == shipped_profiles.text_of("ct-lung")
    assert "-1000 to 400 HU" in result.output


def test_an_unknown_profile_cannot_be_shown():
    result = CliRunner().invoke(profiles, ["show", "knee"])
    assert isinstance(result.exception, NodeError)
