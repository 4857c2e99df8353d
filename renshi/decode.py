"""Logits to spans: the best tag sequence in which no I- stands without its B-, found without a loop over tags.

Of all tag sequences the decoder returns the most probable one that is legal in BIO. Where the best tag of every token
already makes a legal sequence, that is the answer (no legal sequence can beat the unconstrained one); only what lies
around the rest is searched, and there the transition matrix has so much structure that a step costs O(tags): ``O`` and
``B-`` follow anything, so they need one maximum over all tags, and ``I-x`` follows only ``B-x`` and ``I-x``.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from renshi.labels import LABELS, TAGS

__all__ = ["Spans", "best_tags", "decode", "doubt", "first_tokens"]

# Tags stand as O, then B and I of each label (`renshi.labels.TAGS`): the arithmetic below depends on it.
assert TAGS[1::2] == tuple(f"B-{label}" for label in LABELS)
assert TAGS[2::2] == tuple(f"I-{label}" for label in LABELS)


class Spans(NamedTuple):
    """Spans of many rows as arrays of one length; `row` and the token range ``[start, end)`` in it, `label` an index into
    `LABELS`, `score` the probability that the span is right: that of the least probable of its tags, times that of its
    ending where it does."""

    row: NDArray[np.int64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    label: NDArray[np.int64]
    score: NDArray[np.float64]


def decode(logits: NDArray[np.float32], lengths: NDArray[np.int64], temperature: float = 1.0) -> Spans:
    """Spans of packed rows.

    Args:
        logits: (tokens, tags) of all rows, one behind the other; the first and the last token of each row are special and
            ignored.
        lengths: (rows,) how many tokens each row has, special tokens included; at least two.
        temperature: Divides the logits before probabilities are made of them (Guo et al. 2017); the spans are the same
            at any temperature, only their scores differ.
    """
    tags = best_tags(logits, lengths)
    begins = tags % 2 == 1
    # A span ends at the first token that is no I-: legality has made sure that the I- run is its own, and every row's last
    # token is O.
    outside = np.flatnonzero(begins | (tags == 0))
    start = np.flatnonzero(begins)
    end = outside[np.searchsorted(outside, start, side="right")] if len(start) else start
    first = first_tokens(lengths)
    row = np.searchsorted(first, start, side="right") - 1
    score = _scores(logits, tags, start, end, temperature)
    return Spans(row, start - first[row], end - first[row], (tags[start] - 1) // 2, score)


def first_tokens(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where each row begins among the tokens of all."""
    return np.cumsum(lengths) - lengths


def _scores(
    logits: NDArray[np.float32],
    tags: NDArray[np.int64],
    start: NDArray[np.int64],
    end: NDArray[np.int64],
    temperature: float,
) -> NDArray[np.float64]:
    if not len(start):
        return np.zeros(0)
    bears = tags > 0
    bears[end] = True  # the tag behind a span says whether it ends there
    bearing = np.flatnonzero(bears)  # a quarter of all tokens: the others' probabilities are not asked for
    asked = logits[bearing] / temperature
    highest = asked.max(axis=-1)
    normalizer = highest + np.log(np.exp(asked - highest[:, None]).sum(axis=-1))
    probability = np.exp(asked[np.arange(len(bearing)), tags[bearing]] - normalizer)
    start, end = np.searchsorted(bearing, start), np.searchsorted(bearing, end)
    # The weakest tag says more than their mean, in which a long span hides its one doubtful border; and where a span
    # ends is seen in the tag behind it. Measured in training/README.md.
    weakest = np.minimum.reduceat(probability, np.stack([start, end], axis=1).ravel())[::2]
    goes_on = np.exp(asked[end, tags[bearing[start]] + 1] - normalizer[end])
    score: NDArray[np.float64] = np.clip(weakest.astype(np.float64) * (1.0 - goes_on), 0.0, 1.0)
    return score


