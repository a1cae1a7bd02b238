"""From the name of a profile to the recipe that the science works by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from handlers.api import ContrastOptions, Deidentification, Recipe
from handlers.model import NormModel, Verdict
from node.config import Config
from node.errors import ConfigError
from node.profile_keys import Profile

DEFAULT_PROFILE = "default"


def recipe_of(
    profile: str, config: Config, *, release: bool = False, models: Sequence[Mapping[str, Any]] = ()
) -> Recipe:
    """Return the recipe of a profile of the configuration, or of one that comes with the node.

    `default` is built in unless the configuration defines it anew.
    `release` says that a person has looked at the series and let go what was held.
    `models` are the intensity models in use, as `registry.intensity.in_use` returns them.

    Raises:
        ConfigError: there is no profile of this name.
    """
    profiles = config.profiles
    if profile not in profiles:
        if profile == DEFAULT_PROFILE:
            return Recipe(release=release)
        known = ", ".join(sorted({DEFAULT_PROFILE, *profiles}))
        raise ConfigError([f"profile {profile!r} is not defined; there are: {known}"])
    keys = profiles[profile]
    return Recipe(
        name=profile,
        orientation=keys.orientation,
        spacing_mm=keys.spacing_mm,
        interpolator=keys.interpolator,
        intensity=keys.intensity,
        fill_missing=keys.fill_missing,
        resample_variable=keys.resample_variable,
        accept_kernels=tuple(keys.accept_kernels),
        soften_kernel=keys.soften_kernel,
        need_phase=keys.need_phase,
        presentation_intent=keys.presentation_intent,
        crop_region=keys.crop_region,
        leaves_hospital=keys.leaves_hospital or keys.deidentify,
        target_phase=keys.target_phase,
        suv=keys.suv,
        mr_values=keys.mr_values,
        contrast=ContrastOptions(
            **_calibration(profile, keys.contrast_calibration),
            image_evidence=keys.contrast_from_image,
            classifier=keys.contrast_classifier,
            classifier_timeout_s=keys.contrast_classifier_timeout_s,
        ),
        dtype=keys.dtype,
        save_padding_mask=keys.save_padding_mask,
        keep_units=keys.keep_units,
        frequency_bins=keys.frequency_bins,
        labels=keys.labels,
        bias_field=keys.bias_field,
        models=tuple(_model(each) for each in models),
        derived_dicom=keys.derived_dicom,
        deidentified_originals=keys.deidentified_originals,
        deidentification=_deidentification(profile, keys),
        sidecar_attributes=keys.sidecar_attributes,
        policy={code: Verdict(verdict) for code, verdict in keys.policy.items()},
        rules=keys.rules,
        steps=keys.steps,
        writers=keys.writers,
        release=release,
    )


def _deidentification(profile: str, keys: Profile) -> Deidentification:
    """Return how a profile de-identifies: which key, never the key itself."""
    if not keys.deidentify:
        return Deidentification()
    from handlers.outputs.pseudonyms import load

    file = keys.deidentify_key_file
    try:
        key_id = load(Path(file)).key_id
    except (OSError, ValueError) as error:
        raise ConfigError([f"profile.{profile}.deidentify_key_file: {file}: {error}"]) from None
    return Deidentification(file, key_id, tuple(sorted(set(keys.deidentify_options))))


def _model(row: Mapping[str, Any]) -> NormModel:
    lists = {key: tuple(float(value) for value in row[key]) for key in ("positions", "values", "spread")}
    return NormModel(row["kind"], row["cohort"], row["version"], **lists, n=row["n"], sha256=row["sha256"])


def recorded_recipe(recorded: Mapping[str, Any], config: Config) -> Recipe:
    """Return the recipe that a report keeps (`provenance.recipe`).

    A report may come from anywhere, so a command in it is run only if the configuration has it too.

    Raises:
        ConfigError: it has keys, values or a command that are not known here.
    """
    unknown = sorted(set(recorded) - {field.name for field in fields(Recipe)})
    if unknown:
        raise ConfigError([f"this version knows no key {key!r} of a recipe" for key in unknown])
    try:
        recipe = TypeAdapter(Recipe).validate_python(dict(recorded))
    except ValidationError as error:
        raise ConfigError(
            [f"recipe: {'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()]
        ) from error
    command = recipe.contrast.classifier
    if command and command not in {keys.contrast_classifier for keys in config.profiles.values()}:
        raise ConfigError(
            [f"recipe: contrast.classifier: no profile of this configuration runs {' '.join(command)!r}"]
        )
    key_file = recipe.deidentification.key_file
    if key_file and key_file not in {keys.deidentify_key_file for keys in config.profiles.values()}:
        raise ConfigError([f"recipe: deidentification: no profile of this configuration uses {key_file!r}"])
    return recipe


def _calibration(profile: str, file: str) -> dict[str, Any]:
    """Return the options that a calibration file settles; {} without one."""
    if not file:
        return {}
    from handlers.triage.phase_calibration import load

    try:
        found = load(Path(file))
    except (OSError, ValueError) as error:
        raise ConfigError([f"profile.{profile}.contrast_calibration: {file}: {error}"]) from None
    told = {key: found.get(key) for key in ("version", "cases", "sha256")}
    return {"temperature": found["temperature"], "calibration": told}
