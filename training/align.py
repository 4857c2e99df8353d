"""Annotated examples to rows for training: token ids, and for every token the set of tags that its annotation allows.

A source that has no TITLE labels says nothing about titles: where it has O, the truth may be O or TITLE, and the loss
is told so. The set is a bit mask over the tags of some labels (`TAGS`: 31 of 63 bits). Windows and tokens come from the
same functions as at inference, so that training sees what inference sees.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from renshi.encode import Encoder
from renshi.labels import LABELS, TAGS, bio_tags
from renshi.records import Entity
from renshi.text import normalize
from renshi.windows import Window, split_windows
from training.sources import Example

__all__ = ["ALL_TAGS", "AlignmentReport", "Row", "align", "bit", "outside"]

ALL_TAGS = (1 << len(TAGS)) - 1
"""The mask that allows any of `TAGS`: a token of which the annotation says nothing that can be used."""


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """One window: `input_ids` (tokens,) int64 with special tokens, `allowed` (tokens,) int64 bit masks over the tags; the
    special tokens have 0, which the loss leaves out."""

    input_ids: NDArray[np.int64]
    allowed: NDArray[np.int64]


@dataclass(slots=True)
class AlignmentReport:
    """How many rows, tokens and spans there were, and which spans could not be given to tokens, by cause."""

    rows: int = 0
    tokens: int = 0
    spans: int = 0
    lost: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        lost = "".join(f"; {count} {cause}" for cause, count in sorted(self.lost.items()))
        return f"{self.rows:,} rows, {self.tokens:,} tokens, {self.spans:,} spans{lost}"


def bit(tag: str, tags: Sequence[str] = TAGS) -> int:
    return 1 << tags.index(tag)


def outside(annotated: frozenset[str], labels: Sequence[str] = LABELS) -> int:
    """What O allows in a source that annotates these labels: O, or any label of which the source says nothing."""
    tags = bio_tags(labels)
    return 1 | sum(bit(f"{prefix}-{label}", tags) for label in labels if label not in annotated for prefix in "BI")


def align(
    examples: Iterable[Example], encoder: Encoder, window_length: int, overlap: int, labels: Sequence[str] = LABELS
) -> tuple[list[Row], AlignmentReport]:
    """Rows of all examples, and what was lost on the way; the masks are over the tags of `labels`."""
    report = AlignmentReport()
    rows = [
        row for example in examples for row in _align_example(example, encoder, window_length, overlap, labels, report)
    ]
    report.rows = len(rows)
    report.tokens = sum(len(row.input_ids) for row in rows)
    return rows, report


def _align_example(
    example: Example,
    encoder: Encoder,
    window_length: int,
    overlap: int,
    labels: Sequence[str],
    report: AlignmentReport,
) -> Iterator[Row]:
    tags = bio_tags(labels)
    normalized = normalize(example.text)
    allowed = np.full(len(normalized.text), outside(example.annotated, labels), dtype=np.int64)  # for each character
    for entity in example.doubtful:
        start, end = normalized.from_raw(entity.start, entity.end)
        allowed[start:end] |= bit(f"B-{entity.label}", tags) | bit(f"I-{entity.label}", tags)
    spans = [(entity, *normalized.from_raw(entity.start, entity.end)) for entity in example.entities]
    report.spans += len(spans)
    report.lost["removed by normalization"] += sum(start == end for _, start, end in spans)
    for entity, start, end in spans:
        allowed[start:end] = bit(f"I-{entity.label}", tags)
        allowed[start : min(start + 1, end)] = bit(f"B-{entity.label}", tags)

    windows = split_windows(normalized.text, window_length, overlap)
    encoded = list(encoder.encode([normalized.text[window.start : window.end] for window in windows]))
    covered = {edge for row in encoded for edge in _edges(row.offsets, windows[row.source])}
    report.lost["off token borders"] += sum(
        start < end and not {(start, 0), (end, 1)} <= covered for _, start, end in spans
    )
    for row in encoded:
        window = windows[row.source]
        yield Row(
            row.input_ids, _allowed_tags(row.offsets + window.start, allowed, spans, window, (1 << len(tags)) - 1)
        )


def _edges(offsets: NDArray[np.int64], window: Window) -> Iterator[tuple[int, int]]:
    for start, end in (offsets[1:-1] + window.start).tolist():
        yield start, 0
        yield end, 1


def _allowed_tags(
    offsets: NDArray[np.int64],
    allowed: NDArray[np.int64],
    spans: Sequence[tuple[Entity, int, int]],
    window: Window,
    anything: int,
) -> NDArray[np.int64]:
    """Masks for the tokens of one row. A token takes the mask of its first character; where it holds characters of
    different spans, or of a span that the window cuts, it allows `anything`."""
    tags = np.zeros(len(offsets), dtype=np.int64)
    body = offsets[1:-1]
    tags[1:-1] = allowed[body[:, 0]] if len(body) else 0
    for _, start, end in spans:
        if end <= window.start or start >= window.end:
            continue
        first = 1 + int(np.searchsorted(body[:, 1], start, side="right"))
        last = 1 + int(np.searchsorted(body[:, 0], end, side="left"))
        if last <= first:
            continue
        cut = start < window.start or end > window.end
        straddles = body[first - 1, 0] < start or body[last - 2, 1] > end
        if cut or straddles:
            tags[first:last] = anything
    return tags
