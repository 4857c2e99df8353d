"""Ray: the columns of a Ray data set, or folders of files to a folder of records, by a pool of actors on many machines.

import ray

from renshi.integrations.ray import extract_dataset

pages = ray.data.read_parquet("pages/")
extract_dataset(pages, actors=8, cpus=4).write_parquet("records/")

`extract_files` is what ``renshi extract --engine ray`` calls. Its unit is a part of the input, fixed before the run begins:
an actor reads it, and writes its records to a file of the part's number, which appears whole or not at all. So it does not
matter how often Ray runs a part, or where: nothing is lost, nothing is there twice, and the files in the order of their
names are the records in the order of the input.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import platform
import re
import sys
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any

from renshi import __version__
from renshi.documents import Columns, Skipped, accepts, read_documents, read_json_lines
from renshi.extractor import Extractor, ExtractorError
from renshi.frames import need
from renshi.inputs import expand, explain
from renshi.integrations.datasets import check_columns
from renshi.model import DTYPES, MODEL_FILES, PACKAGED_MODEL, find_model, read_tokenizer
from renshi.model_folder import check_weights, read_json
from renshi.onnx_model import onnx_files
from renshi.parts import MANIFEST, RAY_MANIFEST, describe_model, sum_model, written_whole
from renshi.records import Document, Failure, Record
from renshi.writers import JsonlWriter

__all__ = ["PART_BYTES", "ClusterError", "Result", "extract_dataset", "extract_files"]

PART_BYTES = 16 << 20
"""Of input in one part: minutes of a core's work, so that a part that is done again costs little, and its start nothing."""

_SHOWN_FAILURES = 20


class ClusterError(RuntimeError):
    """A run that cannot begin or go on; the message says what to do."""


# ── a Ray data set ───────────────────────────────────────────────────────────────────────────────────────────────────


def extract_dataset(
    dataset: Any,
    model: str | os.PathLike[str] | None = None,
    *,
    text: str = "text",
    prefix: str = "",
    actors: int | tuple[int, int] = 1,
    cpus: float = 1,
    gpus: float = 0,
    batch_documents: int = 256,
    **options: Any,
) -> Any:
    """The `ray.data.Dataset` with the parts of each row's record as new columns.

    The columns ``entities``, ``roles``, ``rosters`` and ``event_types`` hold lists of what the records hold, in the same
    form; ``error`` is null, or ``{type, message}``: why this row's text could not be read. As all of Ray Data it is lazy,
    and keeps no order unless it is told to.

    Args:
        dataset: Any data set with a column of texts (`ray.data.read_parquet`, `ray.data.read_json` …).
        model: As in `Extractor.from_pretrained`, as are the `options` (``device``, ``dtype``, ``min_score`` …). A folder
            must be there on every machine.
        text: The column to read.
        prefix: Begins the names of the new columns, for a data set that has columns of these names.
        actors: How many, each with a model of its own; two numbers: as many as there is work for, between them.
        cpus, gpus: Of one actor. On a CPU, also how many threads it computes with.
        batch_documents: Rows that an actor takes at once.

    Raises:
        ImportError: ray is not installed; the message says what to install.
    """
    data = need("ray.data", "ray")
    low, high = (actors, actors) if isinstance(actors, int) else actors
    return dataset.map_batches(
        _Batches,
        fn_constructor_args=(None if model is None else os.fspath(model), text, prefix, options),
        compute=data.ActorPoolStrategy(min_size=low, max_size=high),
        batch_size=batch_documents,
        batch_format="pyarrow",
        num_cpus=cpus,
        num_gpus=gpus,
    )


def _columns() -> dict[str, Any]:
    """The new columns. Arrow cannot tell their types from a batch in which nobody holds a post."""
    import pyarrow

    text, whole, real = pyarrow.string(), pyarrow.int64(), pyarrow.float64()
    struct, list_ = pyarrow.struct, pyarrow.list_
    return {
        "entities": list_(struct({"start": whole, "end": whole, "text": text, "label": text, "score": real})),
        "roles": list_(struct({"person": whole, "title": whole, "organization": whole, "score": real})),
        "rosters": list_(struct({"title": whole, "claimed": whole, "found": whole})),
        "event_types": list_(struct({"type": text, "score": real})),
        "error": struct({"type": text, "message": text}),
    }


