"""From the name of a profile to the recipe that the science works by."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from handlers.api import ContrastOptions, Recipe
from handlers.model import Verdict
from node.config import Config
from node.errors import ConfigError

DEFAULT_PROFILE = "default"


def recipe_of(profile: str, config: Config, *, release: bool = False) -> Recipe:
    """Return the recipe of a profile; `default` is built in unless the configuration defines it anew.

    `release` says that a person has looked at the series and let go what was held.

    Raises:
        ConfigError: there is no profile of this name.
    """
    if profile not in config.profile:
        if profile == DEFAULT_PROFILE:
            return Recipe(release=release)
        known = ", ".join(sorted({DEFAULT_PROFILE, *config.profile}))
        raise ConfigError([f"profile {profile!r} is not defined; there are: {known}"])
    keys = config.profile[profile]
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
        contrast=ContrastOptions(
            **_calibration(profile, keys.contrast_calibration),
            image_evidence=keys.contrast_from_image,
            classifier=keys.contrast_classifier,
            classifier_timeout_s=keys.contrast_classifier_timeout_s,
        ),
        dtype=keys.dtype,
        save_padding_mask=keys.save_padding_mask,
        policy={code: Verdict(verdict) for code, verdict in keys.policy.items()},
        rules=keys.rules,
        steps=keys.steps,
        writers=keys.writers,
        release=release,
    )


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
