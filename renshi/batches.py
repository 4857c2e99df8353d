"""Batches under a token budget: rows of like length together, so that little is padding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

__all__ = ["make_batches"]


def make_batches(lengths: Sequence[int], budget: int, *, padded: bool = True) -> Iterator[list[int]]:
    """Indices of rows, longest first, so that rows × longest ≤ `budget`, or, where rows are not padded to the longest, the
    sum of their lengths (a row longer than that is a batch alone).

    Longest first, so that a budget too large for the memory shows at once and not at the end.
    """
    order = sorted(range(len(lengths)), key=lambda index: -lengths[index])
    at = 0
    while at < len(order):
        size, total = 0, 0
        while at + size < len(order):
            total += lengths[order[at if padded else at + size]]
            if size and total > budget:
                break
            size += 1
        yield order[at : at + size]
        at += size
