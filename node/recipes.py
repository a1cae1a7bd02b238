"""From the name of a profile to the recipe that the science works by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from pydantic import TypeAdapter, ValidationError

from handlers.api import Recipe
from handlers.model import NormModel, Verdict
from node.config import Config
from node.errors import ConfigError

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
        need_phase=keys.need_phase,
        presentation_intent=keys.presentation_intent,
        crop_region=keys.crop_region,
        leaves_hospital=keys.leaves_hospital,
        target_phase=keys.target_phase,
        suv=keys.suv,
        mr_values=keys.mr_values,
        dtype=keys.dtype,
        save_padding_mask=keys.save_padding_mask,
        keep_units=keys.keep_units,
        frequency_bins=keys.frequency_bins,
        labels=keys.labels,
        bias_field=keys.bias_field,
        models=tuple(_model(each) for each in models),
        sidecar_attributes=keys.sidecar_attributes,
        policy={code: Verdict(verdict) for code, verdict in keys.policy.items()},
        rules=keys.rules,
        steps=keys.steps,
        writers=keys.writers,
        release=release,
    )


def _model(row: Mapping[str, Any]) -> NormModel:
    lists = {key: tuple(float(value) for value in row[key]) for key in ("positions", "values", "spread")}
    return NormModel(row["kind"], row["cohort"], row["version"], **lists, n=row["n"], sha256=row["sha256"])


def recorded_recipe(recorded: Mapping[str, Any]) -> Recipe:
    """Return the recipe that a report keeps (`provenance.recipe`).

    Raises:
        ConfigError: it has keys that this version does not know, or values that it does not take.
    """
    unknown = sorted(set(recorded) - {field.name for field in fields(Recipe)})
    if unknown:
        raise ConfigError([f"this version knows no key {key!r} of a recipe" for key in unknown])
    try:
        return TypeAdapter(Recipe).validate_python(dict(recorded))
    except ValidationError as error:
        raise ConfigError(
            [f"recipe: {'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()]
        ) from error
