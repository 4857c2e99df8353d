"""`datasets.Dataset.map` with renshi: a batch of texts in, columns out.

from renshi.integrations.datasets import BatchExtractor

extract = BatchExtractor()
dataset = dataset.map(extract, batched=True, features=extract.features(dataset.features))
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from renshi import __version__
from renshi.extractor import Extractor
from renshi.frames import need
from renshi.model import MODEL_FILES, find_model
from renshi.records import Document, Failure

__all__ = ["BatchExtractor", "check_columns"]

COLUMNS = ("entities", "roles", "rosters", "event_types", "error")


class BatchExtractor:
    """A function for ``Dataset.map(…, batched=True)``: adds to each row the parts of its record as columns.

    The columns ``entities``, ``roles``, ``rosters`` and ``event_types`` hold lists of what the records hold, in the same
    form; ``error`` is null, or says why this row's text could not be read.
    The model is loaded at the first batch. It uses all cores by itself, so that ``num_proc`` gains nothing; processes
    that are forked after a model has run in the first one would wait for each other for ever. The weights are part of
    what `datasets` makes its cache key of: another model in the same folder is another key.
    """

    def __init__(
        self, model: str | os.PathLike[str] | None = None, *, text: str = "text", prefix: str = "", **options: Any
    ) -> None:
        """
        Args:
            model: As in `Extractor.from_pretrained`, as are the `options` (``device``, ``dtype``, ``min_score`` …).
            text: The column to read.
            prefix: Begins the names of the new columns, for a data set that has columns of these names.

        Raises:
            ExtractorError: There is no such model.
        """
        self.text, self.prefix = text, prefix
        self._model, self._options = None if model is None else os.fspath(model), options
        folder = find_model(model, options.get("revision"))
        digest = hashlib.sha256(__version__.encode())
        for name in MODEL_FILES:
            digest.update((folder / name).read_bytes())
        self._digest = digest.hexdigest()
        self._extractor: Extractor | None = None

    def __getstate__(self) -> dict[str, Any]:
        """What goes into the cache key and to other processes: how to load the model, not the model."""
        return self.__dict__ | {"_extractor": None}

    def __call__(self, batch: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
        """The new columns of a batch. Raises ValueError where there is no column to read, or where a new column has the
        name of one that is there."""
        check_columns(batch, self.text, [self.prefix + name for name in COLUMNS])
        self._extractor = self._extractor or Extractor.from_pretrained(self._model, **self._options)
        columns: dict[str, list[Any]] = {name: [] for name in COLUMNS}
        documents = (Document(str(number), text) for number, text in enumerate(batch[self.text]))
        for record in self._extractor.extract(documents):
            parts: dict[str, Any] = {} if isinstance(record, Failure) else record.to_dict()
            for name in COLUMNS[:-1]:
                columns[name].append([_encodable(part) for part in parts.get(name, [])])
            columns["error"].append(record.message if isinstance(record, Failure) else None)
        return {self.prefix + name: values for name, values in columns.items()}

    def features(self, features: Mapping[str, Any] | None) -> Any:
        """The `datasets.Features` of the mapped data set, given those of the data set as it is.

        Needed since Arrow cannot tell the type of a column from a batch in which nobody holds a post.

        Raises:
            ValueError: The features are unknown, there is no column to read, or a new column has the name of one that is
                there.
        """
        if features is None:
            raise ValueError("the data set's features are unknown (None): give it features, or map without features=")
        check_columns(features, self.text, [self.prefix + name for name in COLUMNS])
        datasets = need("datasets", "datasets")
        text, whole, real = (datasets.Value(name) for name in ("string", "int64", "float64"))
        new = {
            "entities": [{"start": whole, "end": whole, "text": text, "label": text, "score": real}],
            "roles": [{"person": whole, "title": whole, "organization": whole, "score": real}],
            "rosters": [{"title": whole, "claimed": whole, "found": whole}],
            "event_types": [{"type": text, "score": real}],
            "error": text,
        }
        return datasets.Features(dict(features) | {self.prefix + name: feature for name, feature in new.items()})


def check_columns(columns: Collection[str], text: str, new: Iterable[str]) -> None:
    """That a data set has the column `text`, and none of the `new` ones yet. Raises `ValueError`."""
    if text not in columns:
        raise ValueError(f'there is no column {text!r}; name one of {", ".join(columns)}: text="…"')
    if taken := [name for name in new if name in columns]:
        raise ValueError(f'the data set has columns {", ".join(taken)} already; name the new ones by prefix="renshi_"')


def _encodable(part: dict[str, Any]) -> dict[str, Any]:
    """Arrow holds no lone surrogates: ``?`` in their place, one for one."""
    return {k: v.encode("utf-8", "replace").decode("utf-8") if isinstance(v, str) else v for k, v in part.items()}
