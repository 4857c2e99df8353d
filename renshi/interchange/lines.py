"""Files to JSON values and lines, with the place and a plain sentence where they are none."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from renshi.interchange.base import InterchangeError
from renshi.records import Failure

__all__ = ["json_lines", "parse_json", "read_text"]


def read_text(path: Path) -> str:
    """The file's text, line ends untouched, without a byte order mark. Raises `InterchangeError`."""
    try:
        return path.read_bytes().decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise InterchangeError(f"{path}: byte {error.start} is not valid UTF-8; save the file as UTF-8") from error


def parse_json(text: str) -> Any:
    """The value; raises `ValueError` with a short reason."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{error.msg} at line {error.lineno}, column {error.colno}") from error
    except (ValueError, RecursionError) as error:
        raise ValueError("nested too deeply, or a number too long") from error


def json_lines(path: Path, form: str) -> Iterator[tuple[str, dict[str, Any] | Failure]]:
    """(place, object) for each line that is not blank; `form` is what a line looks like."""
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            place = f"{path}:{number}"
            try:
                text = line.decode("utf-8").removeprefix("\ufeff")
                if not text.strip():
                    continue
                item = parse_json(text)
            except UnicodeDecodeError as error:
                message = f"{place}: byte {error.start} of the line is not valid UTF-8; save the file as UTF-8"
                yield place, Failure(place, "UnicodeDecodeError", message)
            except ValueError as error:
                yield place, Failure(place, "JSONDecodeError", f"{place}: is not JSON ({error}); a line is {form}")
            else:
                if isinstance(item, dict):
                    yield place, item
                else:
                    kind = type(item).__name__
                    yield place, Failure(place, "TypeError", f"{place}: is a JSON {kind}; a line is an object, {form}")
