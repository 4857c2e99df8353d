"""Mentions that only the rest of the document makes sure; a search of every place by brute force is the oracle."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from renshi import Extractor
from renshi.labels import LABELS, TAGS
from renshi.records import Entity
from renshi.repeats import NAMES, Evidence, evidence, find_repeats


def seen(text: str, probability: dict[tuple[int, str, str], float]) -> Evidence:
    """One token a character; `probability` by place, name, and B or I."""
    array = np.zeros((len(text), len(NAMES), 2), dtype=np.float16)
    for (place, name, prefix), value in probability.items():
        array[place, NAMES.index(name), "BI".index(prefix)] = value
    places = np.arange(len(text), dtype=np.int32)
    return Evidence(places, places + 1, array)


def mention(text: str, start: int, name: str, value: float) -> dict[tuple[int, str, str], float]:
    return {(start + n, name, "I" if n else "B"): value for n in range(len(text))}


TEXT = "云溪医院成立，云溪医院王强"


def test_a_name_that_stands_again_is_read_again() -> None:
    sure = Entity(0, 4, "云溪医院", "ORG", 0.9)
    found = find_repeats(TEXT, [sure], seen(TEXT, mention("云溪医院", 7, "ORG", 0.3)))
    assert [(e.start, e.end, e.text, e.label) for e in found] == [(0, 4, "云溪医院", "ORG"), (7, 11, "云溪医院", "ORG")]
    assert found[1].score == pytest.approx((0.3 + 2 * 0.9) / 3, abs=1e-3)


@pytest.mark.parametrize(
    ("first", "again", "why"),
    [
        (0.6, mention("云溪医院", 7, "ORG", 0.3), "no mention is sure"),
        (0.9, mention("云溪医院", 7, "ORG", 0.01), "the model saw nothing there"),
        (0.9, mention("云溪医院", 7, "PER", 0.3), "it saw something else there"),
        (0.9, mention("云溪医", 7, "ORG", 0.3), "it saw a shorter one"),
        (0.9, mention("云溪医院", 7, "ORG", 0.3) | {(11, "ORG", "I"): 0.99}, "it saw a longer one"),
    ],
)
def test_it_is_not_where(first: float, again: dict[tuple[int, str, str], float], why: str) -> None:
    sure = Entity(0, 4, "云溪医院", "ORG", first)
    assert find_repeats(TEXT, [sure], seen(TEXT, again)) == [sure], why


def test_what_is_less_sure_gives_way_and_what_is_sure_stays() -> None:
    sure, again = Entity(0, 4, "云溪医院", "ORG", 0.9), seen(TEXT, mention("云溪医院", 7, "ORG", 0.3))
    doubtful, other = Entity(9, 13, "医院王强", "ORG", 0.4), Entity(9, 13, "医院王强", "ORG", 0.95)
    assert [e.text for e in find_repeats(TEXT, [sure, doubtful], again)] == ["云溪医院", "云溪医院"]
    assert find_repeats(TEXT, [sure, other], again) == [sure, other]
    longer = Entity(7, 12, "云溪医院王", "ORG", 0.4)  # as the department of a hospital begins with the hospital
    assert find_repeats(TEXT, [sure, longer], again) == [sure, longer]


def test_a_doubtful_mention_that_was_read_grows_surer_and_titles_do_not() -> None:
    text = "院长王强，院长王强"
    read = [
        Entity(0, 2, "院长", "TITLE", 0.9),
        Entity(2, 4, "王强", "PER", 0.9),
        Entity(5, 7, "院长", "TITLE", 0.3),
        Entity(7, 9, "王强", "PER", 0.3),
    ]
    scores = [entity.score for entity in find_repeats(text, read, seen(text, mention("王强", 7, "PER", 0.3)))]
    assert scores == [0.9, 0.9, 0.3, pytest.approx(0.7)]


def test_a_mention_ends_where_a_token_ends() -> None:
    text = "GE医疗，GE医疗x"
    tokens = [(0, 2), (2, 3), (3, 4), (4, 5), (5, 7), (7, 8), (8, 10)]  # the last one is 疗x
    start, end = np.array(tokens, dtype=np.int32).T
    probability = np.zeros((len(tokens), len(NAMES), 2), dtype=np.float16)
    probability[4, 1, 0] = probability[5:, 1, 1] = 0.5
    sure = Entity(0, 4, "GE医疗", "ORG", 0.9)
    assert find_repeats(text, [sure], Evidence(start, end, probability)) == [sure]


@st.composite
def documents(draw: st.DrawFn) -> tuple[str, list[Entity], Evidence]:
    text = draw(st.text("甲乙丙", min_size=1, max_size=24))
    cuts = sorted(draw(st.sets(st.integers(0, len(text)), max_size=8)))
    entities = [
        Entity(a, b, text[a:b], draw(st.sampled_from(LABELS[:4])), draw(st.sampled_from([0.2, 0.5, 0.75, 0.9])))
        for a, b in itertools.pairwise(cuts)
        if draw(st.booleans())
    ]
    values = draw(st.lists(st.sampled_from([0.0, 0.02, 0.1, 0.4]), min_size=4 * len(text), max_size=4 * len(text)))
    places = np.arange(len(text), dtype=np.int32)
    return text, entities, Evidence(places, places + 1, np.array(values, np.float16).reshape(-1, 2, 2))


@settings(max_examples=200, deadline=None)
@given(documents())
def test_what_comes_out_is_sound_and_nothing_is_missed(case: tuple[str, list[Entity], Evidence]) -> None:
    text, entities, given_evidence = case
    result = find_repeats(text, entities, given_evidence)
    before = {(e.start, e.end, e.label) for e in entities}
    known = {(e.label, e.text): 0.0 for e in entities if e.score >= 0.7 and e.label in NAMES and len(e.text) > 1}
    for entity in entities:
        if (entity.label, entity.text) in known:
            known[entity.label, entity.text] = max(known[entity.label, entity.text], entity.score)
    for left, right in itertools.pairwise(result):
        assert left.end <= right.start
    assert {e for e in entities if e.score >= 0.7} <= set(result)  # what was sure is as it was
    for entity in result:
        assert text[entity.start : entity.end] == entity.text
        assert (entity.start, entity.end, entity.label) in before or (entity.label, entity.text) in known
    # Brute force: wherever a known name stands, bears probability and covers nothing that came out, nothing is left.
    taken = {place for e in result for place in range(e.start, e.end)}
    for label, name in known:
        column = given_evidence.probability[:, NAMES.index(label)].astype(float)
        for start in range(len(text) - len(name) + 1):
            end = start + len(name)
            if text[start:end] != name or taken & set(range(start, end)):
                continue
            alone = min(column[start, 0], *column[start + 1 : end, 1])
            alone *= 1 - (column[end, 1] if end < len(text) else 0.0)
            assert alone < 0.05


def test_the_evidence_is_the_softmax_of_the_names() -> None:
    logits = np.random.default_rng(0).normal(size=(7, len(TAGS))).astype(np.float32)
    shares = np.exp(logits / 1.5) / np.exp(logits / 1.5).sum(axis=1, keepdims=True)
    for column, name in enumerate(NAMES):
        for row, prefix in enumerate("BI"):
            expected = shares[:, TAGS.index(f"{prefix}-{name}")]
            np.testing.assert_allclose(evidence(logits, 1.5)[:, column, row], expected, rtol=2e-3)


def test_the_extractor_hands_each_token_to_its_document_once(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over windows, rows that are cut, and a text that two documents share."""
    got: list[tuple[str, Evidence]] = []

    def spy(text: str, entities: list[Entity], given_evidence: Evidence) -> list[Entity]:
        got.append((text, given_evidence))
        return entities

    monkeypatch.setattr("renshi.extractor.find_repeats", spy)
    texts = ["省学会会长王进龙出席成立大会。" * 12, "王" * 300, "省学会会长王进龙出席成立大会。" * 12, "", "字"]
    list(Extractor.from_pretrained(tiny_model).extract(texts))
    assert [text for text, _ in got] == [text for text in texts if text]
    for text, given_evidence in got:
        assert given_evidence.start.tolist() == list(range(len(text)))
        assert given_evidence.end.tolist() == list(range(1, len(text) + 1))
