from itertools import pairwise
from math import ceil

from hypothesis import given
from hypothesis import strategies as st

from renshi.batches import make_batches


@given(st.lists(st.integers(1, 512), max_size=100), st.integers(1, 4096), st.booleans())
def test_every_row_once_under_the_budget(lengths: list[int], budget: int, padded: bool) -> None:
    batches = list(make_batches(lengths, budget, padded=padded))
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))

    def size(batch: list[int]) -> int:
        rows = [lengths[index] for index in batch]
        return max(rows) * len(rows) if padded else sum(rows)

    assert all(len(batch) == 1 or size(batch) <= budget for batch in batches)
    if padded:
        for batch, following in pairwise(batches):
            assert size([*batch, following[0]]) > budget  # none could have held one row more


@given(st.lists(st.integers(1, 254), min_size=1, max_size=200), st.integers(508, 4096))
def test_batches_that_are_not_padded_are_about_as_large(lengths: list[int], budget: int) -> None:
    sizes = [sum(lengths[index] for index in batch) for batch in make_batches(lengths, budget, padded=False)]
    but_the_last = sizes[:-1] or sizes  # which is small where the budget left no room to be just
    assert max(but_the_last) - min(but_the_last) < 2 * max(lengths)
    assert len(sizes) <= ceil(sum(lengths) / (budget - max(lengths) / 2)) + 1


def test_longest_first_and_like_lengths_together() -> None:
    assert list(make_batches([3, 9, 3, 8], 18)) == [[1, 3], [0, 2]]
    assert list(make_batches([3, 9, 3, 8], 20, padded=False)) == [[1], [3, 0, 2]]
