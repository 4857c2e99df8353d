import pytest
from hypothesis import given
from hypothesis import strategies as st

from renshi.windows import Window, split_windows

TEXTS = st.text(st.sampled_from("。！，、：\n 会a1”"), max_size=200)


@given(TEXTS, st.integers(2, 40), st.data())
def test_windows_cover_the_text_and_share_it_out(text: str, length: int, data: st.DataObject) -> None:
    overlap = data.draw(st.integers(0, (length - 1) // 2))
    windows = split_windows(text, length, overlap)
    assert "".join(text[window.first : window.last] for window in windows) == text
    for window in windows:
        assert window.start <= window.first < window.last <= window.end <= window.start + length


@given(TEXTS)
def test_a_short_text_is_one_window(text: str) -> None:
    assert split_windows(text, 200, 20) == ([Window(0, len(text), 0, len(text))] if text else [])


CASES = [  # text, length, where windows begin
    ("会长讲话。院长讲话。主任讲话。", 11, [0, 10]),  # two whole sentences fit
    ("会长讲话。”院长讲话。", 8, [0, 6]),  # the closing quotation mark stays with its sentence
    ("标题一二\n会长讲话一二三四", 9, [0, 5]),  # a line end, where there is no sentence end
    ("会长讲话，院长讲话，主任讲话", 11, [0, 8]),  # a sentence is cut behind a comma, two characters seen again
    ("一二三四五六七八九十百", 6, [0, 4, 8]),  # no place at all
]


@pytest.mark.parametrize(("text", "length", "starts"), CASES)
def test_cuts_at_the_best_place(text: str, length: int, starts: list[int]) -> None:
    assert [window.start for window in split_windows(text, length, 2)] == starts


def test_a_long_text_without_punctuation_is_linear_in_windows() -> None:
    windows = split_windows("会" * 100_000, 254, 31)
    assert len(windows) == -(-(100_000 - 31) // (254 - 31))


def test_refuses_an_overlap_that_would_never_advance() -> None:
    with pytest.raises(ValueError, match="overlap 5 is not between 0 and half the length 10"):
        split_windows("会", 10, 5)
