from renshi.labels import LABELS
from renshi.merge import merge_spans, to_raw_entities
from renshi.records import Entity
from renshi.text import normalize

PER, TITLE, ORG = (LABELS.index(label) for label in ("PER", "TITLE", "ORG"))


def test_sorts_and_names() -> None:
    assert merge_spans("会长王强", [(2, 4, PER, 0.9), (0, 2, TITLE, 0.8)]) == [
        Entity(0, 2, "会长", "TITLE", 0.8),
        Entity(2, 4, "王强", "PER", 0.9),
    ]


def test_of_two_that_overlap_the_longer_stays() -> None:
    text = "江海大学医学院院长"
    assert [e.text for e in merge_spans(text, [(0, 4, ORG, 0.99), (0, 7, ORG, 0.5)])] == ["江海大学医学院"]
    assert [e.text for e in merge_spans(text, [(0, 7, ORG, 0.5), (4, 7, ORG, 0.99)])] == ["江海大学医学院"]


def test_of_two_equally_long_the_surer_stays() -> None:
    assert [e.label for e in merge_spans("会长", [(0, 2, ORG, 0.4), (0, 2, TITLE, 0.6)])] == ["TITLE"]


def test_raw_entities_hold_what_stands_in_the_raw_text() -> None:
    normalized = normalize("由中國抗癌協(xié)會主辦")
    (entity,) = to_raw_entities(normalized, [Entity(1, 7, "中国抗癌协会", "ORG", 0.123456)])
    assert entity == Entity(1, 12, "中國抗癌協(xié)會", "ORG", 0.1235)


def test_white_space_at_the_ends_of_a_span_is_none_of_it() -> None:
    assert merge_spans("\n王\n强\n\n", [(0, 5, PER, 0.9), (5, 6, ORG, 0.9)]) == [Entity(1, 4, "王\n强", "PER", 0.9)]