class _Batches:
    """An actor that adds columns to tables."""

    def __init__(self, model: str | None, text: str, prefix: str, options: dict[str, Any]) -> None:
        self._text, self._prefix = text, prefix
        self._extractor = Extractor.from_pretrained(model, **options)

    def __call__(self, table: Any) -> Any:
        import pyarrow

        types, names = _columns(), table.column_names
        check_columns(names, self._text, [self._prefix + name for name in types])
        documents = (Document(str(number), text) for number, text in enumerate(table.column(self._text).to_pylist()))
        records = [record.to_dict() for record in self._extractor.extract(documents)]
        for name, type_ in types.items():
            empty: Any = None if name == "error" else []
            values = pyarrow.array([record.get(name, empty) for record in records], type_)
            table = table.append_column(self._prefix + name, values)
        return table


# ── files to files ───────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class _Piece:
    """What a part reads of one file; `size` is that of the whole file when the run was planned."""

    name: str
    size: int = -1
    bytes: tuple[int, int] | None = None
    """Of JSON lines: the place of the first of them, and behind the last."""
    line: int = 1
    """The number of that first line."""
    rows: tuple[int, int] | None = None
    failure: tuple[str, str] | None = None
    """Type and message, of a folder or pattern that cannot be read."""


@dataclass(frozen=True, slots=True)
class Result:
    """How many parts and documents there were, how many of these failed, and the first of the failures' messages. (Those
    of parts that an earlier run finished are counted, not shown.)"""

    parts: int = 0
    documents: int = 0
    failed: int = 0
    messages: tuple[str, ...] = ()


