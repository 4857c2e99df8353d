"""Counting spans and sets: precision, recall, F1, and how sure one may be of them.

Everything is counted for each document as (right, predicted, gold), so that totals, slices and bootstrap samples are
sums of rows. A span is right where its borders and its label are: the strict measure (seqeval's ``mode="strict"``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Hashable, Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from renshi.records import Entity

__all__ = [
    "Counts",
    "Score",
    "Span",
    "bootstrap_interval",
    "compare_sets",
    "confuse",
    "difference_interval",
    "f1_of",
    "paired_bootstrap",
    "score_of",
    "span_of",
]

Counts = NDArray[np.int64]
"""(documents, 3): right, predicted, gold."""

Span = tuple[int, int, str]
"""(start, end, label)."""


def span_of(entity: Entity) -> Span:
    """What the strict measure compares of an entity."""
    return entity.start, entity.end, entity.label


@dataclass(frozen=True, slots=True)
class Score:
    """Precision, recall and F1 with the number of gold items; 0 where there is nothing to divide by."""

    precision: float
    recall: float
    f1: float
    support: int


def compare_sets(predicted: Collection[Hashable], gold: Collection[Hashable]) -> tuple[int, int, int]:
    """(right, predicted, gold) of one document."""
    predicted, gold = set(predicted), set(gold)
    return len(predicted & gold), len(predicted), len(gold)


def f1_of(totals: NDArray[np.int64]) -> NDArray[np.float64]:
    """F1 along the last axis of (…, 3) sums; 0 where nothing was predicted and nothing is there."""
    right, both = totals[..., 0], totals[..., 1] + totals[..., 2]
    return np.divide(2.0 * right, both, out=np.zeros(both.shape), where=both > 0)


def score_of(counts: Counts) -> Score:
    """The micro average over the documents."""
    right, predicted, gold = (int(total) for total in counts.sum(axis=0))
    return Score(
        right / predicted if predicted else 0.0,
        right / gold if gold else 0.0,
        float(f1_of(np.array([right, predicted, gold]))),
        gold,
    )


def confuse(predicted: Iterable[Span], gold: Iterable[Span]) -> Counter[tuple[str, str]]:
    """What became of the gold spans of one document, and what was predicted where there is none.

    Counts pairs: for a gold span its label with the label predicted on the same span, or else with ``boundary`` (a
    prediction of its label overlaps it), ``other`` (only predictions of other labels do) or ``missed`` (none does); for
    a prediction that overlaps no gold span, ``spurious`` with its label. Neither side may overlap itself.
    """
    predicted, gold = list(predicted), list(gold)
    same = {(start, end): label for start, end, label in predicted}
    pairs: Counter[tuple[str, str]] = Counter()
    for span in gold:
        touching = {label for start, end, label in predicted if start < span[1] and span[0] < end}
        kind = "boundary" if span[2] in touching else "other" if touching else "missed"
        pairs[span[2], same.get(span[:2], kind)] += 1
    for start, end, label in predicted:
        if not any(start < span[1] and span[0] < end for span in gold):
            pairs["spurious", label] += 1
    return pairs


@lru_cache(maxsize=1)  # every measure of a set is resampled with the same documents, so the draw is made once
def _draws(documents: int, samples: int, seed: int) -> NDArray[np.int64]:
    """(samples, documents): how often each document was drawn, when as many as there are are drawn with replacement."""
    return np.random.default_rng(seed).multinomial(documents, np.full(documents, 1 / documents), size=samples)


def _resampled_f1(counts: Counts, samples: int, seed: int) -> NDArray[np.float64]:
    """F1 of each resampled set of documents: all the sums are one matrix product."""
    return f1_of(_draws(len(counts), samples, seed) @ counts)


def bootstrap_interval(counts: Counts, samples: int = 1000, seed: int = 0) -> tuple[float, float]:
    """The 95 % percentile interval of F1 over resampled documents."""
    return _middle(_resampled_f1(counts, samples, seed))


def difference_interval(counts_a: Counts, counts_b: Counts, samples: int = 1000, seed: int = 0) -> tuple[float, float]:
    """The 95 % percentile interval of how much better the F1 of b is than that of a, over resampled documents, the same
    ones for both."""
    return _middle(_resampled_f1(counts_b, samples, seed) - _resampled_f1(counts_a, samples, seed))


def _middle(values: NDArray[np.float64]) -> tuple[float, float]:
    """Between what 95 % of the values lie."""
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def paired_bootstrap(counts_a: Counts, counts_b: Counts, samples: int = 1000, seed: int = 0) -> float:
    """p for "b has the better F1 than a": the share of resampled sets of documents in which it has not (Koehn 2004).

    Both must have counted the same documents in the same order, and each sample draws the same ones for both.

    Raises:
        ValueError: The numbers of documents differ.
    """
    if counts_a.shape != counts_b.shape:
        raise ValueError(
            f"{len(counts_a)} documents against {len(counts_b)}; a paired comparison needs the same documents"
        )
    return float(np.mean(_resampled_f1(counts_b, samples, seed) <= _resampled_f1(counts_a, samples, seed)))
