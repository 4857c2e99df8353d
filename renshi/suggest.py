"""Which documents to annotate next: those of which the model is least sure, no two alike.

    documents ─ extract ─▶ records with their doubt ─ the most doubtful ─▶ TF-IDF vectors ─ greedy choice ─▶ N suggestions

The doubt of a document is the share of its tokens that the model expects to have tagged wrongly (`renshi.decode.doubt`),
so a long page is worth no more than a short one for its length. The choice is greedy: next comes the document with the
greatest ``doubt × (1 − similarity)``, the similarity being that to the most similar document chosen before. Of two copies
of a page the second one counts nothing.
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from renshi.records import Document, Failure, Record
from renshi.text import normalize
from renshi.writers import readable

if TYPE_CHECKING:
    from renshi.extractor import Extractor

__all__ = ["FORMATS", "Suggestion", "choose", "suggest", "vectors"]

_BUCKETS = 8192
"""Pairs of characters are hashed into so many; a page has some hundred different ones."""
_POOL = 1000
"""At least so many of the most doubtful documents are compared with each other: 32 MB of vectors, whatever the input."""
_SHOWN = 3  # entities that a reason names


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A document worth annotating.

    Attributes:
        record: What the model reads in it now: the pre-annotation.
        score: ``doubt × (1 − similarity)``; the list is sorted by it, up to the effect of each choice on those after it.
        doubt: Share of tokens that are expected to be tagged wrongly, in [0, 1].
        similarity: To the most similar document suggested before, in [0, 1]; `nearest` is its id, empty for the first.
    """

    record: Record
    score: float
    doubt: float
    similarity: float
    nearest: str

    @property
    def reason(self) -> str:
        """Why, in a line for people."""
        unsure = sorted(self.record.entities, key=lambda entity: entity.score)[:_SHOWN]
        named = ", ".join(f"{entity.text} ({entity.label} {entity.score:.2f})" for entity in unsure)
        parts = [f"{100 * self.doubt:.1f} of 100 tokens in doubt"]
        parts += [f"least sure of {named}"] if named else ["nothing found in it"]
        parts += [f"{self.similarity:.0%} like {self.nearest}"] if self.nearest else []
        return "; ".join(parts)

    def to_dict(self) -> dict[str, Any]:
        return {
            "id": self.record.id,
            "score": round(self.score, 4),
            "doubt": round(self.doubt, 4),
            "similarity": round(self.similarity, 4),
            "nearest": self.nearest or None,
            "reason": self.reason,
        }


def suggest(
    extractor: Extractor,
    documents: Iterable[Document | Failure],
    number: int,
    failed: Callable[[Failure], None] = lambda failure: None,
) -> list[Suggestion]:
    """The `number` documents to annotate first, the most instructive one first; fewer where there are fewer.

    Documents that could not be read go to `failed`. Memory is bounded by the number asked for, not by the documents.
    """
    pool: list[tuple[float, int, Record]] = []  # a heap; the count keeps the earlier one of two that are equal
    for count, (record, doubt) in enumerate(extractor.extract_with_doubt(documents)):
        if isinstance(record, Failure):
            failed(record)
        elif len(pool) < max(_POOL, 5 * number):
            heapq.heappush(pool, (doubt, -count, record))
        else:
            heapq.heappushpop(pool, (doubt, -count, record))
    pool.sort(reverse=True)
    doubts = np.array([doubt for doubt, *_ in pool])
    records = [record for *_, record in pool]
    return [
        Suggestion(records[at], score, float(doubts[at]), similarity, "" if nearest < 0 else records[nearest].id)
        for at, score, similarity, nearest in choose(vectors([record.text for record in records]), doubts, number)
    ]


def vectors(texts: Sequence[str]) -> NDArray[np.float32]:
    """(texts, buckets) TF-IDF of pairs of neighbouring characters, of length 1 (0 for a text without a pair).

    Texts are normalized first, so that a page in Traditional characters is like the same page in Simplified ones.
    """
    counts = np.zeros((len(texts), _BUCKETS), dtype=np.float32)
    for row, text in enumerate(texts):
        codes = np.frombuffer(normalize(text).text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
        # Knuth's multiplicative hash of the pair; its high bits are the well mixed ones.
        pairs = (codes[:-1].astype(np.uint64) << np.uint64(21)) | codes[1:]
        hashed = (pairs * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(64 - 13)
        counts[row] = np.bincount(hashed.astype(np.int64), minlength=_BUCKETS)
    weights = np.log1p(counts) * (np.log((1 + len(texts)) / (1 + (counts > 0).sum(axis=0))) + 1)
    lengths = np.linalg.norm(weights, axis=1, keepdims=True)
    result: NDArray[np.float32] = (weights / np.where(lengths > 0, lengths, 1)).astype(np.float32)
    return result


def choose(rows: NDArray[np.float32], doubts: NDArray[np.float64], number: int) -> list[tuple[int, float, float, int]]:
    """(index, score, similarity, nearest chosen before or −1) of the greedy choice; `rows` have length 1."""
    similarity = np.zeros(len(rows))
    nearest = np.full(len(rows), -1)
    left = np.ones(len(rows), dtype=bool)
    chosen = []
    for _ in range(min(number, len(rows))):
        scores = np.where(left, doubts * (1 - similarity), -1.0)
        best = int(scores.argmax())
        chosen.append((best, float(scores[best]), float(similarity[best]), int(nearest[best])))
        left[best] = False
        to_best = np.clip(rows @ rows[best], 0.0, 1.0)
        closer = to_best > similarity
        similarity[closer], nearest[closer] = to_best[closer], best
    return chosen


def _table(suggestions: Iterable[Suggestion]) -> Iterator[str]:
    for rank, suggestion in enumerate(suggestions, start=1):
        yield readable(f"{rank:>4}  {suggestion.score:.3f}  {suggestion.record.id}  {suggestion.reason}") + "\n"


def _json_lines(suggestions: Iterable[Suggestion]) -> Iterator[str]:
    for suggestion in suggestions:
        line = json.dumps(suggestion.to_dict(), ensure_ascii=False)
        yield line.encode("utf-8", "backslashreplace").decode("utf-8") + "\n"


FORMATS: dict[str, Callable[[Iterable[Suggestion]], Iterator[str]]] = {"table": _table, "jsonl": _json_lines}
"""The list itself, to read or to process; in a format of `renshi.interchange` its documents are written."""