def doubt(logits: NDArray[np.float32], lengths: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """How many tokens of each row are expected to be tagged wrongly, and of how many: (rows,) sums of 1 − the greatest
    probability, and numbers of tokens, both without special tokens."""
    first = first_tokens(lengths)
    greatest = 1.0 / np.exp(logits - logits.max(axis=-1, keepdims=True)).sum(axis=-1)
    wrong = 1.0 - greatest.astype(np.float64)
    wrong[first] = wrong[first + lengths - 1] = 0.0
    return np.add.reduceat(wrong, first), lengths - 2


def best_tags(logits: NDArray[np.float32], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """(tokens,) tag ids of the most probable legal sequence of each row; ``O`` on special tokens."""
    first = first_tokens(lengths)
    tags: NDArray[np.int64] = logits.argmax(axis=-1)
    tags[first] = tags[first + lengths - 1] = 0
    before = np.concatenate([[0], tags[:-1]])  # a row ends with O, so none reaches into the next
    illegal = np.flatnonzero((tags > 0) & (tags % 2 == 0) & (before != tags) & (before != tags - 1))
    if len(illegal):
        _make_legal(tags, logits, lengths, illegal)
    return tags


def _make_legal(
    tags: NDArray[np.int64], logits: NDArray[np.float32], lengths: NDArray[np.int64], illegal: NDArray[np.int64]
) -> None:
    """Search, in place, where the best tags are illegal: between tokens that keep theirs (`_may_change`)."""
    free = _may_change(tags, logits, lengths, illegal)
    # A run of free tokens with the one before and the one behind it, whose tags are known.
    edges = np.flatnonzero(np.diff(free.astype(np.int8)))
    starts, ends = edges[::2], edges[1::2] + 2
    # What an illegal tag of the row before or behind reaches into has none itself, and is best as it is.
    touched = np.searchsorted(illegal, starts + 1) < np.searchsorted(illegal, ends)
    starts, ends = starts[touched], ends[touched]
    there = np.arange((ends - starts).max()) < (ends - starts)[:, None]
    places = (starts[:, None] + np.arange(there.shape[1]))[there]
    emissions = np.zeros((*there.shape, logits.shape[1]), dtype=np.float32)
    known = np.full((len(places), logits.shape[1]), -np.inf, dtype=np.float32)
    known[np.arange(len(places)), tags[places]] = 0.0
    emissions[there] = np.where(free[places, None], logits[places], known)
    tags[places] = _viterbi(emissions)[there]


def _may_change(
    tags: NDArray[np.int64], logits: NDArray[np.float32], lengths: NDArray[np.int64], illegal: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """(tokens + 1,) which tokens can have another tag in the best legal sequence than their best one, and some more; one
    behind the last, so that every run of them ends.

    Where the best legal sequence has other tags than the best ones, in a run of tokens one behind the other, it has them
    for an illegal I-, which is in the run or the token behind it: else the best tags of the run would be legal there, and
    better. And the run costs at most what making its illegal I- the B- of their labels costs, which is legal too. Each of
    its tokens costs at least what its best tag is better than every other. So a run reaches from an illegal I- only as far
    as these sums stay below the cost of all such changes in the row: a few tokens, as the network is mostly sure.
    """
    first = first_tokens(lengths)
    row_of = np.repeat(np.arange(len(lengths)), lengths)
    cost, concerned = np.zeros(len(lengths)), np.zeros(len(lengths), dtype=bool)
    concerned[row_of[illegal]] = True
    searched = np.flatnonzero(concerned[row_of])
    second, best = np.partition(logits[searched], -2, axis=-1)[:, -2:].T.astype(np.float64)
    # What is no number holds nothing: it costs nothing to change, and any budget is enough.
    with np.errstate(invalid="ignore"):
        np.add.at(cost, row_of[illegal], logits[illegal, tags[illegal]] - logits[illegal, tags[illegal] - 1])
        lead = np.minimum(np.nan_to_num(best - second, nan=0.0), _CERTAIN)
    budget = np.nan_to_num(cost, nan=np.inf, posinf=np.inf)[row_of[illegal]] + _ROUNDING
    before = np.concatenate([[0.0], np.cumsum(lead)])  # the leads of all tokens before each
    at = np.searchsorted(searched, illegal)
    begin = np.searchsorted(before, before[at] - budget, side="left")
    end = np.maximum(np.searchsorted(before, before[at] + budget, side="right") - 1, at + 1)
    covering = np.zeros(len(before), dtype=np.int64)
    np.add.at(covering, begin, 1)
    np.add.at(covering, end, -1)
    free = np.zeros(len(tags) + 1, dtype=bool)
    free[searched] = np.cumsum(covering[:-1]) > 0
    free[first] = free[first[1:] - 1] = free[-2] = False  # the special tokens
    return free


_ROUNDING = 1e-3  # logits are sums of float32: a token is held only where that cannot matter
_CERTAIN = 1e6  # no lead counts more, so that sums of them keep their thousandths; less only searches more


def _viterbi(emissions: NDArray[np.float32]) -> NDArray[np.int64]:
    """(rows, tokens) of the best legal tags, whatever stands before the first; tokens are searched in all rows at once."""
    rows, width, tags = emissions.shape
    every = np.arange(rows)
    labels = np.arange(1, tags, 2)
    came_from = np.empty((width, rows, tags), dtype=np.int64)
    score = emissions[:, 0].astype(np.float64)
    for token in range(1, width):
        best = score.argmax(axis=1)
        came_from[token] = best[:, None]  # O and every B- follow the best of all
        arrive = np.repeat(score[every, best][:, None], tags, axis=1)
        begin, inside = score[:, 1::2], score[:, 2::2]
        stay = inside >= begin
        came_from[token, :, 2::2] = np.where(stay, labels + 1, labels)
        arrive[:, 2::2] = np.where(stay, inside, begin)
        score = arrive + emissions[:, token]
    path = np.empty((rows, width), dtype=np.int64)
    tag = score.argmax(axis=1)
    for token in range(width - 1, 0, -1):
        path[:, token] = tag
        tag = came_from[token, every, tag]
    path[:, 0] = tag
    return path
