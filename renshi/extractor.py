"""From raw texts to records: the whole way, in one screen.

from renshi import Extractor

extractor = Extractor.from_pretrained()
for record in extractor.extract(["省学会会长王进龙出席成立大会。"]):
    print(record.entities, record.roles, record.event_types)
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from renshi.batches import make_batches
from renshi.decode import decode, doubt
from renshi.encode import Encoded, Encoder
from renshi.events import document_event_types
from renshi.merge import merge_spans, to_raw_entities
from renshi.model import ExtractorError, Model, load_model
from renshi.records import Document, Entity, EventType, Failure, Record, Role, Roster
from renshi.roles import find_roles
from renshi.text import Normalized, normalize
from renshi.windows import Window, split_windows

__all__ = ["Extractor", "ExtractorError", "report"]

_BATCH_TOKENS = {"cpu": 4096, "cuda": 65536}
_CHUNK_BATCHES = 32
"""How many batches' worth of characters are prepared at once: the memory's bound, and the pool for like lengths."""
_OVERLAP_SHARE = 8  # windows that cut a sentence share an eighth of their length: 32 characters of 254


@dataclass(frozen=True, slots=True)
class _Prepared:
    document: Document
    normalized: Normalized
    windows: Sequence[Window]


class Extractor:
    """Reads persons, titles, organizations and events in documents, and who holds which post where."""

    def __init__(self, model: Model, *, batch_tokens: int | None = None, min_score: float | None = None) -> None:
        if batch_tokens is not None and batch_tokens < 1:
            raise ExtractorError(f"batch_tokens {batch_tokens} is not a positive number of tokens")
        if min_score is not None and not 0.0 <= min_score <= 1.0:
            raise ExtractorError(f"min_score {min_score} is not between 0 and 1")
        self.model = model
        self.batch_tokens = batch_tokens or _BATCH_TOKENS[model.device.split(":")[0]]
        self.min_score = min_score
        self._read_from = min_score or 0.0
        self._window_length = model.max_tokens - 2  # [CLS] and [SEP]
        self._overlap = self._window_length // _OVERLAP_SHARE
        self._encoder = Encoder(model.tokenizer, model.max_tokens, self._overlap)

    @classmethod
    def from_pretrained(
        cls,
        model: str | os.PathLike[str] | None = None,
        *,
        backend: str = "torch",
        device: str = "auto",
        dtype: str = "auto",
        batch_tokens: int | None = None,
        min_score: float | None = None,
        revision: str | None = None,
    ) -> Extractor:
        """An extractor from a model folder, a Hub id, or (None) the model inside the package, which needs no network.

        Args:
            model: Folder or Hub id of a token classifier with renshi's labels.
            backend: ``torch``, or ``onnx``: ONNX Runtime on the CPU, needing neither torch nor transformers.
            device: ``auto`` (CUDA where there is one), ``cpu``, ``cuda``, ``cuda:1`` …
            dtype: ``auto`` (bfloat16 where the hardware has it), ``float32``, ``bfloat16``, ``float16``.
                Backend onnx: ``float32`` (``auto`` is that: ``onnx/model.onnx``), ``int8`` (``onnx/model_quantized.onnx``).
            batch_tokens: How many tokens, padding included, go through the model at once; None chooses by device.
            min_score: Entities that are less probably right are left out, and with them their roles and events. None: all
                are read, and those under the model's own least score (`model.calibration.min_score`) that no role or
                roster rests on are left out of the record: the best F1 on its dev set. 0: nothing is left out.
            revision: Branch, tag or commit, for a Hub id.

        Raises:
            ExtractorError: What was asked for cannot be used; the message says what to do.
        """
        loaded = load_model(model, revision, backend=backend, device=device, dtype=dtype)
        return cls(loaded, batch_tokens=batch_tokens, min_score=min_score)

    @property
    def model_name(self) -> str:
        """The model's name, as records give it."""
        return self.model.name

    def extract(self, documents: str | Document | Iterable[str | Document | Failure]) -> Iterator[Record | Failure]:
        """One record for each document, in order, made as the caller asks for them.

        A string is one document; strings without an id are numbered from 0. A `Failure` among the documents (one that a
        reader could not read) is passed on in its place, and a document that cannot be processed becomes one.
        Memory is bounded by a chunk of documents, whatever their number.
        """
        for chunk in self._prepared_chunks(documents):
            spans = self._run(chunk)
            for number, item in enumerate(chunk):
                yield item if isinstance(item, Failure) else self._finish(item, spans[number])

    def extract_with_doubt(
        self, documents: str | Document | Iterable[str | Document | Failure]
    ) -> Iterator[tuple[Record | Failure, float]]:
        """As `extract`, each record with its doubt: the share of its tokens that are expected to be tagged wrongly, which is
        the mean of 1 − the probability of the best tag. Where windows share text it counts in both. 0 for a failure."""
        for chunk in self._prepared_chunks(documents):
            doubts = np.zeros((len(chunk), 2))
            spans = self._run(chunk, doubts)
            for number, item in enumerate(chunk):
                wrong, tokens = doubts[number].tolist()
                yield (item if isinstance(item, Failure) else self._finish(item, spans[number])), wrong / max(tokens, 1)

    def _prepared_chunks(
        self, documents: str | Document | Iterable[str | Document | Failure]
    ) -> Iterator[list[_Prepared | Failure]]:
        if isinstance(documents, (str, Document)):
            documents = [documents]
        for chunk in _chunks(_numbered(documents), self.batch_tokens * _CHUNK_BATCHES):
            yield [self._prepare(document) for document in chunk]

    def _prepare(self, document: Document | Failure) -> _Prepared | Failure:
        if isinstance(document, Failure):
            return document
        if not isinstance(document.text, str):
            kind = type(document.text).__name__
            return Failure(str(document.id), "TypeError", f"the text is a {kind}; a document's text is a str")
        normalized = normalize(document.text)
        return _Prepared(document, normalized, split_windows(normalized.text, self._window_length, self._overlap))

    def _run(
        self, prepared: Sequence[_Prepared | Failure], doubts: NDArray[np.float64] | None = None
    ) -> list[list[tuple[int, int, int, float]]]:
        """For each prepared document its spans (start, end, label index, score) in the normalized text.

        To `doubts`, (documents, 2), are added how many tokens are expected to be wrong, and how many there are.
        """
        owners = [
            (number, window)
            for number, item in enumerate(prepared)
            if not isinstance(item, Failure)
            for window in item.windows
        ]
        texts = [prepared[number].normalized.text[window.start : window.end] for number, window in owners]  # type: ignore[union-attr]
        rows = list(self._encoder.encode(texts)) if texts else []
        first = np.array([max(owners[row.source][1].first, owners[row.source][1].start + row.first) for row in rows])
        last = np.array([owners[row.source][1].last for row in rows])
        for index in range(len(rows) - 1):  # rows of one window: each ends where the next begins to own
            if rows[index].source == rows[index + 1].source:
                last[index] = first[index + 1]
        spans: list[list[tuple[int, int, int, float]]] = [[] for _ in prepared]
        for batch in make_batches([len(row.input_ids) for row in rows], self.batch_tokens):
            encoded = [rows[index] for index in batch]
            lengths = np.array([len(row.input_ids) for row in encoded])
            logits = self.model.logits([row.input_ids for row in encoded], self._encoder.pad_id)
            if doubts is not None:
                np.add.at(doubts, [owners[row.source][0] for row in encoded], np.stack(doubt(logits, lengths), axis=1))
            for row, start, end, label, score in self._spans(encoded, logits, lengths):
                number, window = owners[rows[batch[row]].source]
                start += window.start
                if first[batch[row]] <= start < last[batch[row]] and score >= self._read_from:
                    spans[number].append((start, end + window.start, label, score))
        return spans

    def _spans(
        self, rows: Sequence[Encoded], logits: NDArray[np.float32], lengths: NDArray[np.int64]
    ) -> Iterator[tuple[int, int, int, int, float]]:
        """(row, start, end, label index, score) of one batch, in characters of each row's text."""
        found = decode(logits, lengths, self.model.calibration.temperature)
        offsets = np.zeros((len(rows), int(lengths.max()), 2), dtype=np.int64)
        offsets[np.arange(offsets.shape[1]) < lengths[:, None]] = np.concatenate([row.offsets for row in rows])
        starts = offsets[found.row, found.start, 0]
        ends = offsets[found.row, found.end - 1, 1]
        columns = (found.row, starts, ends, found.label, found.score)
        return zip(*(column.tolist() for column in columns), strict=True)

    def _finish(self, item: _Prepared, spans: list[tuple[int, int, int, float]]) -> Record:
        text = item.normalized.text
        entities = merge_spans(text, spans)
        roles, rosters = find_roles(text, entities)
        events = document_event_types(text, entities)
        if self.min_score is None:
            entities, roles, rosters = report(entities, roles, rosters, self.model.calibration.min_score)
        return Record(
            id=item.document.id,
            text=item.document.text,
            entities=to_raw_entities(item.normalized, entities),
            roles=[Role(role.person, role.title, role.organization, round(role.score, 4)) for role in roles],
            rosters=rosters,
            event_types=[EventType(e.type, round(e.score, 4)) for e in events],
            model=self.model_name,
        )


