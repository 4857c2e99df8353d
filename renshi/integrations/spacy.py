"""spaCy: renshi as a component of a pipeline.

nlp = spacy.blank("zh")
nlp.add_pipe("renshi")
doc = nlp("省学会会长王进龙出席成立大会。")
print(doc.ents, doc._.roles)
"""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from renshi.extractor import Extractor
from renshi.frames import need
from renshi.model import MODEL_FILES, find_model
from renshi.records import Document, Failure, Record

__all__ = ["RenshiComponent", "SpacyRole", "create_component"]

_language = need("spacy.language", "spacy")
_tokens = need("spacy.tokens", "spacy")

ALIGNMENT_MODES = ("strict", "contract", "expand")


class SpacyRole(NamedTuple):
    """Who holds which post where, as spans of the `Doc`."""

    person: Any
    title: Any
    organization: Any
    score: float


class RenshiComponent:
    """Sets ``doc.ents``, and these extensions:

    - ``doc._.roles``: a list of `SpacyRole`
    - ``doc._.event_types``: what the document reports, most salient first: a list of (type, score)
    - ``doc._.renshi``: the record without its text, plain JSON, which `DocBin` stores; offsets are code points of
      ``doc.text``. Its key ``unaligned`` counts the entities that are not in ``doc.ents``
    - ``span._.renshi_score``: the probability of an entity of ``doc.ents``

    An entity whose borders are not token borders is moved or left out as `alignment_mode` says (`Doc.char_span`). With the
    tokenizer of ``spacy.blank("zh")``, which makes every character a token, all align. Entities that an earlier component
    set are kept where ours do not overlap them.
    """

    def __init__(self, model: str | None, alignment_mode: str, options: dict[str, Any]) -> None:
        if alignment_mode not in ALIGNMENT_MODES:
            raise ValueError(f"alignment_mode {alignment_mode!r} is unknown; it is one of {', '.join(ALIGNMENT_MODES)}")
        self._model, self._alignment_mode, self._options = model, alignment_mode, options
        self._extractor: Extractor | None = None  # loaded at the first document, or by from_disk
        self.unaligned = 0
        _set_extensions()

    def __call__(self, doc: Any) -> Any:
        return next(self.pipe([doc]))

    def pipe(self, stream: Iterable[Any], *, batch_size: int = 256) -> Iterator[Any]:
        """The documents in order, `batch_size` at a time through the model."""
        extractor = self._load(self._model)
        iterator = iter(stream)
        while docs := list(islice(iterator, batch_size)):
            records = extractor.extract(Document(str(number), doc.text) for number, doc in enumerate(docs))
            for doc, record in zip(docs, records, strict=True):
                self._annotate(doc, record)
                yield doc

    def to_disk(self, path: str | Path, *, exclude: Iterable[str] = ()) -> None:
        """Copies the model folder, so that the saved pipeline needs nothing else."""
        folder = Path(path)
        folder.mkdir(parents=True, exist_ok=True)
        source = find_model(self._model, self._options.get("revision"))
        for name in MODEL_FILES:
            if (source / name).resolve() != (folder / name).resolve():
                shutil.copyfile(source / name, folder / name)

    def from_disk(self, path: str | Path, *, exclude: Iterable[str] = ()) -> RenshiComponent:
        """Loads the model of a saved pipeline, whatever its configuration names."""
        self._model = str(path)
        self._options = self._options | {"revision": None}
        self._extractor = None
        self._load(self._model)
        return self

    def __getstate__(self) -> dict[str, Any]:
        """Without the model, which every process loads for itself."""
        return self.__dict__ | {"_extractor": None}

    def _load(self, model: str | None) -> Extractor:
        if self._extractor is None:
            self._extractor = Extractor.from_pretrained(model, **self._options)
        return self._extractor

    def _annotate(self, doc: Any, record: Record | Failure) -> None:
        found: dict[str, Any] = record.to_dict()
        found.pop("text", None)
        if isinstance(record, Record):
            spans = [
                doc.char_span(entity.start, entity.end, label=entity.label, alignment_mode=self._alignment_mode)
                for entity in record.entities
            ]
            kept: list[Any] = []
            for span in spans:  # in order; where two were widened into each other, the first stays
                if span and (not kept or kept[-1].end <= span.start):
                    kept.append(span)
            earlier = [e for e in doc.ents if not any(e.start < span.end and span.start < e.end for span in kept)]
            doc.ents = [*earlier, *kept]
            found["unaligned"] = len(spans) - len(kept)
            self._count(found["unaligned"])
        doc._.renshi = found

    def _count(self, unaligned: int) -> None:
        if unaligned and not self.unaligned:
            warnings.warn(
                "entities are left out of doc.ents because their borders are not token borders; doc._.renshi has them all, "
                'and counts these ("unaligned"). A tokenizer of characters, spacy.blank("zh"), loses none',
                stacklevel=4,
            )
        self.unaligned += unaligned


def create_component(
    nlp: Any,
    name: str,
    model: str | None,
    revision: str | None,
    device: str,
    dtype: str,
    batch_tokens: int | None,
    min_score: float | None,
    alignment_mode: str,
) -> RenshiComponent:
    """The factory ``renshi``: ``nlp.add_pipe("renshi", config={"model": FOLDER_OR_HUB_ID, "device": "cuda"})``.

    All but `alignment_mode` are those of `Extractor.from_pretrained`.
    """
    options = {"revision": revision, "device": device, "dtype": dtype}
    return RenshiComponent(model, alignment_mode, options | {"batch_tokens": batch_tokens, "min_score": min_score})


_language.Language.factory(
    "renshi",
    default_config={
        "model": None,
        "revision": None,
        "device": "auto",
        "dtype": "auto",
        "batch_tokens": None,
        "min_score": None,
        "alignment_mode": "strict",
    },
    assigns=["doc.ents", "doc._.renshi", "doc._.roles", "doc._.event_types"],
    func=create_component,
)


def _set_extensions() -> None:
    for name, options in _DOC_EXTENSIONS.items():
        if not _tokens.Doc.has_extension(name):
            _tokens.Doc.set_extension(name, **options)
    if not _tokens.Span.has_extension("renshi_score"):
        _tokens.Span.set_extension("renshi_score", getter=_score)


def _roles(doc: Any) -> list[SpacyRole]:
    """The roles of ``doc._.renshi``; a part whose borders are no token borders is widened to whole tokens."""
    record = doc._.renshi or {}

    def span(index: int | None) -> Any:
        if index is None:
            return None
        entity = record["entities"][index]
        return doc.char_span(entity["start"], entity["end"], label=entity["label"], alignment_mode="expand")

    return [
        SpacyRole(span(role["person"]), span(role["title"]), span(role["organization"]), role["score"])
        for role in record.get("roles", ())
    ]


def _event_types(doc: Any) -> list[tuple[str, float]]:
    return [(event["type"], event["score"]) for event in (doc._.renshi or {}).get("event_types", ())]


def _score(span: Any) -> float | None:
    """Of the entity that the span overlaps and whose label it bears; None for other spans."""
    for entity in (span.doc._.renshi or {}).get("entities", ()):
        if entity["label"] == span.label_ and entity["start"] < span.end_char and span.start_char < entity["end"]:
            return float(entity["score"])
    return None


_DOC_EXTENSIONS: dict[str, dict[str, Any]] = {
    "renshi": {"default": None},
    "roles": {"getter": _roles},
    "event_types": {"getter": _event_types},
}
