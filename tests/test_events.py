"""Which types of event a document reports, on invented pages with the markup of the guidelines."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from renshi.events import document_event_types
from renshi.labels import EVENT_TYPES, LABELS
from renshi.markup import parse_markup
from renshi.records import Entity, EventType

CASES = {
    "no event": ("{省学会|ORG}{会长|TITLE}{王进龙|PER}。", []),
    "the head line before the body": (
        "{揭牌仪式|EVENT.UNVEILING}举行\n会后{参观|EVENT.VISIT}，又{参观|EVENT.VISIT}。",
        ["UNVEILING", "VISIT"],
    ),
    "the first sentence before what follows": (
        "学会动态\n昨日{义诊|EVENT.OUTREACH}。期间有{讲座|EVENT.TRAINING}。",
        ["OUTREACH", "TRAINING"],
    ),
    "repetition": (
        "动态\n前言。{调研|EVENT.VISIT}。{培训|EVENT.TRAINING}，{培训班|EVENT.TRAINING}。",
        ["TRAINING", "VISIT"],
    ),
    "often in the body before once in the first sentence": (
        "动态\n{会议|EVENT.MEETING}。{比赛|EVENT.CONTEST}，{比赛|EVENT.CONTEST}，{比赛|EVENT.CONTEST}。",
        ["CONTEST", "MEETING"],
    ),
    "equal: the one mentioned first": (
        "{成立大会|EVENT.FOUNDING}暨{论坛|EVENT.FORUM}召开",
        ["FOUNDING", "FORUM"],
    ),
    "a blank line and spaces before the head line": (
        "\n  \n{签约|EVENT.SIGNING}\n\n{会议|EVENT.MEETING}。",
        ["SIGNING", "MEETING"],
    ),
}


@pytest.mark.parametrize(("marked", "expected"), CASES.values(), ids=CASES.keys())
def test_orders_types_by_salience(marked: str, expected: list[str]) -> None:
    document = parse_markup(marked)
    assert [event.type for event in document_event_types(document.text, document.entities)] == expected


def test_a_doubtful_head_line_yields_to_a_sure_body() -> None:
    entities = [Entity(0, 2, "启动", "EVENT.LAUNCH", 0.1), Entity(6, 8, "捐赠", "EVENT.OUTREACH", 0.9)]
    assert document_event_types("启动\n昨天。捐赠", entities) == [
        EventType("OUTREACH", pytest.approx(0.9)),
        EventType("LAUNCH", pytest.approx(0.1)),
    ]


def test_scores_are_that_any_mention_is_right() -> None:
    entities = [Entity(0, 2, "会议", "EVENT.MEETING", 0.5), Entity(3, 5, "会议", "EVENT.MEETING", 0.8)]
    assert document_event_types("会议，会议", entities) == [EventType("MEETING", pytest.approx(0.9))]


@given(
    st.text(max_size=40),
    st.lists(st.tuples(st.integers(0, 50), st.sampled_from(LABELS), st.floats(0, 1)), max_size=8),
)
def test_each_type_once_with_a_probability(text: str, drawn: list[tuple[int, str, float]]) -> None:
    entities = [Entity(start, start + 1, "x", label, score) for start, label, score in drawn]
    events = document_event_types(text, entities)
    assert {event.type for event in events} == {label[6:] for _, label, _ in drawn if label.startswith("EVENT.")}
    assert len({event.type for event in events}) == len(events)
    assert all(event.type in EVENT_TYPES and 0 <= event.score <= 1 for event in events)
