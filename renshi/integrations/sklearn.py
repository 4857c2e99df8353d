"""scikit-learn: texts to counts for a `Pipeline`, or texts to records.

from renshi.integrations.sklearn import EntityExtractor

make_pipeline(EntityExtractor(), LogisticRegression()).fit(pages, topics)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from renshi.extractor import Extractor
from renshi.labels import LABELS
from renshi.records import Failure, Record

try:
    from sklearn.base import BaseEstimator, TransformerMixin
except ImportError as error:
    raise ImportError('scikit-learn is not installed: pip install "renshi[sklearn]"') from error

__all__ = ["EntityExtractor"]


class EntityExtractor(TransformerMixin, BaseEstimator):
    """Reads documents with a model that is trained already: `fit` learns nothing, and no call to it is needed.

    `transform` counts, for each document, the mentions of each label and the roles, which are features for another
    estimator; `predict` gives the records themselves. ``set_output(transform="pandas")`` names the columns.

    Args:
        model: As in `Extractor.from_pretrained`, as are the others.
    """

    def __init__(
        self,
        model: str | None = None,
        *,
        device: str = "auto",
        dtype: str = "auto",
        batch_tokens: int | None = None,
        min_score: float | None = None,
    ) -> None:
        self.model = model
        self.device = device
        self.dtype = dtype
        self.batch_tokens = batch_tokens
        self.min_score = min_score

    def fit(self, X: Iterable[str], y: Any = None) -> EntityExtractor:  # noqa: N803 (scikit-learn's name)
        """Nothing to learn; loads the model, so that wrong parameters are told here."""
        self._load()
        return self

    def predict(self, X: Iterable[str]) -> list[Record | Failure]:  # noqa: N803
        """A record for each document."""
        if isinstance(X, str):
            raise ValueError("X is a str; give a list of documents: [text]")
        return list(self._load().extract(X))

    def transform(self, X: Iterable[str]) -> NDArray[np.int64]:  # noqa: N803
        """Counts, of shape (documents, labels + 1); the last column counts roles.

        Raises:
            ValueError: X is one string, or a document is none.
        """
        rows = []
        for record in self.predict(X):
            if isinstance(record, Failure):
                raise ValueError(f"document {record.id}: {record.message}")
            counts = Counter(entity.label for entity in record.entities)
            rows.append([*(counts[label] for label in LABELS), len(record.roles)])
        return np.array(rows, dtype=np.int64).reshape(len(rows), len(LABELS) + 1)

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """The names of the columns of `transform`: the labels, and ``ROLE``."""
        return np.array([*LABELS, "ROLE"], dtype=object)

    def _load(self) -> Extractor:
        """The extractor of the parameters as they are now (`set_params` may have changed them)."""
        parameters = self.get_params()
        if getattr(self, "_loaded", (None, None))[0] != parameters:
            options = {name: value for name, value in parameters.items() if name != "model"}
            self._loaded = (parameters, Extractor.from_pretrained(self.model, **options))
        return self._loaded[1]

    def __getstate__(self) -> dict[str, Any]:
        """Without the model, which every process loads for itself."""
        state: dict[str, Any] = dict(super().__getstate__())
        state.pop("_loaded", None)
        return state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.no_validation = True
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        return tags
