"""Profiles of the configuration become recipes, key by key."""

from dataclasses import asdict, fields

import pytest

from handlers.api import ContrastOptions, Recipe
from handlers.model import Verdict
from node.config import Config
from node.errors import ConfigError
from node.profile_keys import Profile
from node.recipes import recipe_of, recorded_recipe


def test_the_built_in_profile_changes_nothing():
    assert recipe_of("default", Config()) == Recipe()


def test_a_profile_that_says_nothing_is_the_built_in_one_under_another_name():
    assert recipe_of("plain", Config(profile={"plain": Profile()})) == Recipe(name="plain")


def test_every_key_of_a_profile_arrives(tmp_path):
    keys = {
        "orientation": "RAS",
        "spacing_mm": (1.0, 1.0, 3.0),
        "interpolator": "bspline",
        "intensity": "lung",
        "fill_missing": True,
        "resample_variable": True,
        "accept_kernels": ("smooth",),
        "soften_kernel": "medium",
        "need_phase": True,
        "presentation_intent": "FOR PROCESSING",
        "crop_region": True,
        "leaves_hospital": True,
        "target_phase": "75%",
        "suv": "bw",
        "mr_values": "quantitative",
        "dtype": "float32",
        "save_padding_mask": True,
        "keep_units": True,
        "frequency_bins": 64,
        "labels": True,
        "bias_field": True,
        "derived_dicom": True,
        "deidentified_originals": True,
        "sidecar_attributes": ("ReconstructionDiameter",),
        "policy": {"GEO-005": "REJECT"},
        "rules": ("a",),
        "steps": ("b",),
        "writers": ("c",),
    }
    (tmp_path / "key").write_text(KEY)
    secret = {"deidentify": True, "deidentify_key_file": str(tmp_path / "key")}
    contrast = {
        "contrast_from_image": True,
        "contrast_classifier": ("command", "-x"),
        "contrast_classifier_timeout_s": 5.0,
    }
    recipe = recipe_of("all", Config(profile={"all": Profile(**keys, **contrast, **secret)}))
    assert recipe.contrast == ContrastOptions(
        image_evidence=True, classifier=("command", "-x"), classifier_timeout_s=5.0
    )
    assert {field.name for field in fields(Recipe)} == {
        *keys,
        "contrast",
        "deidentification",
        "name",
        "release",
        "models",
    }
    for key, value in keys.items():
        assert getattr(recipe, key) == value
    assert recipe.policy["GEO-005"] is Verdict.REJECT


def test_release_is_not_a_key_of_the_file_but_the_word_of_a_person():
    assert recipe_of("default", Config(), release=True).release


def test_the_built_in_profile_can_be_defined_anew():
    config = Config(profile={"default": Profile(orientation="RAS")})
    assert recipe_of("default", config).orientation == "RAS"


def test_an_unknown_profile_lists_the_known_ones():
    with pytest.raises(ConfigError, match=r"there are: cardiac-ct, ct-bone, .*default, lung, "):
        recipe_of("belly", Config(profile={"lung": Profile()}))


KEY = "0123456789abcdef" * 4


def deidentifying(tmp_path, key=KEY, **keys):
    (tmp_path / "key").write_text(key)
    wanted = {"derived_dicom": True, "deidentify": True, "deidentify_key_file": str(tmp_path / "key"), **keys}
    return Config(profile={"out": Profile(**wanted)})


def test_a_deidentifying_profile_names_its_key_and_does_not_tell_it(tmp_path):
    recipe = recipe_of("out", deidentifying(tmp_path))
    assert recipe.deidentification.options == ("modified-dates",)
    assert recipe.deidentification.key_file == str(tmp_path / "key")
    assert recipe.leaves_hospital
    assert KEY not in repr(recipe)
    other = recipe_of("out", deidentifying(tmp_path, key="f" * 32))
    assert other.deidentification.key_id != recipe.deidentification.key_id


@pytest.mark.parametrize("key", ["", "short", "x" * 31])
def test_a_key_that_can_be_guessed_is_refused(tmp_path, key):
    with pytest.raises(ConfigError, match="32 characters"):
        recipe_of("out", deidentifying(tmp_path, key=key))


def test_a_missing_key_is_told_by_its_profile(tmp_path):
    config = deidentifying(tmp_path)
    (tmp_path / "key").unlink()
    with pytest.raises(ConfigError, match=r"profile\.out\.deidentify_key_file"):
        recipe_of("out", config)


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"derived_dicom": False}, "deidentify needs derived_dicom"),
        ({"deidentify_key_file": ""}, "deidentify needs a deidentify_key_file"),
        ({"deidentify": False, "deidentified_originals": True}, "deidentified_originals needs deidentify"),
    ],
)
def test_deidentification_needs_images_and_a_key(tmp_path, keys, told):
    with pytest.raises(ValueError, match=told):
        deidentifying(tmp_path, **keys)


def test_a_recorded_recipe_uses_no_key_that_the_configuration_does_not_know(tmp_path):
    config = deidentifying(tmp_path)
    recorded = asdict(recipe_of("out", config))
    assert recorded_recipe(recorded, config).deidentification.key_file == str(tmp_path / "key")
    with pytest.raises(ConfigError, match="no profile of this configuration uses"):
        recorded_recipe(recorded, Config())
