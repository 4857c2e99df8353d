"""Logits to spans: the best tag sequence in which no I- stands without its B-, found without a loop over tags.

Of all tag sequences the decoder returns the most probable one that is legal in BIO. Where the best tag of every token
already makes a legal sequence, that is the answer (no legal sequence can beat the unconstrained one); only the rest is
searched, and there the transition matrix has so much structure that a step costs O(tags): ``O`` and ``B-`` follow
anything, so they need one maximum over all tags, and ``I-x`` follows only ``B-x`` and ``I-x``.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from renshi.labels import LABELS, TAGS

__all__ = ["Spans", "best_tags", "decode", "doubt"]

# Tags stand as O, then B and I of each label (`renshi.labels.TAGS`): the arithmetic below depends on it.
assert TAGS[1::2] == tuple(f"B-{label}" for label in LABELS)
assert TAGS[2::2] == tuple(f"I-{label}" for label in LABELS)


class Spans(NamedTuple):
    """Spans of a batch as arrays of one length; `row` and the token range ``[start, end)``, `label` an index into
    `LABELS`, `score` the probability that the span is right: that of the least probable of its tags, times that of its
    ending where it does."""

    row: NDArray[np.int64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    label: NDArray[np.int64]
    score: NDArray[np.float64]


def decode(logits: NDArray[np.float32], lengths: NDArray[np.int64], temperature: float = 1.0) -> Spans:
    """Spans of a padded batch.

    Args:
        logits: (rows, tokens, tags); the first token of each row and the last of its `lengths` are special and ignored.
        lengths: (rows,) how many tokens of each row are real, special tokens included.
        temperature: Divides the logits before probabilities are made of them (Guo et al. 2017); the spans are the same
            at any temperature, only their scores differ.
    """
    tags = best_tags(logits, lengths)
    begins = (tags % 2) == 1
    inside = (tags > 0) & ~begins
    row, start = np.nonzero(begins)
    # A span ends at the first token that is no I-: legality has made sure that the I- run is its own.
    flat_outside = np.flatnonzero(~inside)
    width = tags.shape[1]
    flat_end = flat_outside[np.searchsorted(flat_outside, row * width + start, side="right")] if len(row) else start
    end = flat_end - row * width
    return Spans(row, start, end, (tags[row, start] - 1) // 2, _scores(logits / temperature, tags, row, start, end))


def _scores(
    logits: NDArray[np.float32],
    tags: NDArray[np.int64],
    row: NDArray[np.int64],
    start: NDArray[np.int64],
    end: NDArray[np.int64],
) -> NDArray[np.float64]:
    if not len(row):
        return np.zeros(0)
    highest = logits.max(axis=-1, keepdims=True)
    normalizer = highest + np.log(np.exp(logits - highest).sum(axis=-1, keepdims=True))
    probability = np.exp(np.take_along_axis(logits, tags[..., None], axis=-1) - normalizer).ravel()
    width = tags.shape[1]
    # The weakest tag says more than their mean, in which a long span hides its one doubtful border; and where a span
    # ends is seen in the tag behind it. Measured in training/README.md.
    borders = np.stack([row * width + start, row * width + end], axis=1).ravel()
    weakest = np.minimum.reduceat(probability, borders)[::2]
    goes_on = np.exp(logits[row, end, tags[row, start] + 1] - normalizer[row, end, 0])
    score: NDArray[np.float64] = np.clip(weakest.astype(np.float64) * (1.0 - goes_on), 0.0, 1.0)
    return score


def doubt(logits: NDArray[np.float32], lengths: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """How many tokens of each row are expected to be tagged wrongly, and of how many: (rows,) sums of 1 − the greatest
    probability, and numbers of tokens, both without special tokens and padding."""
    position = np.arange(logits.shape[1])
    real = (position > 0) & (position < lengths[:, None] - 1)
    greatest = 1.0 / np.exp(logits - logits.max(axis=-1, keepdims=True)).sum(axis=-1)
    return np.where(real, 1.0 - greatest, 0.0).sum(axis=-1, dtype=np.float64), real.sum(axis=-1)


def best_tags(logits: NDArray[np.float32], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """(rows, tokens) tag ids of the most probable legal sequence; ``O`` on special tokens and padding."""
    rows, width, _ = logits.shape
    position = np.arange(width)
    real = (position > 0) & (position < lengths[:, None] - 1)
    tags = np.where(real, logits.argmax(axis=-1), 0)
    is_inside = (tags > 0) & (tags % 2 == 0)
    before = np.concatenate([np.zeros((rows, 1), tags.dtype), tags[:, :-1]], axis=1)
    illegal = is_inside & (before != tags) & (before != tags - 1)
    search = np.flatnonzero(illegal.any(axis=1))
    if len(search):
        longest = int(lengths[search].max())
        tags[search, :longest] = _viterbi(logits[search, :longest], real[search, :longest])
    return tags


def _viterbi(logits: NDArray[np.float32], real: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The search itself, over (rows, tokens, tags) at once; tokens that are not `real` are held at ``O``."""
    rows, width, tags = logits.shape
    emissions = np.where(real[..., None], logits, -np.inf)
    emissions[..., 0] = np.where(real, logits[..., 0], 0.0)
    every = np.arange(rows)
    came_from = np.empty((width, rows, tags), dtype=np.int64)
    score = np.full((rows, tags), -np.inf)
    score[:, 0] = 0.0  # before the first token: outside
    for token in range(width):
        best = score.argmax(axis=1)
        came_from[token] = best[:, None]  # O and every B- follow the best of all
        arrive = np.repeat(score[every, best][:, None], tags, axis=1)
        begin, inside = score[:, 1::2], score[:, 2::2]
        stay = inside >= begin
        labels = np.arange(1, tags, 2)
        came_from[token, :, 2::2] = np.where(stay, labels + 1, labels)
        arrive[:, 2::2] = np.where(stay, inside, begin)
        score = arrive + emissions[:, token]
    path = np.empty((rows, width), dtype=np.int64)
    tag = score.argmax(axis=1)
    for token in range(width - 1, -1, -1):
        path[:, token] = tag
        tag = came_from[token, every, tag]
    return path
