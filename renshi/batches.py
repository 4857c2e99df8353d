"""Batches under a token budget: rows of like length together, so that little is padding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import ceil, inf

__all__ = ["make_batches"]


def make_batches(lengths: Sequence[int], budget: int, *, padded: bool = True) -> Iterator[list[int]]:
    """Indices of rows, longest first, so that rows × longest ≤ `budget`, or, where rows are not padded to the longest, the
    sum of their lengths (a row longer than that is a batch alone).

    Longest first, so that a budget too large for the memory shows at once and not at the end. Where rows are not padded,
    batches are about as large as each other: a last one of what is left over would have another size in every pool, and
    oneDNN keeps programs of its own for each (`renshi.bert`).
    """
    order = sorted(range(len(lengths)), key=lambda index: -lengths[index])
    left, at = sum(lengths), 0
    batches = ceil(left / max(budget - max(lengths, default=0) / 2, budget / 2))
    while at < len(order):
        longest = lengths[order[at]]
        share = inf if padded else left / max(batches, 1)
        size = total = 0
        while at + size < len(order):
            more = longest if padded else lengths[order[at + size]]
            if size and (total + more > budget or total + more / 2 > share):
                break
            size, total = size + 1, total + more
        yield order[at : at + size]
        at, left, batches = at + size, left - total, batches - 1
