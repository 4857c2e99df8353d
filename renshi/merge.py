"""Spans of windows to entities of a document: each from the window that owns it, none over another, in raw offsets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from renshi.labels import LABELS
from renshi.records import Entity
from renshi.text import Normalized

__all__ = ["merge_spans", "to_raw_entities"]


def merge_spans(
    text: str, spans: Iterable[tuple[int, int, int, float]], labels: Sequence[str] = LABELS
) -> list[Entity]:
    """Entities of a document from `(start, end, index into labels, score)` of all its windows, each once, sorted.

    Two windows that share text own different parts of it; yet a span that begins in the one part may reach into the
    other. Of two that overlap the longer stays (the other window saw less of it), of two equally long the surer one.
    White space at the ends of a span, where it has a token, is left out; a span of nothing else is none.
    """
    merged: list[Entity] = []
    for start, end, label, score in sorted(spans):
        start = end - len(text[start:end].lstrip())
        words = text[start:end].rstrip()
        if not words:
            continue
        end = start + len(words)
        entity = Entity(start, end, words, labels[label], score)
        if merged and start < merged[-1].end:
            last = merged[-1]
            if (end - start, score) > (last.end - last.start, last.score):
                merged[-1] = entity
        else:
            merged.append(entity)
    return merged


def to_raw_entities(normalized: Normalized, entities: Iterable[Entity]) -> list[Entity]:
    """The same entities with offsets into the raw text, and what stands there as their text."""
    raw_entities = []
    for entity in entities:
        start, end = normalized.to_raw(entity.start, entity.end)
        raw_entities.append(Entity(start, end, normalized.raw[start:end], entity.label, round(entity.score, 4)))
    return raw_entities
