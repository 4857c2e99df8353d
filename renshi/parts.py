"""A run into a folder: parts of some thousand records, each written whole, and a manifest of what they are made of.

records/
    manifest.json       what the run is made of, and for each finished part its documents, failures, bytes and sha256
    part-00000.jsonl    the records of the first documents, as `JsonlWriter` writes them
    part-00001.jsonl    …

Killed at any moment, it can be gone on with, and in the end every byte is that of a run that was left in peace. For that,
nothing in the folder tells of the time, each part is a call of `Extractor.extract` of its own (a score's last digit may
depend on what goes through the model together, and nothing does across parts), and the manifest names all that the records
depend on.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from itertools import chain, islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from renshi.documents import accepts
from renshi.info import versions
from renshi.inputs import expand
from renshi.records import Document, Failure, Record
from renshi.writers import JsonlWriter

if TYPE_CHECKING:
    from renshi.extractor import Extractor

__all__ = [
    "MANIFEST",
    "PART_DOCUMENTS",
    "RAY_MANIFEST",
    "Part",
    "PartsError",
    "Run",
    "describe_inputs",
    "describe_model",
    "open_run",
    "sum_model",
    "written_whole",
]

MANIFEST = "manifest.json"
RAY_MANIFEST = "manifest.jsonl"
"""That of a run of `renshi.integrations.ray`, whose parts are cut by bytes of the input and finished in any order."""
PART_DOCUMENTS = 10_000
"""Pages of news in a part unless asked otherwise: some tens of megabytes, minutes of a CPU's work that a kill may cost."""

_LOCK, _PARTIAL = ".lock", ".renshi-"
_OURS = re.compile(rf"part-\d{{5,}}\.jsonl|{re.escape(MANIFEST)}|{re.escape(_LOCK)}|{re.escape(_PARTIAL)}.*")

Extract = Callable[[Iterable["Document | Failure"]], Iterable["Record | Failure"]]


