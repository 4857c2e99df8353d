"""Annotated documents in the forms of other tools, both ways: one module a format, one table of formats.

All formats meet in `renshi.records.Record`. A format says what it can hold (`Format.fit`); what it cannot is counted and
told, and what is left comes back exactly: ``read(write(fit(record))) == fit(record)``. How a role becomes relations between
two spans is in `renshi.interchange.relations`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from renshi.interchange import brat, conll, docbin, doccano, labelstudio, markup, records
from renshi.interchange.base import Format, InterchangeError, Report, holds
from renshi.records import Failure, Record

__all__ = ["FORMATS", "FittedWriter", "Format", "InterchangeError", "Report", "find_format", "guess_format", "read"]

FORMATS: dict[str, Format] = {
    "markup": Format(
        markup.read, markup.MarkupWriter, markup.fit, (".txt",),
        "inline markup with ROLE lines: a folder of .txt files, or one to read", folder=True,
    ),
    "records": Format(
        records.read, records.RecordsWriter,
        holds("overlaps", "roles", "repeated roles", "role scores", "scores", "model", "findings", surrogates=True),
        (".jsonl",), "JSON lines of renshi extract; they hold all",
    ),
    "labelstudio": Format(
        labelstudio.read, labelstudio.LabelStudioWriter, labelstudio.fit, (".json",), "JSON tasks of Label Studio",
    ),
    "doccano": Format(doccano.read, doccano.DoccanoWriter, doccano.fit, (".jsonl",), "JSON lines of doccano"),
    "brat": Format(
        brat.read, brat.BratWriter, brat.fit, (".ann",), "a folder of .txt and .ann files of brat", folder=True,
    ),
    "conll": Format(
        conll.read, conll.ConllWriter, conll.fit, (".tsv", ".conll", ".bio"), "a character and its BIO tag a line",
    ),
    "docbin": Format(docbin.read, docbin.DocBinWriter, docbin.fit, (".spacy",), "spaCy's DocBin; needs renshi[spacy]"),
}  # fmt: skip
"""The formats by name."""


def guess_format(path: str, option: str = "") -> str:
    """The format that a path tells by its suffix, or by what a folder holds.

    Raises:
        InterchangeError: It tells none; `option` is what a command has to name it with.
    """
    which = f"; say which with {option} FORMAT" if option else ""
    place = Path(path)
    if place.is_dir():
        for name in ("brat", "markup"):
            if any(place.rglob(f"*{FORMATS[name].suffixes[0]}")):
                return name
        raise InterchangeError(f"{path}: holds no .ann and no .txt files; formats are {', '.join(FORMATS)}{which}")
    suffix = place.suffix.lower()
    names = [
        name
        for name, format in FORMATS.items()
        if suffix in format.suffixes and not (format.folder and not place.exists())
    ]
    if len(names) == 1:
        return names[0]
    if names:
        raise InterchangeError(f"{path}: {suffix} may be {' or '.join(names)}{which or '; say which'}")
    raise InterchangeError(f"{path}: its suffix names no format; formats are {', '.join(FORMATS)}{which}")


def find_format(name: str) -> Format:
    """Raises `InterchangeError`."""
    if name in FORMATS:
        return FORMATS[name]
    raise InterchangeError(f"format {name!r} is unknown; formats are {', '.join(FORMATS)}")


def read(path: str | Path, name: str, report: Report) -> Iterator[Record | Failure]:
    """The records of a file or folder in the format `name`, one at a time; what cannot be read is a `Failure`.

    Raises:
        InterchangeError: The format is unknown, or the path is not there or holds nothing of it.
    """
    format, place = find_format(name), Path(path)
    if not place.exists():
        raise InterchangeError(f"{path}: there is no such file or folder; check the name")
    if place.is_dir() and not format.folder:
        raise InterchangeError(f"{path}: is a folder; {name} is a file ({format.what})")
    return _reading(format, place, report)


def _reading(format: Format, place: Path, report: Report) -> Iterator[Record | Failure]:
    try:
        yield from format.read(place, report)
    except OSError as error:
        raise InterchangeError(f"{place}: cannot be read ({error.strerror or error})") from error


class FittedWriter:
    """Writes records as far as the format holds them; what it does not hold goes to `report`."""

    def __init__(self, name: str, target: IO[Any] | Path, report: Report | None = None) -> None:
        """`target` is an open text stream, or a folder where the format is one. Raises `InterchangeError`."""
        self.report = report or Report()
        self._format = find_format(name)
        self._writer = self._format.writer(target)

    def write(self, item: Record | Failure) -> Record | Failure:
        """Gives back what was written, or why nothing was; a `Failure` is passed on."""
        fitted = self._format.fit(item, self.report) if isinstance(item, Record) else item
        return self._writer.write(fitted) or fitted

    def end(self) -> None:
        self._writer.end()
