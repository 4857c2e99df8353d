"""What stands on a command line to the files that it means: folders are walked, patterns are expanded, in an order that
does not depend on the file system."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatch
from glob import iglob
from pathlib import Path

from renshi.records import Failure

__all__ = ["Skipped", "expand", "explain", "is_pattern", "takes"]

_MAGIC = re.compile(r"[*?[]")
_SHOWN_KINDS = 6


class Skipped:
    """The files of folders and patterns that are no input, counted by what they are."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def add(self, name: str) -> None:
        """A file whose suffix is none of those that are read."""
        suffixes = Path(name).suffixes[-1:]
        self.counts[suffixes[0].lower() if suffixes else "without a suffix"] += 1

    def sentence(self, accepted: str) -> str:
        """How many, and of which kinds; empty where nothing was skipped."""
        total = self.counts.total()
        if not total:
            return ""
        kinds = [f"{count:,} {kind}" for kind, count in self.counts.most_common(_SHOWN_KINDS)]
        others = total - sum(count for _, count in self.counts.most_common(_SHOWN_KINDS))
        kinds += [f"{others:,} of other kinds"] if others else []
        return f"{total:,} in folders and patterns skipped ({', '.join(kinds)}); accepted are {accepted}"


def expand(
    inputs: Sequence[str], accepts: Callable[[str], bool], skipped: Skipped | None = None
) -> Iterator[str | Failure]:
    """The files that are meant, in order: a file as it stands; of a folder, at any depth, those that are accepted, each
    folder's entries by their names; of a pattern (``*``, ``?``, ``[…]``, and ``**`` for any depth) the accepted files that
    match, by their names.

    Hidden files and folders, links to folders, and what is neither are passed over. `skipped` counts all that is. A folder
    or pattern in which nothing is accepted, and a folder that cannot be read, is a `Failure`.

    In memory are the names of one folder and its parents', or of one pattern.
    """
    skipped = skipped or Skipped()
    for name in inputs:
        if name != "-" and _is_folder(name):
            files, nothing = _walk(name, accepts, skipped), "holds no file that is read"
        elif is_pattern(name):
            files, nothing = _match(name, accepts, skipped), "matches no file that is read"
        else:
            yield name
            continue
        empty = True
        for file in files:
            empty = False
            yield file
        if empty:
            yield Failure(
                name, "FileNotFoundError", f"{name}: {nothing}; see what is accepted with renshi extract --help"
            )


def is_pattern(name: str) -> bool:
    """Whether a name is a pattern rather than a file whose name has such characters."""
    return bool(_MAGIC.search(name)) and not os.path.lexists(name)


def takes(name: str, path: Path) -> bool:
    """Whether a file at `path`, be it there already or not, would be among those that an input means."""
    if _is_folder(name):
        return path.resolve().is_relative_to(Path(name).resolve())
    if not is_pattern(name):
        try:
            return path.samefile(name)
        except OSError:  # one of them is not there
            return False
    path, pattern = Path(os.path.abspath(path)), Path(os.path.abspath(name))  # noqa: PTH100 (a link is a name of its own)
    if "**" not in pattern.parts:
        return path.match(str(pattern))
    depth = pattern.parts.index("**")
    root = Path(*path.parts[:depth])
    return root.match(str(Path(*pattern.parts[:depth]))) and _fits(path.parts[depth:], pattern.parts[depth:])


def _is_folder(name: str) -> bool:
    return os.path.isdir(name)  # noqa: PTH112 (Path's raises where a name is too long for a file)


def explain(name: str, error: OSError) -> str:
    """Why a file or folder cannot be read, and what to do."""
    if isinstance(error, FileNotFoundError):
        return f"{name}: there is no such file; check the name and the folder"
    if isinstance(error, PermissionError):
        return f"{name}: may not be read; check its permissions"
    return f"{name}: cannot be read ({error.strerror or error})"


def _walk(root: str, accepts: Callable[[str], bool], skipped: Skipped) -> Iterator[str | Failure]:
    prefix = "" if Path(root) == Path() else Path(root).as_posix().rstrip("/") + "/"
    waiting = [
        prefix
    ]  # the last one first; folders end with a slash. Not recursion: folders may lie deeper than Python's
    while waiting:
        name = waiting.pop()
        if name and not name.endswith("/"):
            yield name
            continue
        try:
            waiting += reversed(_entries(name, accepts, skipped))
        except OSError as error:
            yield Failure(name, type(error).__name__, explain(name, error))


def _entries(folder: str, accepts: Callable[[str], bool], skipped: Skipped) -> list[str]:
    """The accepted files and the folders in a folder, by their names, with their paths."""
    names = []
    with os.scandir(folder or ".") as entries:
        for entry in entries:
            if entry.name.startswith("."):
                skipped.counts["hidden"] += 1
            elif entry.is_dir(follow_symlinks=False):
                names.append(f"{entry.name}/")
            elif entry.is_dir():
                skipped.counts["links to folders"] += 1  # they may lead in a circle
            elif not entry.is_file():
                skipped.counts["neither files nor folders"] += 1
            elif accepts(entry.name):
                names.append(entry.name)
            else:
                skipped.add(entry.name)
    return [folder + name for name in sorted(names)]


def _match(pattern: str, accepts: Callable[[str], bool], skipped: Skipped) -> Iterator[str | Failure]:
    found = []
    for name in _deep(pattern, skipped) if "**" in Path(pattern).parts else iglob(pattern):  # noqa: PTH207 (as below)
        if isinstance(name, Failure):
            yield name
        elif _is_folder(name):
            skipped.counts["folders"] += 1
        elif accepts(name):
            found.append(name)
        else:
            skipped.add(name)
    yield from sorted(set(found))


def _deep(pattern: str, skipped: Skipped) -> Iterator[str | Failure]:
    """The files that a pattern with ``**`` matches. Walked like a folder, since glob follows links, also in a circle."""
    parts = Path(pattern).parts
    first = parts.index("**")
    root, rest = str(Path(*parts[:first])), parts[first:]
    for folder in iglob(root) if _MAGIC.search(root) else [root]:  # noqa: PTH207 (Path's takes no pattern that begins with a slash)
        if not _is_folder(folder):
            continue
        walked, depth = Skipped(), len(Path(folder).parts)
        for name in _walk(folder, lambda _: True, walked):
            if isinstance(name, Failure) or _fits(Path(name).parts[depth:], rest):
                yield name
        skipped.counts += walked.counts


def _fits(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    """Whether the parts of a path match those of a pattern, of which each ``**`` stands for any number of folders."""
    if not pattern:
        return not parts
    if pattern[0] != "**":
        return bool(parts) and fnmatch(parts[0], pattern[0]) and _fits(parts[1:], pattern[1:])
    if len(pattern) == 1:
        return bool(parts)
    return any(_fits(parts[start:], pattern[1:]) for start in range(len(parts)))