def report(
    entities: Sequence[Entity], roles: Sequence[Role], rosters: Sequence[Roster], min_score: float
) -> tuple[list[Entity], list[Role], list[Roster]]:
    """The entities that score at least `min_score` or bear a role or roster, and those with their new indices. A title
    beside a person speaks for both: on dev such entities are right more often than their scores say."""
    borne = {index for role in roles for index in (role.person, role.title, role.organization)}
    borne |= {roster.title for roster in rosters}
    kept = [index for index, entity in enumerate(entities) if entity.score >= min_score or index in borne]
    place: dict[int | None, int] = {index: number for number, index in enumerate(kept)}
    return (
        [entities[index] for index in kept],
        [
            replace(r, person=place[r.person], title=place[r.title], organization=place.get(r.organization))
            for r in roles
        ],
        [replace(roster, title=place[roster.title]) for roster in rosters],
    )


def _numbered(documents: Iterable[str | Document | Failure]) -> Iterator[Document | Failure]:
    for number, document in enumerate(documents):
        yield document if isinstance(document, (Document, Failure)) else Document(str(number), document)


def _chunks(documents: Iterable[Document | Failure], characters: int) -> Iterator[list[Document | Failure]]:
    """Lists of documents of about so many characters in all; a longer document is a chunk alone."""
    chunk: list[Document | Failure] = []
    size = 0
    for document in documents:
        length = len(document.text) if isinstance(document, Document) and isinstance(document.text, str) else 0
        if chunk and size + length > characters:
            yield chunk
            chunk, size = [], 0
        chunk.append(document)
        size += length
    if chunk:
        yield chunk