def extract_files(
    inputs: Sequence[str],
    output: str | os.PathLike[str],
    model: str | os.PathLike[str] | None = None,
    *,
    address: str | None = None,
    actors: int | None = None,
    cpus: float = 1,
    gpus: float = 0,
    resume: bool = False,
    part_bytes: int = PART_BYTES,
    encoding: str = "auto",
    columns: Columns | None = None,
    skipped: Skipped | None = None,
    **options: Any,
) -> Result:
    """Read files as `renshi.documents.read_documents` does, and write ``part-00000.jsonl`` … into a folder.

    Inputs, output and model must lie where every machine sees them under the same name. Memory on a machine is bounded by
    a chunk of documents for each actor, for an actor reads and writes its part in a stream.

    Args:
        inputs: Files, folders and patterns.
        output: A new or empty folder, or with `resume` one of a run that was broken off. Its ``manifest.jsonl`` lists the
            finished parts.
        model: As in `Extractor.from_pretrained`, as are the `options`.
        address: Of a Ray cluster. None: the one that Ray is connected to, or that ``RAY_ADDRESS`` names, or one on this
            machine alone, started for this run.
        actors: How many; None: as many as the cluster has room for.
        cpus, gpus: Of one actor.
        part_bytes: Of input in a part. Files of JSON lines and Parquet are cut; others, and packed ones, are a part as they
            are.
        encoding, columns, skipped: As in `read_documents`.

    Raises:
        ImportError: ray is not installed; the message says what to install.
        ExtractorError: There is no such model.
        ClusterError: There is no such cluster, the folder holds something else, or a machine does not see a file.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # before the import; Ray reports to its makers otherwise
    ray, data = need("ray", "ray"), need("ray.data", "ray")
    sums = sum_model(_check_model(model, options))
    parts = _plan(inputs, part_bytes, skipped)
    settings = [None if model is None else os.fspath(model), sums, encoding, asdict(columns or Columns()), options]
    folder = Path(output).absolute()
    manifest = _Manifest(folder, _digest(parts, settings), resume)
    waiting = [number for number in range(len(parts)) if number not in manifest.done]
    if not waiting:
        return manifest.result(())
    started = _connect(ray, address)
    messages: list[str] = []
    try:
        room = _room(ray.cluster_resources(), cpus, gpus)
        context = data.DataContext.get_current()
        context.enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # the error is raised
        rows = [
            {"part": number, "pieces": json.dumps([asdict(piece) for piece in parts[number]])} for number in waiting
        ]
        work = data.from_items(rows, override_num_blocks=len(rows)).map_batches(
            _Parts,
            fn_constructor_args=(str(Path.cwd()), str(folder), *settings),
            compute=data.ActorPoolStrategy(size=min(actors or room, room, len(waiting))),
            batch_size=1,  # a part is what is retried
            batch_format="numpy",
            num_cpus=cpus,
            num_gpus=gpus,
        )  # Ray Data starts actors anew, and repeats what they were at, as often as it takes
        for row in work.iter_rows():
            found = json.loads(row["summary"])
            messages += found.pop("messages")[: _SHOWN_FAILURES - len(messages)]
            manifest.add(found)
    except ray.exceptions.RayError as error:
        cause = _root(error)
        # Ray's traceback through three processes says nothing that our own sentence does not.
        shown = None if isinstance(cause, (ClusterError, ExtractorError)) else error
        raise ClusterError(_sentence(cause)) from shown
    finally:
        if started:
            ray.shutdown()
        for partial in folder.glob(".part-*"):  # of actors that were killed
            partial.unlink(missing_ok=True)
    return manifest.result(tuple(messages))


def _connect(ray: Any, address: str | None) -> bool:
    """Whether Ray was not connected before."""
    if ray.is_initialized():
        return False
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    options: dict[str, Any] = {}
    if address == "local":  # no page, and the loopback device; Ray takes 127.0.0.1 for a name of the outer one
        options = {"include_dashboard": False, "_node_ip_address": "127.0.0.2" if sys.platform == "linux" else None}
    try:
        ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False, **options)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise ClusterError(f"no Ray cluster answers at {address} ({error}); see ray status") from error
    return True


def _room(resources: Mapping[str, float], cpus: float, gpus: float) -> int:
    """How many actors the cluster has room for."""
    shares = [resources.get(name, 0.0) // each for name, each in (("CPU", cpus), ("GPU", gpus)) if each]
    room = int(min(shares, default=1))
    if room < 1:
        has = f"{resources.get('CPU', 0):g} CPUs and {resources.get('GPU', 0):g} GPUs"
        raise ClusterError(f"the cluster has {has}, too few for an actor of {cpus:g} and {gpus:g}; ask for fewer")
    return room


def _check_model(model: str | os.PathLike[str] | None, options: Mapping[str, Any]) -> Path:
    """The model's folder, where its files are such as an actor will load: a model that is none is told before a cluster
    starts, and by one process. Raises `ExtractorError`."""
    files: Sequence[str] = MODEL_FILES
    if options.get("backend") == "onnx":
        files = onnx_files(options.get("dtype", "auto"), PACKAGED_MODEL if model is None else Path(model))
    elif (dtype := options.get("dtype", "auto")) not in DTYPES:
        raise ExtractorError(f"dtype {dtype!r} is unknown; dtypes are {', '.join(DTYPES)}")
    folder = find_model(model, options.get("revision"), files)
    read_tokenizer(folder)
    if "model.safetensors" in files:
        check_weights(folder, read_json(folder / "config.json"))
    return folder


def _root(error: BaseException) -> BaseException:
    """The error that a Ray error wraps."""
    while isinstance(cause := getattr(error, "cause", None), BaseException):
        error = cause
    return error


def _sentence(error: BaseException) -> str:
    """What an error says, in one line: the last of a traceback in its text."""
    line = (str(error).strip() or type(error).__name__).split("\n")[-1]
    return re.sub(r"^[\w.]+Error: ", "", line)


def _plan(inputs: Sequence[str], part_bytes: int, skipped: Skipped | None) -> list[list[_Piece]]:
    """The parts, in the order of the input: files together up to a part's size, larger ones cut where they can be."""
    parts: list[list[_Piece]] = []
    room = 0
    for piece in chain.from_iterable(_pieces(name, part_bytes) for name in expand(inputs, accepts, skipped)):
        size = piece.bytes[1] - piece.bytes[0] if piece.bytes else part_bytes if piece.rows else max(piece.size, 0)
        if not parts or size > room:
            parts.append([])
            room = part_bytes
        parts[-1].append(piece)
        room -= size
    return parts


