"""The types of event that a document reports, most salient first, from its EVENT entities."""

from __future__ import annotations

import re
from collections.abc import Sequence

from renshi.labels import event_type
from renshi.records import Entity, EventType

__all__ = ["document_event_types"]

# What a mention weighs by its place. News says in its head line what happened, and says it again in its first sentence;
# what is mentioned only further down is background as often as news. With repetition discounted as below, all mentions
# in the body together weigh less than 2, however many: never a sure head line, but three outweigh one first sentence.
_HEAD_LINE, _FIRST_SENTENCE, _BODY = 2.5, 1.5, 1.0
# A mention's score counts by its root: scores are calibrated, and a head line of even odds says more about what the news is
# than a sure mention further down. (Most salient type right on real dev, with the score itself 0.838, with its root 0.897.)
_CONFIDENCE = 0.5
# A type's n-th mention counts half of the one before: twenty times `会议` is one meeting, not twenty.
_REPEATED = 0.5

_NOT_BLANK = re.compile(r"\S")
_SENTENCE_END = re.compile(r"[。！？\n]")


def document_event_types(text: str, entities: Sequence[Entity]) -> list[EventType]:
    """The document's event types, most salient first; none, and the list is empty.

    Salience weighs each mention's score by its place (head line, first sentence, body) and discounts repetition. It
    orders the types; `EventType.score` is the probability that at least one mention of the type is right, if they were
    independent: 1 − ∏ (1 − score).

    Args:
        text: The text that the entities' offsets refer to; its first line that is not blank is the head line.
        entities: All entities of the document; those that are no events are passed over.
    """
    head = text.find("\n", _next_word(text, 0))
    head = head if head >= 0 else len(text)
    body = _next_word(text, head)
    first = match.end() if (match := _SENTENCE_END.search(text, body)) else len(text)
    weights: dict[str, list[float]] = {}
    doubts: dict[str, float] = {}
    for entity in entities:
        if name := event_type(entity.label):
            place = _HEAD_LINE if entity.start < head else _FIRST_SENTENCE if entity.start < first else _BODY
            weights.setdefault(name, []).append(place * entity.score**_CONFIDENCE)
            doubts[name] = doubts.get(name, 1.0) * (1.0 - entity.score)
    # Equally salient types keep the order of their first mentions: dicts do, and sorting is stable.
    return [EventType(name, 1.0 - doubts[name]) for name in sorted(weights, key=lambda name: -_salience(weights[name]))]


def _next_word(text: str, start: int) -> int:
    return match.start() if (match := _NOT_BLANK.search(text, start)) else start


def _salience(weights: Sequence[float]) -> float:
    return sum(weight * _REPEATED**n for n, weight in enumerate(sorted(weights, reverse=True)))
