"""What is known beside the network's answers, against the plain words of its description."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from renshi.decode import best_tags
from renshi.extractor import Extractor
from renshi.labels import TAGS
from renshi.priors import doubt_single_characters, hold_at_line_feeds
from renshi.records import Record
from training.reader import Reader
from training.train import LiveModel


def test_a_name_goes_over_a_line_feed_only_where_that_is_sure() -> None:
    for lead, goes_on in ((3.5, False), (4.5, True)):
        logits = np.zeros((4, len(TAGS)), dtype=np.float32)
        logits[1, TAGS.index("B-ORG")] = logits[2, TAGS.index("I-ORG")] = 9
        logits[2, TAGS.index("B-ORG")] = 9 - lead
        hold_at_line_feeds(logits, np.array([2]))
        assert TAGS[best_tags(logits, np.array([4]))[2]] == ("I-ORG" if goes_on else "B-ORG")


def test_no_line_feed_changes_nothing() -> None:
    logits = np.ones((4, len(TAGS)), dtype=np.float32)
    hold_at_line_feeds(logits, np.zeros(0, dtype=np.int64))
    assert (logits == 1).all()


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), max_size=8))
def test_the_odds_of_single_characters_are_lowered_and_the_rest_is_left(spans: list[tuple[float, bool]]) -> None:
    score, single = np.array([s for s, _ in spans]), np.array([one for _, one in spans], dtype=bool)
    lowered = doubt_single_characters(score, single)
    assert (lowered[~single] == score[~single]).all()
    for before, after in zip(score[single].tolist(), lowered[single].tolist(), strict=True):
        assert 0 <= after <= before
        if before in (0.0, 1.0):
            assert after == before
        elif 1e-9 < before < 1 - 1e-9:
            odds = after / (1 - after)
            assert odds == pytest.approx(before / (1 - before) / math.e, rel=1e-6)


def test_the_package_keeps_the_lines_of_a_page_apart() -> None:
    text = "文章来源：省肿瘤医院\n中国抗癌协会理事长王进龙出席会议。"
    (record,) = Extractor.from_pretrained().extract([text])
    assert isinstance(record, Record)
    assert not any("\n" in entity.text for entity in record.entities)
    assert [(e.text, e.label) for e in record.entities if e.start > text.index("\n")][:2] == [
        ("中国抗癌协会", "ORG"),
        ("理事长", "TITLE"),
    ]


def test_a_model_with_other_labels_is_read_as_it_answers() -> None:
    model = LiveModel.__new__(LiveModel)
    shipped = Extractor.from_pretrained().model
    model.tokenizer, model.max_tokens = shipped.tokenizer, shipped.max_tokens
    model.__class__ = type("Live", (LiveModel,), {"device": "cpu"})
    assert Reader(model).reads_pages
    assert not Reader(model, ("人", "地")).reads_pages
