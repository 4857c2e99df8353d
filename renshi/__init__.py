"""renshi (人事): who holds which post where, and what took place, in Chinese institutional news.

Importing loads nothing heavy: torch and the model come with the first `Extractor`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from renshi.labels import EVENT_TYPES, LABEL_NAMES, LABELS
from renshi.records import Document, Entity, EventType, Failure, Record, Role, Roster

if TYPE_CHECKING:
    from renshi.extractor import Extractor, ExtractorError
    from renshi.frames import to_dataframe, to_dataframes

__version__ = "0.1.0"

__all__ = [
    "EVENT_TYPES",
    "LABELS",
    "LABEL_NAMES",
    "Document",
    "Entity",
    "EventType",
    "Extractor",
    "ExtractorError",
    "Failure",
    "Record",
    "Role",
    "Roster",
    "__version__",
    "to_dataframe",
    "to_dataframes",
]

_LAZY = {
    "Extractor": "extractor",
    "ExtractorError": "extractor",
    "to_dataframe": "frames",
    "to_dataframes": "frames",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        from importlib import import_module

        return getattr(import_module(f"renshi.{_LAZY[name]}"), name)
    raise AttributeError(f"module 'renshi' has no attribute {name!r}")
