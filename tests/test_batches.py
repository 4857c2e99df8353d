from hypothesis import given
from hypothesis import strategies as st

from renshi.batches import make_batches


@given(st.lists(st.integers(1, 512), max_size=100), st.integers(1, 4096))
def test_every_row_once_under_the_budget(lengths: list[int], budget: int) -> None:
    batches = list(make_batches(lengths, budget))
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(lengths[index] for index in batch) <= budget


def test_longest_first_and_like_lengths_together() -> None:
    assert list(make_batches([3, 9, 3, 8], 18)) == [[1, 3], [0, 2]]
