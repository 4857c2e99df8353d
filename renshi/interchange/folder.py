"""Folders of one file a document: names for any id, and writing the whole folder or nothing."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path
from urllib.parse import unquote

from renshi.interchange.base import InterchangeError
from renshi.records import Failure

__all__ = ["NamedFiles", "check_folder", "document_id", "files_below", "open_folder", "umask"]

# What some file system refuses, and the percent sign that escapes it.
_UNSAFE = re.compile(r'[%\\:*?"<>|\x00-\x1f\x7f]')
_EDGE = re.compile(r"^[. ]|[. ]$")  # hidden files, `..`, and what Windows drops
_DEVICE = re.compile(r"^(?=(?:aux|con|nul|prn|com[0-9]|lpt[0-9])(?:\.|$)).", re.IGNORECASE)  # of DOS, and so of Windows
_EMPTY = "%"  # a literal percent sign is always escaped
_LONGEST = 250  # bytes of a file name with its suffix; the usual limit is 255
_LONGEST_PATH = 2000  # bytes of a name with its folders; the usual limit is 4,096, with those of the output before it


class NamedFiles:
    """Gives each document its file in a folder, refusing what would fall upon another one's."""

    def __init__(self, folder: Path, *suffixes: str, others: Iterable[str] = ()) -> None:
        """`suffixes` are of the files that each document has, `others` the files of the folder that are no document's."""
        self._folder, self._suffixes = folder, suffixes
        # As file systems that ignore case see them: what is a file must not be another one's folder, nor the reverse.
        self._files: set[str] = set(others)
        self._folders: set[str] = {""}

    def path(self, id: str) -> Path | Failure:
        """Where the document goes, with the first of the suffixes, its parent folders made. Slashes in an id make folders,
        and a ``.txt`` at its end is not said twice; what no file system takes is percent-encoded."""
        stem = file_stem(id)
        name = stem + max(self._suffixes, key=len)
        if len(name.encode()) > _LONGEST_PATH or any(len(part.encode()) > _LONGEST for part in name.split("/")):
            return Failure(id, "ValueError", f"{id[:40]}…: its id is too long for a file name; give it a shorter one")
        files = {f"{stem}{suffix}".casefold() for suffix in self._suffixes}
        *parents, _ = accumulate(stem.casefold().split("/"), "{}/{}".format)
        if files & (self._files | self._folders) or self._files & set(parents):
            return Failure(id, "ValueError", f"{id}: another document bears this name; give each its own id")
        self._files |= files
        self._folders.update(parents)
        path = self._folder / f"{stem}{self._suffixes[0]}"
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


def file_stem(id: str) -> str:
    """The id as a relative path, without suffix."""
    parts = (_UNSAFE.sub(_escape, part) for part in _bare(id).split("/"))
    return "/".join(_DEVICE.sub(_escape, _EDGE.sub(_escape, part)) or _EMPTY for part in parts)


def _bare(id: str) -> str:
    return id.removesuffix(".txt") or id


def _escape(match: re.Match[str]) -> str:
    return f"%{ord(match[0]):02X}"


def document_id(path: Path, folder: Path) -> str:
    """The id of a file in `folder` (or of a single file, given as both): its path without suffix."""
    relative = path.relative_to(folder) if path != folder else Path(path.name)
    stem = relative.with_name(relative.name.removesuffix(path.suffix)).as_posix()
    return "/".join("" if part == _EMPTY else unquote(part, errors="replace") for part in stem.split("/"))


def files_below(path: Path, suffix: str) -> list[Path]:
    """The files with this suffix in a folder and below it (a folder may bear a file's name), or the one file."""
    return [file for file in sorted(path.rglob(f"*{suffix}")) if file.is_file()] if path.is_dir() else [path]


def check_folder(output: str) -> Path:
    """The path of a folder that may be written. Raises `InterchangeError`."""
    path = Path(output)
    if path.is_dir():
        if any(path.iterdir()):
            raise InterchangeError(f"{output}: is a folder with files in it; name a new one")
    elif path.exists():
        raise InterchangeError(f"{output}: is a file; this format is a folder, so name a new one")
    elif not path.resolve().parent.is_dir():
        raise InterchangeError(f"{output}: there is no folder {path.parent}; make it first")
    return path


@contextmanager
def open_folder(output: str) -> Iterator[Path]:
    """A temporary folder that becomes `output` when all is written and vanishes otherwise."""
    path = check_folder(output).resolve()
    partial = Path(tempfile.mkdtemp(dir=path.parent, prefix=".renshi-"))
    try:
        yield partial
        partial.chmod(0o777 & ~umask())  # mkdtemp's is for its owner alone
        if path.is_dir():
            path.rmdir()  # empty; Windows renames over nothing
        partial.replace(path)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def umask() -> int:
    """What the process withholds of the rights of new files; what is made temporary has fewer still."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
