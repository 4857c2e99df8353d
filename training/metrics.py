"""Counting spans and sets: precision, recall, F1, and how sure one may be of them.

Everything is counted for each document as (right, predicted, gold), so that totals, slices and bootstrap samples are
sums of rows. A span is right where its borders and its label are: the strict measure (seqeval's ``mode="strict"``).
"""

from __future__ import annotations

from collections.abc import Collection, Hashable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Counts", "Score", "bootstrap_interval", "compare_sets", "f1_of", "paired_bootstrap", "score_of"]

Counts = NDArray[np.int64]
"""(documents, 3): right, predicted, gold."""


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


def _resampled(counts: Counts, samples: int, seed: int) -> NDArray[np.int64]:
    """(samples, 3) sums over documents drawn with replacement. Each sample is a vector of how often each document was
    drawn, so that all of them are one matrix product."""
    drawn = np.random.default_rng(seed).multinomial(len(counts), np.full(len(counts), 1 / len(counts)), size=samples)
    return drawn @ counts


def bootstrap_interval(counts: Counts, samples: int = 1000, seed: int = 0) -> tuple[float, float]:
    """The 95 % percentile interval of F1 over resampled documents."""
    low, high = np.percentile(f1_of(_resampled(counts, samples, seed)), [2.5, 97.5])
    return float(low), float(high)


def paired_bootstrap(ours: Counts, theirs: Counts, samples: int = 1000, seed: int = 0) -> float:
    """p for "ours has the better F1": the share of resampled sets of documents in which it does not (Koehn 2004).

    Both must have counted the same documents in the same order.
    """
    if ours.shape != theirs.shape:
        raise ValueError(f"{len(ours)} documents against {len(theirs)}; a paired comparison needs the same documents")
    return float(np.mean(f1_of(_resampled(ours, samples, seed)) <= f1_of(_resampled(theirs, samples, seed))))