def _pieces(name: str | Failure, part_bytes: int) -> Iterator[_Piece]:
    if isinstance(name, Failure):
        yield _Piece(name.id, failure=(name.type, name.message))
        return
    if name == "-":
        raise ClusterError("-: standard input cannot be read on other machines; name files or folders")
    try:
        whole = _Piece(name, Path(name).stat().st_size)
        cut = _CUTS.get(Path(name).suffix.lower()) if whole.size > part_bytes else None
        yield from cut(whole, part_bytes) if cut else [whole]
    except OSError as error:
        yield _Piece(name, failure=(type(error).__name__, explain(name, error)))


def _cut_lines(whole: _Piece, part_bytes: int) -> Iterator[_Piece]:
    start, line = 0, 1
    with open(whole.name, "rb") as file:  # noqa: PTH123 (a path as it was given)
        while block := file.read(part_bytes):
            rest = file.readline()
            end = start + len(block) + len(rest)
            yield replace(whole, bytes=(start, end), line=line)
            start, line = end, line + block.count(b"\n") + rest.count(b"\n")


def _cut_rows(whole: _Piece, part_bytes: int) -> Iterator[_Piece]:
    """By the number of rows in the file's metadata; the reader passes over those before, which costs a thousandth of
    extracting from them."""
    parquet = need("pyarrow.parquet", "parquet")
    try:
        total = parquet.read_metadata(whole.name).num_rows
    except (ValueError, OSError):  # damaged: the reader says so
        yield whole
        return
    count = -(-total * part_bytes // whole.size)
    for start in range(0, total, count):
        yield replace(whole, rows=(start, count))


_CUTS = {".jsonl": _cut_lines, ".parquet": _cut_rows}


def _digest(parts: Iterable[Iterable[_Piece]], settings: Sequence[Any]) -> str:
    """Of all that the records depend on."""
    found = hashlib.sha256(json.dumps([__version__, *settings]).encode())
    for part in parts:
        found.update(json.dumps([asdict(piece) for piece in part]).encode())
    return found.hexdigest()


class _Manifest:
    """``manifest.jsonl``: what the run is, and then a line for each finished part, written by the one process that started
    the run. A part without its line is done again."""

    def __init__(self, folder: Path, digest: str, resume: bool) -> None:
        self._path = folder / RAY_MANIFEST
        self.done: dict[int, dict[str, Any]] = {}
        try:
            folder.mkdir(exist_ok=True)
            if self._path.exists():
                self._read(folder, digest, resume)
            elif (folder / MANIFEST).exists():
                raise ClusterError(
                    f"{folder}: holds a run without Ray, which goes on by --resume without --engine ray; or name another "
                    "folder"
                )
            elif any(folder.iterdir()):
                raise ClusterError(f"{folder}: is not empty; name a new folder")
            partial = folder / f".part-manifest-{uuid.uuid4().hex}"  # without a line that was cut off
            rows = [{"run": digest}, *self.done.values()]
            partial.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
            partial.replace(self._path)
        except OSError as error:
            raise ClusterError(f"{folder}: cannot be written ({error.strerror})") from error

    def _read(self, folder: Path, digest: str, resume: bool) -> None:
        if not resume:
            raise ClusterError(
                f"{folder}: holds the parts of a run; add --resume to go on with it, or name a new folder"
            )
        first, *lines = self._path.read_text(encoding="utf-8").split("\n")
        if json.loads(first) != {"run": digest}:
            raise ClusterError(
                f"{folder}: was begun with other inputs, options or renshi; repeat those, or name a new folder"
            )
        for line in lines[:-1]:  # behind the last line end stands nothing, or a line that was cut off
            found = json.loads(line)
            self.done[found["part"]] = found

    def add(self, found: dict[str, Any]) -> None:
        self.done[found["part"]] = found
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(found) + "\n")

    def result(self, messages: tuple[str, ...]) -> Result:
        found = self.done.values()
        return Result(len(found), sum(f["documents"] for f in found), sum(f["failed"] for f in found), messages)