class PartsError(ValueError):
    """A folder that a run cannot be written to; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Part:
    """A finished part: how many records it holds, how many of them are failures, and what its file is."""

    name: str
    documents: int
    failures: int
    bytes: int
    sha256: str


class Run:
    """A run into a folder that is locked. Made by `open_run`.

    Attributes:
        parts: Those that are finished.
        finished: Whether all are.
        again: The name of the first part that was finished once and is no longer as it was, from which on all is made
            again; empty where there is none.
    """

    def __init__(self, folder: Path, name: str, found: dict[str, Any] | None = None) -> None:
        """`found` is the manifest that is there."""
        self.parts: list[Part] = []
        self.finished = False
        self.again = ""
        self._folder, self._name = folder, name
        self._settings: dict[str, Any] = {}
        self._found = found

    @property
    def documents(self) -> int:
        """How many are in the finished parts."""
        return sum(part.documents for part in self.parts)

    @property
    def failures(self) -> int:
        """How many of those failed."""
        return sum(part.failures for part in self.parts)

    def begin(self, settings: dict[str, Any]) -> None:
        """Write the manifest of a new run made of `settings` (anything that JSON holds), or go on with the one that is
        there. Raises `PartsError` if that one is made of something else, `OSError` if it cannot be written."""
        self._settings = settings = json.loads(json.dumps(settings))
        if self._found:
            differences = list(_differences(self._found["settings"], settings))
            if differences:
                raise PartsError(
                    f"{self._name}: this run is made of something else ({'; '.join(differences)}); give the command as it "
                    "was, or name another folder"
                )
            known = [Part(**part) for part in self._found["parts"]]
            self.parts = list(_unharmed(self._folder, known))
            self.again = known[len(self.parts)].name if len(self.parts) < len(known) else ""
            self.finished = bool(self._found["finished"]) and not self.again
        kept = {MANIFEST, _LOCK, *(part.name for part in self.parts)}
        for path in self._folder.iterdir():  # what a kill left half done
            if path.name not in kept and _OURS.fullmatch(path.name):
                path.unlink()
        if not self.finished:
            self._write_manifest()

    def write(
        self,
        extract: Extract,
        documents: Iterable[Document | Failure],
        size: int,
        tell: Callable[[Record | Failure], None] = lambda _: None,
    ) -> None:
        """Write the documents behind those of the finished parts, `size` a part; each record is told before it is written.

        Raises:
            OSError: A part could not be written; those before it stay.
        """
        coming = iter(documents)
        for first in coming:
            self._write_part(extract(chain([first], islice(coming, size - 1))), tell)

    def finish(self, inputs: Sequence[str]) -> None:
        """Mark the run as finished. Raises `PartsError` where the inputs are no longer those that it began with."""
        differences = list(_differences({"inputs": self._settings["inputs"]}, {"inputs": describe_inputs(inputs)}))
        if differences:
            raise PartsError(
                f"{self._name}: the inputs changed while they were read ({'; '.join(differences)}); the parts may hold the "
                "old and the new: begin again in another folder"
            )
        self.finished = True
        self._write_manifest()

    def _write_part(self, items: Iterable[Record | Failure], tell: Callable[[Record | Failure], None]) -> None:
        name = f"part-{len(self.parts):05d}.jsonl"
        documents = failures = 0
        with written_whole(self._folder / name, self._folder / (_PARTIAL + name)) as stream:
            writer = JsonlWriter(stream)
            for item in items:
                tell(item)
                writer.write(item)
                documents += 1
                failures += isinstance(item, Failure)
        size, sha256 = _sum(self._folder / name)
        self.parts.append(Part(name, documents, failures, size, sha256))
        self._write_manifest()

    def _write_manifest(self) -> None:
        content = {
            **self._settings,
            "documents": self.documents,
            "failures": self.failures,
            "finished": self.finished,
            "parts": [asdict(part) for part in self.parts],
        }
        with written_whole(self._folder / MANIFEST, self._folder / (_PARTIAL + MANIFEST)) as stream:
            # Names that are no Unicode are lone surrogates in Python, which ASCII with escapes holds.
            stream.write(json.dumps(content, indent=2) + "\n")


@contextmanager
def open_run(name: str, resume: bool) -> Iterator[Run]:
    """The run in the folder `name`, made if it is not there, and locked against others meanwhile.

    Raises:
        PartsError: The folder holds something else, or a run and `resume` is False, or another process writes to it.
        OSError: It cannot be written.
    """
    folder = Path(name)
    if not folder.resolve().parent.is_dir():
        raise PartsError(f"{name}: there is no folder {folder.parent}; make it first")
    if folder.exists() and not folder.is_dir():
        raise PartsError(f"{name}: is a file; parts go into a folder, so name a new one")
    folder.mkdir(exist_ok=True)
    try:
        _refuse_others(folder, name)
        with _locked(folder, name):
            found = _read_manifest(folder, name)
            if found and not resume:
                count = f"{found['documents']:,} documents in {len(found['parts']):,} parts"
                if found["finished"]:
                    raise PartsError(f"{name}: holds a finished run ({count}); name another folder, or remove this one")
                raise PartsError(
                    f"{name}: holds a run that was broken off ({count} are finished); --resume goes on with it; or name "
                    "another folder"
                )
            yield Run(folder, name, found)
    finally:
        with suppress(OSError):
            folder.rmdir()  # where nothing came of it


def _refuse_others(folder: Path, name: str) -> None:
    names = sorted(path.name for path in folder.iterdir())
    others = [found for found in names if not _OURS.fullmatch(found)]
    if RAY_MANIFEST in names:
        raise PartsError(
            f"{name}: holds a run of --engine ray, which goes on with --engine ray --resume; or name another folder"
        )
    if MANIFEST not in names and (others or any(found.startswith("part-") for found in names)):
        raise PartsError(
            f"{name}: holds other files, such as {(others or names)[0]}, and no run of renshi; name a new folder"
        )


def _read_manifest(folder: Path, name: str) -> dict[str, Any] | None:
    try:
        found = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (IsADirectoryError, PermissionError) as error:
        raise PartsError(
            f"{name}: its {MANIFEST} cannot be read ({error.strerror}); mend that, or name another folder"
        ) from error
    except (ValueError, RecursionError) as error:
        raise PartsError(f"{name}: its {MANIFEST} is not JSON ({error}); name another folder") from error
    rest = ("documents", "failures", "finished", "parts")
    try:
        _check_numbers(found, "documents", "failures")
        for part in found["parts"]:
            Part(**part)
            _check_numbers(part, "documents", "failures", "bytes")
        return {
            "settings": {key: value for key, value in found.items() if key not in rest},
            **{k: found[k] for k in rest},
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise PartsError(f"{name}: its {MANIFEST} is not one of renshi; name another folder") from error


def _check_numbers(found: Mapping[str, Any], *names: str) -> None:
    """Raises TypeError."""
    for name in names:
        if not isinstance(found[name], int):
            raise TypeError(f"{name} is {found[name]!r}")


def _unharmed(folder: Path, parts: Iterable[Part]) -> Iterator[Part]:
    """The parts up to the first that is gone or altered."""
    for part in parts:
        try:
            if _sum(folder / part.name) != (part.bytes, part.sha256):
                return
        except OSError:
            return
        yield part


# ---- what a run is made of ----


def describe_model(extractor: Extractor) -> dict[str, Any]:
    """The model, where and how it runs, and in which versions of the libraries: all of it may be seen in a record."""
    model = extractor.model
    folder = getattr(model, "folder", None)
    return {
        "model": {"name": extractor.model_name, "files": sum_model(folder) if folder else {}},
        "engine": {
            "network": type(model).__name__,
            "device": model.device,
            "dtype": str(getattr(model, "dtype", "")),
            "batch_tokens": extractor.batch_tokens,
            "min_score": extractor.min_score,
        },
        "versions": {name: number for name, number in versions().items() if name != "huggingface-hub"},
    }


def sum_model(folder: Path) -> dict[str, str]:
    """The sha256 of each file of a model folder that is read."""
    from renshi.model import MODEL_FILES

    files = [*MODEL_FILES, *(f"onnx/{path.name}" for path in sorted(folder.glob("onnx/*.onnx")))]
    return {name: _sum(folder / name)[1] for name in files if (folder / name).is_file()}


def describe_inputs(inputs: Sequence[str]) -> list[dict[str, Any]]:
    """For each input how many files it means, their bytes, and the sha256 of their names, sizes and times of change.

    Raises:
        PartsError: An input cannot be read twice.
    """
    return [_describe_input(name) for name in inputs]


def _describe_input(name: str) -> dict[str, Any]:
    files = size = 0
    digest = hashlib.sha256()
    if name == "-":
        raise PartsError("-: standard input cannot be read once more by --resume; save it to a file")
    for file in expand([name], accepts):
        if isinstance(file, Failure):
            digest.update(f"{file.message}\n".encode("utf-8", "surrogateescape"))
            continue
        try:
            status = os.stat(file)  # noqa: PTH116 (a million times)
        except OSError as error:
            digest.update(f"{file}\0{type(error).__name__}\n".encode("utf-8", "surrogateescape"))
            continue
        if not os.path.isfile(file):  # noqa: PTH113
            raise PartsError(f"{file}: a pipe or device cannot be read once more by --resume; save it to a file")
        digest.update(f"{file}\0{status.st_size}\0{status.st_mtime_ns}\n".encode("utf-8", "surrogateescape"))
        files, size = files + 1, size + status.st_size
    return {"input": name, "files": files, "bytes": size, "sha256": digest.hexdigest()}


def _differences(old: dict[str, Any], new: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """What is not the same, a clause each."""
    for key in [*old, *(key for key in new if key not in old)]:
        before, now = old.get(key), new.get(key)
        if before == now:
            continue
        if key == "inputs":
            yield from _input_differences(before or [], now or [])
        elif isinstance(before, dict) and isinstance(now, dict):
            yield from _differences(before, now, f"{prefix}{key} ")
        elif prefix.endswith("files "):
            yield f"the model's {key} is another"
        else:
            yield f"{prefix}{key} was {before}, is {now}"


def _input_differences(old: list[dict[str, Any]], new: list[dict[str, Any]]) -> Iterator[str]:
    names = [[item["input"] for item in items] for items in (old, new)]
    if names[0] != names[1]:
        yield f"the inputs were {' '.join(names[0])}, are {' '.join(names[1])}"
        return
    for before, now in zip(old, new, strict=True):
        counts = [f"{item['files']:,} files, {item['bytes']:,} bytes" for item in (before, now)]
        if counts[0] != counts[1]:
            yield f"{before['input']} had {counts[0]}, has {counts[1]}"
        elif before != now:
            one = before["files"] == 1
            yield f"{before['input']} was changed" if one else f"of {before['input']}, a file was changed or renamed"


# ---- the file system ----


@contextmanager
def written_whole(path: Path, partial: Path) -> Iterator[IO[str]]:
    """A stream to the file `partial`, which takes the place of `path`, on the disk before its name is, or vanishes."""
    try:
        with partial.open("w", encoding="utf-8", newline="") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    if os.name != "nt":  # which cannot open a folder
        handle = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _sum(path: Path) -> tuple[int, str]:
    """Bytes and sha256 of a file."""
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
            size += len(block)
    return size, digest.hexdigest()


@contextmanager
def _locked(folder: Path, name: str) -> Iterator[None]:
    """The folder as one process's own. The lock is the system's, on a file: it goes with the process, however that ends."""
    path = folder / _LOCK
    while True:
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except IsADirectoryError as error:
            raise PartsError(f"{name}: its {_LOCK} is a folder, and not renshi's; name another folder") from error
        try:
            _lock(handle)
            if path.exists() and os.path.samestat(os.fstat(handle), path.stat()):
                break
            os.close(handle)  # of a run that ended just now, and removed
        except (BlockingIOError, PermissionError) as error:
            os.close(handle)
            raise PartsError(
                f"{name}: another renshi is writing to it; wait for its end, or name another folder"
            ) from error
    try:
        yield
    finally:
        with suppress(OSError):
            path.unlink()
        os.close(handle)


def _lock(handle: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
