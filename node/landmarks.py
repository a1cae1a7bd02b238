"""Fit an intensity model to chosen volumes, and say whether one may be used and still fits what comes.

Fitting is an act of a person, never of the node: what is chosen is listed in the model with its
digest, and the model never changes again. See `handlers.normalization.landmarks` for the method.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from handlers.normalization import landmarks
from handlers.tables import table
from node.errors import NodeError

NYUL, HISTOGRAM = "nyul", "histogram"
DIGITS = 9  # significant ones that a landmark is kept with, so that a fit has one digest on every machine


def fit(rows: Sequence[Mapping[str, Any]], *, kind: str, cohort: str, version: int) -> dict[str, Any]:
    """Fit a model to the landmarks of volumes (rows of the table `landmarks`).

    Returns:
        kind, cohort, version, content, n, drift and sha256, as the registry takes them.

    Raises:
        NodeError: nothing can be fitted to these volumes; the message says why.
    """
    if not rows:
        raise NodeError("there is no volume to fit to; `prepnode landmarks volumes COHORT` lists them")
    if kind == HISTOGRAM and len(rows) != 1:
        raise NodeError(f"histogram matching has one reference volume, not {len(rows)}: name it")
    ordered = sorted(rows, key=lambda row: (row["volume_uid"], row["id"]))
    if len({tuple(row["positions"]) for row in ordered}) != 1:
        raise NodeError(
            "these volumes were measured at different percentiles, or with different numbers of bins"
        )
    values = [tuple(float(each) for each in row["values"]) for row in ordered]
    limits = table("cohorts")["model"]
    drift = 0.0
    if kind == NYUL:
        scale, spread = landmarks.standard_scale(values)
        drift = landmarks.holdout_drift(values, parts=limits["holdout_parts"])
    else:
        scale, spread = np.mean(values, axis=0), np.std(values, axis=0)
    content = {
        "positions": [float(each) for each in ordered[0]["positions"]],
        "values": _rounded(scale),
        "spread": _rounded(spread),
        "cohorts_version": table("cohorts")["version"],
        "volumes": [
            {
                "volume_uid": row["volume_uid"],
                "SeriesInstanceUID": row["SeriesInstanceUID"],
                "sha256": _digest(each),
            }
            for row, each in zip(ordered, values, strict=True)
        ],
    }
    identity = {"kind": kind, "cohort": cohort, "version": version, **content}
    return {
        "kind": kind,
        "cohort": cohort,
        "version": version,
        "content": content,
        "n": len(ordered),
        "drift": round(drift, 6),
        "sha256": _digest(identity),
    }


def objection(model: Mapping[str, Any]) -> str | None:
    """Say why a model may not be used, None when it may."""
    limits = table("cohorts")["model"]
    if model["kind"] == HISTOGRAM:
        return None
    if model["n"] < limits["min_volumes"]:
        return f"it was fitted to {model['n']} volumes; {limits['min_volumes']} are needed"
    if model["drift"] >= limits["max_drift"]:
        return (
            f"its landmarks move by {model['drift']:.2f} points when volumes are held out;"
            f" less than {limits['max_drift']:g} are allowed"
        )
    return None


def drift(model: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Compare the newest volumes of the cohort that were not fitted to with a standard scale (NRM-INT-003).

    `rows` are in the order in which they came. `is_drifting` is None while there are too few.
    """
    limits = table("cohorts")["model"]
    fitted = {each["volume_uid"] for each in model["content"]["volumes"]}
    newest = [row["values"] for row in rows if row["volume_uid"] not in fitted][-limits["recent_volumes"] :]
    result: dict[str, Any] = {"model_id": model["model_id"], "recent_volumes": len(newest)}
    if not newest:
        return {**result, "drift": None, "is_drifting": None}
    scale, _ = landmarks.standard_scale(newest)
    distance = landmarks.deviation(scale, model["content"]["values"])
    enough = len(newest) >= limits["recent_volumes"]
    return {
        **result,
        "drift": round(distance, 3),
        "is_drifting": distance > limits["max_drift"] if enough else None,
    }


def chosen(rows: Sequence[Mapping[str, Any]], volume_uids: Collection[str]) -> list[Mapping[str, Any]]:
    """Return the rows of the volumes that were named.

    Raises:
        NodeError: some of them have no landmarks in this cohort.
    """
    missing = sorted(set(volume_uids) - {row["volume_uid"] for row in rows})
    if missing:
        raise NodeError(f"no landmarks of this kind and cohort for {', '.join(missing[:5])}")
    return [row for row in rows if row["volume_uid"] in volume_uids]


def _rounded(values: Any) -> list[float]:
    return [float(f"{float(value):.{DIGITS}g}") for value in values]


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()
