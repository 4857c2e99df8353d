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

    for batch, following in zip(batches, [*batches[1:], None], strict=False):
        assert len(batch) == 1 or size(batch) <= budget
        assert following is None or size([*batch, following[0]]) > budget  # none could have held one row more


def test_longest_first_and_like_lengths_together() -> None:
    assert list(make_batches([3, 9, 3, 8], 18)) == [[1, 3], [0, 2]]
    assert list(make_batches([3, 9, 3, 8], 20, padded=False)) == [[1, 3, 0], [2]]
