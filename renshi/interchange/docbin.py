"""`docbin`: spaCy's ``DocBin``, for `spacy train` and whatever else reads ``.spacy`` files. Needs `renshi[spacy]`.

Each code point is a token, white space too: nearly what ``spacy.blank("zh")`` makes, and any text comes back. ``doc.ents``
are the entities. What spaCy has no place for (roles, scores …) stands in ``doc.user_data["renshi"]`` as a string of JSON.
Nothing here is a pickle: ``DocBin`` is msgpack throughout, user data included (spaCy 3.8's `DocBin.add` and `to_bytes` call
``srsly.msgpack_dumps``, whose NumPy extension makes arrays by ``np.frombuffer``, never objects).
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from renshi.interchange.base import InterchangeError, Report, Span, assemble, holds
from renshi.interchange.records import from_dict
from renshi.records import Failure, Record

if TYPE_CHECKING:
    from spacy.tokens import Doc

__all__ = ["DocBinWriter", "fit", "read"]

fit = holds("roles", "repeated roles", "role scores", "scores", "model", "findings")

_KEY = "renshi"


def _check_spacy() -> None:
    try:
        import spacy  # noqa: F401
    except ImportError as error:
        raise InterchangeError('the format docbin needs spaCy: pip install "renshi[spacy]"') from error


class DocBinWriter:
    """Keeps the documents (spaCy does) and writes them all at the end, to the bytes below the text stream."""

    def __init__(self, stream: TextIO) -> None:
        _check_spacy()
        from spacy.tokens import DocBin
        from spacy.vocab import Vocab

        self._stream = stream
        self._vocab = Vocab()
        self._docs = DocBin(store_user_data=True)

    def write(self, record: Record | Failure) -> None:
        if isinstance(record, Record):
            self._docs.add(to_doc(record, self._vocab))

    def end(self) -> None:
        target: io.BufferedIOBase = self._stream.buffer  # type: ignore[assignment]
        self._stream.flush()
        target.write(self._docs.to_bytes())


def to_doc(record: Record, vocab: Any) -> Doc:
    """The record, its entities without overlap, as a spaCy document."""
    from spacy.tokens import Doc, Span

    doc = Doc(vocab, words=list(record.text), spaces=[False] * len(record.text))
    doc.set_ents([Span(doc, entity.start, entity.end, label=entity.label) for entity in record.entities])
    item = record.to_dict()
    del item["text"]
    doc.user_data[_KEY] = json.dumps(item, ensure_ascii=False)
    return doc


def read(path: Path, report: Report) -> Iterator[Record | Failure]:
    """Also reads what others wrote, with any tokens. Where somebody changed ``doc.ents``, roles and scores of before
    would no longer fit and are left out."""
    _check_spacy()
    from spacy.tokens import DocBin
    from spacy.vocab import Vocab

    try:
        docs = DocBin().from_bytes(path.read_bytes())
        found = enumerate(docs.get_docs(Vocab()), start=1)
        for number, doc in found:
            yield _read_doc(doc, f"{path}: document {number}", report)
    except (ValueError, KeyError, TypeError, AttributeError, EOFError, AssertionError) as error:
        reason = str(error).strip().split("\n")[0]
        raise InterchangeError(
            f"{path}: is no DocBin ({type(error).__name__}: {reason}); spaCy 3 writes them"
        ) from error


def _read_doc(doc: Doc, place: str, report: Report) -> Record | Failure:
    spans = [Span(number, ent.start_char, ent.end_char, ent.label_) for number, ent in enumerate(doc.ents)]
    plain = assemble(place, place, doc.text, spans, [], report)
    stored = doc.user_data.get(_KEY)
    if isinstance(plain, Failure) or not isinstance(stored, str):
        return plain
    try:
        record = from_dict(json.loads(stored) | {"text": doc.text}, place)
    except (ValueError, TypeError):
        record = Failure(place, "ValueError", f"{place}: its user_data is not what renshi wrote")
    if isinstance(record, Failure):
        return record
    here = [(entity.start, entity.end, entity.label) for entity in plain.entities]
    if here != [(entity.start, entity.end, entity.label) for entity in record.entities]:
        report.add_wrong("documents whose entities were changed in spaCy: their roles and scores no longer fit", place)
        return Record(record.id, plain.text, plain.entities)
    return record
