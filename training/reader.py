"""An extractor for a model with any labels: what training and the benchmarks measure a model in training with."""

from __future__ import annotations

from collections.abc import Sequence

from renshi.extractor import Extractor
from renshi.labels import LABELS
from renshi.model import Model

__all__ = ["Reader"]


class Reader(Extractor):
    """The way from raw text to entities that users have, for the labels of a public set too. Model folders with such
    labels are for measuring: `Extractor.from_pretrained` refuses them, since roles and events rest on renshi's own."""

    def __init__(self, model: Model, labels: Sequence[str] = LABELS, *, batch_tokens: int | None = None) -> None:
        super().__init__(model, batch_tokens=batch_tokens, min_score=0.0)
        self.labels = tuple(labels)
        self.reads_pages = self.labels == LABELS