class _Parts:
    """An actor that reads parts and writes their records."""

    def __init__(
        self,
        here: str,
        folder: str,
        model: str | None,
        sums: dict[str, str],
        encoding: str,
        columns: dict[str, Any],
        options: dict[str, Any],
    ) -> None:
        machine = platform.node()
        try:
            os.chdir(here)  # names are as they were given, and documents are called by them
        except OSError as error:
            raise ClusterError(
                f"{here}: is not there on {machine} ({error.strerror}); start from a folder that all machines share"
            ) from None
        self._folder, self._encoding, self._columns = Path(folder), encoding, Columns(**columns)
        if not (self._folder / RAY_MANIFEST).exists():
            raise ClusterError(f"{folder}: is not there on {machine}; name a folder that all machines share")
        self._extractor = Extractor.from_pretrained(model, **options)
        if describe_model(self._extractor)["model"]["files"] != sums:
            raise ClusterError(f"{model or 'the model'}: is another on {machine}; put the same model on all machines")

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        summaries = [
            self._run(int(n), json.loads(pieces)) for n, pieces in zip(batch["part"], batch["pieces"], strict=True)
        ]
        return {"summary": [json.dumps(summary) for summary in summaries]}

    def _run(self, number: int, pieces: list[dict[str, Any]]) -> dict[str, Any]:
        documents = chain.from_iterable(self._read(_Piece(**piece)) for piece in pieces)
        # Whoever else does this part, after a failure that only seemed one, writes a file of its own; the last one stays.
        partial = self._folder / f".part-{number:05d}-{uuid.uuid4().hex}"
        with written_whole(self._folder / f"part-{number:05d}.jsonl", partial) as stream:
            summary = self._write(documents, stream)
        return {"part": number, **summary}

    def _write(self, documents: Iterable[Document | Failure], stream: IO[str]) -> dict[str, Any]:
        writer = JsonlWriter(stream)
        counts: dict[type, int] = {Record: 0, Failure: 0}
        messages: list[str] = []
        for record in self._extractor.extract(documents):
            writer.write(record)
            counts[type(record)] += 1
            if isinstance(record, Failure) and len(messages) < _SHOWN_FAILURES:
                messages.append(record.message)
        return {"documents": sum(counts.values()), "failed": counts[Failure], "messages": messages}

    def _read(self, piece: _Piece) -> Iterator[Document | Failure]:
        if piece.failure:
            yield Failure(piece.name, *piece.failure)
            return
        self._check(piece)
        if piece.bytes:
            try:
                yield from read_json_lines(piece.name, _lines(piece.name, *piece.bytes), self._columns, piece.line)
            except OSError as error:
                yield Failure(piece.name, type(error).__name__, explain(piece.name, error))
            return
        start, count = piece.rows or (0, None)
        yield from islice(read_documents([piece.name], self._encoding, self._columns, start=start), count)

    def _check(self, piece: _Piece) -> None:
        """A file that was there when the run was planned is here, and as it was. Raises `ClusterError`."""
        machine = platform.node()
        try:
            size = Path(piece.name).stat().st_size
        except FileNotFoundError:
            raise ClusterError(
                f"{piece.name}: is not there on {machine}; put the input where all machines see it"
            ) from None
        if size != piece.size:
            raise ClusterError(
                f"{piece.name}: has {size:,} bytes on {machine}, and had {piece.size:,} when the run was planned; leave the "
                "input as it is until the run ends"
            )


def _lines(name: str, start: int, end: int) -> Iterator[bytes]:
    with open(name, "rb") as file:  # noqa: PTH123 (a path as it was given)
        file.seek(start)
        while start < end:
            line = file.readline()
            if not line:
                return
            start += len(line)
            yield line
