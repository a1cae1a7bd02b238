"""How well one attribute alone foretells the label of a row, from the other rows.

Each row is foretold by the majority label of the *other* rows that have the same value; where
the value is a number that no other row has, of the rows with the nearest number. So an
identifier, different in every row, foretells nothing, while a number that orders the
labels does. The skill is the balanced accuracy of that, scaled so that guessing is 0 and
perfect is 1: (accuracy - 1/K) / (1 - 1/K) for K labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

SHUFFLES = 199
SEED = 0  # of the shuffles: the same table gives the same figures

Numbers = NDArray[np.float64]
Indices = NDArray[np.intp]


def skill(values: Sequence[Any], labels: Indices) -> float:
    """Return the skill, 0 (as guessing, or worse) to 1, of an attribute with one value per row.

    `values` are numbers, texts or None (absent, a value like others); `labels` are 0..K-1.
    """
    return _skill(*_groups(values), labels)


def by_chance(values: Sequence[Any], labels: Indices) -> float:
    """Return the share of shuffled labellings that the attribute foretells as well: a permutation p-value."""
    group, neighbours = _groups(values)
    reached = _skill(group, neighbours, labels)
    generator = np.random.default_rng(SEED)
    as_well = sum(
        _skill(group, neighbours, generator.permutation(labels)) >= reached for _ in range(SHUFFLES)
    )
    return (as_well + 1) / (SHUFFLES + 1)


def _groups(values: Sequence[Any]) -> tuple[Indices, NDArray[np.bool_]]:
    """Return the group of each row (the rows of one value), and which groups are nearest to which.

    The second array has shape (groups, 2): whether the nearest number of a group lies in the
    group before it, and after it. Groups of numbers come first, in their order; text and absence follow.
    """
    numbers = sorted({float(value) for value in values if _is_number(value)})
    others = sorted({str(value) for value in values if not _is_number(value)})
    places: dict[Any, int] = {number: place for place, number in enumerate(numbers)}
    words = {word: len(numbers) + place for place, word in enumerate(others)}
    group = np.array(
        [places[float(value)] if _is_number(value) else words[str(value)] for value in values], np.intp
    )
    distance = np.diff(np.array(numbers, np.float64))
    before = np.concatenate([[np.inf], distance, np.full(len(others), np.inf)])[: len(places) + len(words)]
    after = np.concatenate([distance, [np.inf], np.full(len(others), np.inf)])[: len(places) + len(words)]
    nearest = np.minimum(before, after)
    is_near = np.isfinite(nearest)
    return group, np.stack([is_near & (before == nearest), is_near & (after == nearest)], axis=1)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _skill(group: Indices, neighbours: NDArray[np.bool_], labels: Indices) -> float:
    n_labels = int(labels.max()) + 1
    counts = np.zeros((len(neighbours), n_labels))
    np.add.at(counts, (group, labels), 1)
    votes = counts[group]
    votes[np.arange(len(labels)), labels] -= 1
    nearby = np.zeros_like(counts)
    nearby[1:] += counts[:-1] * neighbours[1:, :1]
    nearby[:-1] += counts[1:] * neighbours[:-1, 1:]
    is_alone = votes.sum(axis=1) == 0
    votes[is_alone] = nearby[group[is_alone]]
    tops = votes == votes.max(axis=1, keepdims=True)  # no vote at all: all labels tie
    credit = tops[np.arange(len(labels)), labels] / tops.sum(axis=1)
    accuracy = float(np.mean([credit[labels == label].mean() for label in range(n_labels)]))
    return max(0.0, (accuracy - 1 / n_labels) / (1 - 1 / n_labels))
