"""The documents that a model reads worst, as one page: gold and predicted side by side, what differs outlined."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from renshi.records import Entity
from renshi.writers import PAGE_FOOT, PAGE_HEAD, escaped, mark_entity, marked_text
from training.metrics import Span, span_of

if TYPE_CHECKING:
    from training.evaluate import Judged

__all__ = ["worst_documents"]

# On the head of the extractor's pages: its colours in light and dark, no script, nothing from elsewhere.
_STYLE = """<style>
main { max-width: 110rem; }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: 1.5rem; }
@media (max-width: 50rem) { .pair { grid-template-columns: 1fr; } }
mark.differs { outline: 2px dashed currentColor; outline-offset: 1px; }
</style>
"""


def worst_documents(judged: Sequence[Judged], count: int = 20) -> str:
    """An HTML page of the documents with the most spans that differ, the worst first; none that is all right."""
    differing = [(len(_keys(item.gold) ^ _keys(item.predicted)), item) for item in judged]
    worst = sorted((pair for pair in differing if pair[0]), key=lambda pair: -pair[0])[:count]
    articles = [_article(item, number) for number, item in worst] or ["<p>No document differs.</p>"]
    return "".join([PAGE_HEAD, _STYLE, *articles, PAGE_FOOT])


def _keys(entities: Sequence[Entity]) -> set[Span]:
    return set(map(span_of, entities))


def _article(item: Judged, number: int) -> str:
    failed = f"<p>failed: {escaped(item.failure.message)}</p>" if item.failure else ""
    gold = _side("gold", item.example.text, item.gold, _keys(item.predicted))
    predicted = _side("predicted", item.example.text, item.predicted, _keys(item.gold))
    spans = "span differs" if number == 1 else "spans differ"
    head = f"<h2>{escaped(item.example.id)}: {number} {spans}</h2>"
    return f'<article>{head}{failed}<div class="pair">{gold}{predicted}</div></article>\n'


def _side(name: str, text: str, entities: Sequence[Entity], other: set[Span]) -> str:
    def mark(entity: Entity) -> str:
        differs = span_of(entity) not in other
        title = f"{entity.label} {entity.score:.2f}{', only here' if differs else ''}"
        return mark_entity(entity, title, "differs" if differs else "")

    alone = len(_keys(entities) - other)
    marked = marked_text(text, sorted(entities, key=lambda entity: entity.start), mark)
    return f"<section><h2>{name}: {len(entities)} spans, {alone} only here</h2>{marked}</section>"
