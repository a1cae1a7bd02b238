"""A calibrated confidence of contrast phases: one temperature, fitted on reviewed cases.

One parameter is all that a few dozen cases can bear: it cannot change which phase is best, only how
sure the node is. Weights for each source would need hundreds of cases. Source: Guo 2017, arXiv 1706.04599.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from handlers.tables import table
from handlers.triage import phase_lexicon
from handlers.triage.phase_fusion import ENHANCED, classes, posterior

LEAST_CASES = 20
FOLDS = 5
SPREAD = 0.5  # of the logarithm of the temperature, before any case is seen; holds few cases near 1
SEARCH = tuple(math.log(0.25) + step * 0.01 for step in range(370))  # temperatures from 0.25 to 10
BINS = (0.0, 0.3, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 1.0)

Case = tuple[Mapping[str, float], str]  # scores of the classes, and the code that a person gave


def code_of(label: str) -> str:
    """Return the code of a label as reviewers write it, "ARTERIAL" or "ART"; "" when it cannot be fitted."""
    told = label.strip().upper()
    for code, entry in table("phases")["phase"].items():
        if told in (code, entry["label"]) and (code in classes() or code == ENHANCED):
            return str(code)
    return ""


def fit(cases: Sequence[Case]) -> dict[str, Any]:
    """Return a calibration as data, without version: temperature, reliability out of sample, and its digest.

    Raises:
        ValueError: there are fewer than `LEAST_CASES`.
    """
    if len(cases) < LEAST_CASES:
        raise ValueError(f"{len(cases)} usable cases; {LEAST_CASES} are needed")
    folds = [_temperature([c for k, c in enumerate(cases) if k % FOLDS != fold]) for fold in range(FOLDS)]
    unseen = [_confidence(case, folds[k % FOLDS]) for k, case in enumerate(cases)]
    plain = [_confidence(case, 1.0) for case in cases]
    return {
        "kind": "temperature",
        "temperature": _temperature(cases),
        "cases": len(cases),
        "table_version": phase_lexicon.version(),
        "calibration_error": {"before": _error(plain), "after": _error(unseen)},
        "reliability": {"before": _table(plain), "after": _table(unseen)},
    }


def sealed(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content with the SHA-256 of its canonical JSON."""
    plain = {key: value for key, value in content.items() if key != "sha256"}
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"))
    return {**plain, "sha256": hashlib.sha256(text.encode("utf-8")).hexdigest()}


def load(path: Path) -> dict[str, Any]:
    """Return a calibration file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no calibration, was changed by hand, or was fitted with another table of phases.
    """
    found = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(found, dict) or sealed(found) != found or not found.get("temperature", 0) > 0:
        raise ValueError("it is no calibration, or was changed after it was made")
    if found.get("table_version") != phase_lexicon.version():
        raise ValueError(
            "it was fitted with another version of conf/phases.toml; run `prepnode calibrate` again"
        )
    return found


def _temperature(cases: Sequence[Case]) -> float:
    def cost(log_temperature: float) -> float:
        temperature = math.exp(log_temperature)
        misfit = -sum(math.log(max(_chance(case, temperature), 1e-12)) for case in cases)
        return misfit + log_temperature**2 / (2 * SPREAD**2)

    return round(math.exp(min(SEARCH, key=cost)), 3)


def _chance(case: Case, temperature: float) -> float:
    """Return the probability of what the person said; contrast of open phase is everything but unenhanced."""
    chances = posterior(case[0], temperature=temperature)
    return float(1.0 - chances["NC"] if case[1] == ENHANCED else chances[case[1]])


def _confidence(case: Case, temperature: float) -> tuple[float, bool]:
    chances = posterior(case[0], temperature=temperature)
    best = max(chances, key=chances.__getitem__)
    return chances[best], best == case[1] or (case[1] == ENHANCED and best != "NC")


def _table(judged: Sequence[tuple[float, bool]]) -> list[dict[str, Any]]:
    rows = []
    for low, high in pairwise(BINS):
        inside = [each for each in judged if low < each[0] <= high]
        if inside:
            mean, right = (sum(column) / len(inside) for column in zip(*inside, strict=True))
            rows.append(
                {
                    "from": low,
                    "to": high,
                    "cases": len(inside),
                    "confidence": round(mean, 3),
                    "right": round(right, 3),
                }
            )
    return rows


def _error(judged: Sequence[tuple[float, bool]]) -> float:
    """Return the expected calibration error: the mean gap between confidence and share of right answers."""
    rows = _table(judged)
    gap = sum(float(r["cases"]) * abs(r["confidence"] - r["right"]) for r in rows)
    return float(round(gap / len(judged), 4))
