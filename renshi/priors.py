"""What is known of spans on a page beside what the network says, as two numbers that are added to log-odds.

A BERT tokenizer drops white space, so most networks cannot see where a line ends; yet few names go over a line feed (where
a scraper broke the line). The model in the package sees it and is not told. And what a network leaves of a name about whose
borders it is in two minds is often a single character, with a score that says little of how seldom that is right. Both
numbers were chosen on the real dev set (`scripts/study_reading.py`, results/reading.json), the first with a model that did
not see.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

__all__ = ["doubt_single_characters", "hold_at_line_feeds"]

_LINE_FEED = 4.0
"""By how much the logits of going on are lowered behind a line feed."""
_SINGLE = 1.0
"""By how much the log-odds of the score of a single character are."""


def hold_at_line_feeds(logits: NDArray[np.float32], tokens: NDArray[np.int64]) -> None:
    """Lower, in place, the logits (tokens, tags) of every I- at the tokens that are the first of their lines."""
    logits[tokens, 2::2] -= np.float32(_LINE_FEED)


def doubt_single_characters(score: NDArray[np.float64], single: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The scores, those of single characters with their odds divided by e. 0 and 1 stay what they are."""
    lowered: NDArray[np.float64] = np.where(single, score / (score + math.exp(_SINGLE) * (1.0 - score)), score)
    return lowered
