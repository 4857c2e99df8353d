"""The command `renshi`. Standard output carries records; standard error carries progress, warnings and errors."""

from __future__ import annotations

import errno
import functools
import math
import os
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any

import typer

from renshi.inputs import Skipped, is_pattern, takes
from renshi.records import Document, Failure, Record
from renshi.streams import PACKINGS

if TYPE_CHECKING:
    from renshi.extractor import Extractor

__all__ = ["app", "main"]

FAILED, USAGE, FAULT, INTERRUPTED, BROKEN_PIPE = 1, 2, 70, 130, 141
"""Exit statuses: some document failed; the command was wrong or its output could not be written; a fault of renshi itself
(EX_SOFTWARE); ^C; the reader of the output went away."""

_SIGNAL = 128
"""Ended by a signal, the status is this and the signal's number, as shells have it: 143 for SIGTERM, 129 for SIGHUP."""

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
_SHOWN_FAILURES = 20

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Who holds which post where, and what took place, in Chinese institutional news.",
    epilog="Example: renshi extract page.txt -o page.html",
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from renshi.info import versions

        found = versions()
        typer.echo(f"renshi {found.pop('renshi')}, model renshi-default")
        typer.echo(", ".join(f"{name} {number}" for name, number in found.items()))
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the versions and exit.")
    ] = False,
) -> None:
    pass


@dataclass(slots=True)
class _Manners:
    """How talkative a command is on standard error: set by the options that all commands share."""

    quiet: bool = False
    verbose: bool = False
    debug: bool = False


_manners = _Manners()


def _set(name: str) -> Callable[[bool], bool]:
    def callback(value: bool) -> bool:
        setattr(_manners, name, value)
        return value

    return callback


Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", callback=_set("quiet"), help="Say nothing but errors on standard error.")
]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", callback=_set("verbose"), help="Say which model runs where, and how fast.")
]
VerboseWithoutModel = Annotated[
    bool, typer.Option("--verbose", "-v", callback=_set("verbose"), help="Say how much was carried over, and how fast.")
]
Debug = Annotated[bool, typer.Option("--debug", callback=_set("debug"), help="Show the traceback of an error.")]
ModelName = Annotated[
    str | None,
    typer.Option("--model", "-m", metavar="NAME", help="Model folder or Hub id. Default: the model in the package."),
]
Revision = Annotated[str | None, typer.Option(metavar="NAME", help="Branch, tag or commit of the model on the Hub.")]
TextColumn = Annotated[
    str, typer.Option(metavar="NAME", help="Column of a table, or key of a JSON line, that holds the text.")
]
IdColumn = Annotated[
    str | None, typer.Option(metavar="NAME", help="The same for the document's id. Default: id, if there is one.")
]
Device = Annotated[str, typer.Option(metavar="NAME", help="auto, cpu or cuda.")]


def _finite(value: float | None) -> float | None:
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"{value} is no size; give a number, such as 1")
    return value


@app.command(
    epilog="Exit status: 0 all read; 1 some document failed, the others are written; 2 the command was wrong or OUT could "
    "not be written; 70 a fault of renshi; 129 the terminal went away; 130 ^C; 141 the reader of the output went away; "
    "143 SIGTERM.",
    no_args_is_help=False,
)
def extract(
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="INPUT",
            help='.txt, .docx, .pdf with a text layer, .html (one document each), .jsonl (one {"id", "text"} a line), .csv, '
            ".tsv, .parquet (one a row), a folder of them, a pattern in quotation marks such as 'pages/**/*.txt', or - for "
            "standard input; .gz and .zst are unpacked. Positions count the record's text: of a .docx, .pdf or .html, what "
            "was read out of it.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="OUT",
            help="File to write, whole or not at all; or a folder (ends with / or is there), which gets parts: "
            "part-00000.jsonl … and manifest.json. Default: standard output.",
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in the folder OUT, if it was broken off.")
    ] = False,
    part_documents: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Documents in one part of a folder. Default: 10000.", show_default=False),
    ] = None,
    format: Annotated[
        str | None,
        typer.Option(
            "--format",
            "-f",
            metavar="NAME",
            help="jsonl, csv, html, text or xlsx; or to correct it elsewhere labelstudio, doccano, brat, conll, docbin or "
            "markup. Default: as OUT's suffix says, else jsonl.",
        ),
    ] = None,
    model: ModelName = None,
    revision: Revision = None,
    backend: Annotated[str, typer.Option(metavar="NAME", help="torch, or onnx, which needs no torch.")] = "torch",
    device: Device = "auto",
    dtype: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="auto, float32, bfloat16 or float16; auto asks the processor. Backend onnx: float32 or int8.",
        ),
    ] = "auto",
    batch_tokens: Annotated[
        int | None, typer.Option(metavar="N", help="Tokens in one batch. Default: 4096 on a CPU, 65536 on a GPU.")
    ] = None,
    min_score: Annotated[
        float | None,
        typer.Option(
            metavar="X",
            help="Leave out entities that are less probably right than X, 0 to 1. Default: the model's own "
            "least score, from which those in roles are exempt.",
        ),
    ] = None,
    encoding: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Encoding of .txt, .csv and .tsv files, standard input, and HTML that declares none: utf-8, gb18030, "
            "big5 … auto: UTF-8, or GB18030, Big5 or UTF-16 where that is sure; else the file is refused.",
        ),
    ] = "auto",
    text_column: TextColumn = "text",
    id_column: IdColumn = None,
    engine: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help='local, or ray: parts of the input on many machines, into the folder OUT (pip install "renshi\\[ray]").',
        ),
    ] = "local",
    address: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS", help="Of the Ray cluster. Default: RAY_ADDRESS; else one of this machine for this run."
        ),
    ] = None,
    actors: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Models in the Ray cluster. Default: as many as it has room for."),
    ] = None,
    actor_cpus: Annotated[
        float | None,
        typer.Option(metavar="X", min=0, callback=_finite, help="Cores of one of them, its threads. Default: 1."),
    ] = None,
    actor_gpus: Annotated[
        float | None, typer.Option(metavar="X", min=0, callback=_finite, help="GPUs of one of them. Default: 0.")
    ] = None,
    part_mb: Annotated[
        float | None,
        typer.Option(
            metavar="X",
            min=0.001,
            callback=_finite,
            help="Engine ray: MiB of input in one part of the folder. Default: 16.",
        ),
    ] = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
    debug: Debug = False,
) -> None:
    """Read persons, titles, organizations, events and roles in documents."""
    names = _inputs(files)
    _check_names([output])
    options: dict[str, Any] = {"revision": revision, "backend": backend, "device": device, "dtype": dtype}
    options |= {"batch_tokens": batch_tokens, "min_score": min_score}
    reading = _Reading(names, encoding, text_column, id_column)
    of_ray = {
        "address": address,
        "actors": actors,
        "actor-cpus": actor_cpus,
        "actor-gpus": actor_gpus,
        "part-mb": part_mb,
    }
    if _is_ray(engine, output, format, of_ray):
        if part_documents:
            raise _fail("--part-documents goes with --engine local; the parts of ray are measured by --part-mb")
        _check_encoding(encoding)
        _check_not_an_input(Path(str(output)), names)
        given = {"cpus": actor_cpus, "gpus": actor_gpus, "part_bytes": part_mb and int(part_mb * (1 << 20))}
        cluster: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        cluster |= {"address": address, "actors": actors, "resume": resume}
        with _ending(output, in_parts=True):
            raise typer.Exit(_extract_on_ray(reading, str(output), model, **cluster, **options))
    _check_encoding(encoding)
    in_parts = _goes_in_parts(output, format)
    if not in_parts:
        if resume or part_documents:
            raise _fail(
                f"{'--resume' if resume else '--part-documents'} goes with a folder, which gets parts: -o records/"
            )
        writer_name = _format(format, output)
        _check_output(output, names, writer_name)

    with _ending(output, in_parts):
        if in_parts:
            load = functools.partial(_load, model, **options)
            raise typer.Exit(_write_parts(load, reading, str(output), resume, part_documents))
        extractor = _load(model, **options)
        documents, skipped = reading.documents(output)
        raise typer.Exit(_write_all(extractor.extract(documents), output, writer_name, skipped=skipped))


@app.command(
    epilog="Exit status: 0 all carried over; 1 some of the input was wrong, the rest is written; 2 the command was wrong or "
    "OUTPUT could not be written; 130 ^C; 141 the reader of the output went away.",
)
def convert(
    source: Annotated[str, typer.Argument(metavar="INPUT", help="File or folder of annotated documents.")],
    target: Annotated[
        str,
        typer.Argument(
            metavar="OUTPUT", help="File or new folder to write, whole or not at all; - for standard output."
        ),
    ],
    from_format: Annotated[
        str | None, typer.Option("--from", metavar="FORMAT", help="Of INPUT. Default: as its suffix or content says.")
    ] = None,
    to_format: Annotated[
        str | None, typer.Option("--to", metavar="FORMAT", help="Of OUTPUT. Default: as its suffix says.")
    ] = None,
    quiet: Quiet = False,
    verbose: VerboseWithoutModel = False,
    debug: Debug = False,
) -> None:
    """Turn annotated documents into another tool's format: markup, records, labelstudio, doccano, brat, conll, docbin; or,
    to look at them, into html, csv, xlsx or text.

    What the other format cannot hold is counted and told.
    """
    from renshi.interchange import Report, guess_format, read

    _check_names([source, target])
    output = None if target == "-" else target
    with _ending(output):
        report = Report()
        items = read(source, from_format or guess_format(source, "--from"), report)
        writer_name = to_format or _to_look_at(target) or guess_format(target, "--to")
        _check_output(output, [source], writer_name)
        raise typer.Exit(_write_all(items, output, writer_name, report))


@app.command(no_args_is_help=False)
def suggest(
    files: Annotated[
        list[str] | None,
        typer.Argument(metavar="INPUT", help="Files, folders or patterns, as for extract.", show_default=False),
    ] = None,
    number: Annotated[int, typer.Option("--number", "-n", metavar="N", min=1, help="How many to suggest.")] = 20,
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="OUT", help="File or new folder. Default: standard output.")
    ] = None,
    format: Annotated[
        str | None,
        typer.Option(
            "--format",
            "-f",
            metavar="NAME",
            help="table or jsonl: the list; or, for its documents as the model reads them, to correct, a format of extract. "
            "Default: as OUT's suffix says, else table.",
        ),
    ] = None,
    model: Annotated[str | None, typer.Option("--model", "-m", metavar="NAME", help="Model folder or Hub id.")] = None,
    device: Device = "auto",
    encoding: Annotated[str, typer.Option(metavar="NAME", help="Encoding of .txt files, as for extract.")] = "auto",
    text_column: TextColumn = "text",
    id_column: IdColumn = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
    debug: Debug = False,
) -> None:
    """Say which documents to annotate next: those the model is least sure of, no two alike."""
    from renshi import suggest as suggesting

    names = _inputs(files)
    _check_names([output])
    suffix = _suffix(output or "")
    format = format or ("table" if suffix in ("", "txt") else suffix)
    writer_name = "text" if format in suggesting.FORMATS else _format(format, output, also=suggesting.FORMATS)
    _check_output(output, names, writer_name)
    _check_encoding(encoding)
    with _ending(output):
        told = _Told()
        documents, skipped = _Reading(names, encoding, text_column, id_column).documents(output)
        suggestions = suggesting.suggest(_load(model, device=device), documents, number, told)
        if told.failures > _SHOWN_FAILURES:
            hidden = told.failures - _SHOWN_FAILURES
            typer.echo(f"renshi: {told.failures} documents failed ({hidden} not shown here)", err=True)
        if format in suggesting.FORMATS:
            with _open_output(output, writer_name) as stream:
                stream.writelines(suggesting.FORMATS[format](suggestions))
                stream.flush()
            status = 0
            _say_skipped(skipped)
        else:
            records = (suggestion.record for suggestion in suggestions)
            status = _write_all(records, output, writer_name, skipped=skipped)
        raise typer.Exit(FAILED if told.failures else status)


def main() -> None:
    """Entry point of the console script."""
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure:  # help, versions and the like; records say for themselves what they are written in
        reconfigure(errors="backslashreplace")
    try:
        app(prog_name="renshi")
    except Exception as error:
        if _manners.debug:
            raise
        if isinstance(error, OSError) and error.errno in _NO_ROOM:
            _drop_output()
            typer.echo(f"renshi: standard output could not be written ({error.strerror})", err=True)
            raise SystemExit(USAGE) from None
        message = (
            f"renshi: {type(error).__name__}: {error}\nrenshi: this is a fault of renshi; --debug shows where it arose"
        )
        typer.echo(message, err=True)
        raise SystemExit(FAULT) from None


class _Ended(KeyboardInterrupt):
    """A signal that asks the process to end: it is ended as by ^C, half-written files removed."""

    def __init__(self, number: int) -> None:
        self.number = number


@contextmanager
def _signals() -> Iterator[None]:
    """SIGTERM and SIGHUP raise `_Ended`, unless somebody handles or ignores them already (nohup)."""

    def end(number: int, _: object) -> None:
        raise _Ended(number)

    before = {}
    if threading.current_thread() is threading.main_thread():
        for number in (getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)):
            if signal.getsignal(number) is signal.SIG_DFL:
                before[number] = signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _ending(output: str | None, in_parts: bool = False) -> Iterator[None]:
    """What a command says, and with what status it ends, when it is broken off or its formats cannot be used."""
    from renshi.interchange.base import InterchangeError
    from renshi.model_folder import ExtractorError

    try:
        with _signals():
            yield
    except (ExtractorError, InterchangeError) as error:
        raise _fail(str(error)) from error
    except KeyboardInterrupt as error:
        rest = f"; what is finished in {output} stays, and --resume goes on with it" if in_parts else ""
        rest = rest or (f"; {output} was not written" if output else "")
        ended = isinstance(error, _Ended)
        typer.echo(f"renshi: {'asked to end' if ended else 'interrupted'}{rest}", err=True)
        raise typer.Exit(_SIGNAL + error.number if isinstance(error, _Ended) else INTERRUPTED) from None
    except BrokenPipeError:
        _drop_output()  # whoever read it has enough (| head)
        raise typer.Exit(BROKEN_PIPE) from None


@app.command(no_args_is_help=False)
def info(
    model: ModelName = None,
    revision: Revision = None,
    backend: Annotated[str, typer.Option(metavar="NAME", help="torch, or onnx.")] = "torch",
    device: Device = "auto",
    dtype: Annotated[str, typer.Option(metavar="NAME", help="auto, float32, bfloat16 or float16.")] = "auto",
    debug: Debug = False,
) -> None:
    """Show the model, its labels, and the device and precision that would be chosen, and why."""
    from renshi.info import describe

    with _ending(None):
        for what, how in describe(_load(model, revision=revision, backend=backend, device=device, dtype=dtype)):
            typer.echo(f"{what:<10} {how}")


@app.command(epilog=r'Example: renshi serve --port 8000. Needs: pip install "renshi\[app]".', no_args_is_help=False)
def serve(
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Where to listen. 0.0.0.0: the whole network may use it.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="N", min=1, max=65535)] = 7860,
    model: ModelName = None,
    revision: Revision = None,
    device: Device = "auto",
    dtype: Annotated[str, typer.Option(metavar="NAME", help="auto, float32, bfloat16 or float16.")] = "auto",
    max_mb: Annotated[
        float,
        typer.Option(metavar="X", min=0.001, callback=_finite, help="Megabytes that a file or a pasted text may have."),
    ] = 20,
    quiet: Quiet = False,
    verbose: Verbose = False,
    debug: Debug = False,
) -> None:
    """A page in the browser: paste a text or drop files, look at the result, download it. Nothing leaves this machine."""
    if ":" in host:
        raise _fail(f"{host}: Gradio listens on no IPv6 address; name an IPv4 one, such as 127.0.0.1 or 0.0.0.0")
    if find_spec("gradio") is None:
        raise _fail('renshi serve needs the package gradio: pip install "renshi[app]"')
    extractor = _load(model, revision=revision, device=device, dtype=dtype)
    from renshi.app import serve as run

    def started(url: str) -> None:
        typer.echo(f"renshi: {url} (stop with ^C)", err=True)

    try:
        run(extractor, host=host, port=port, max_mb=max_mb, started=started)
    except OSError as error:  # Gradio's words are about a range of ports and a variable of its own
        raise _fail(
            f"{host}:{port} cannot be listened on: another program does, or it is no address of this machine; choose "
            "another with --host and --port"
        ) from error
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None


def _fail(message: str) -> typer.Exit:
    if _manners.debug and sys.exc_info()[1]:
        traceback.print_exc()
    typer.echo(f"renshi: {message}", err=True)
    return typer.Exit(USAGE)


def _drop_output() -> None:
    """Sends what standard output still holds nowhere: Python would complain once more when it flushes at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _inputs(files: list[str] | None) -> list[str]:
    if files:
        _check_names(files)
        if files.count("-") > 1:
            raise _fail("- is there twice, and standard input can be read once; name it once")
        return files
    raise _fail("no file was given; name files or folders, or - for standard input: renshi extract page.txt")


def _check_names(names: Iterable[str | None]) -> None:
    if "" in names:
        raise _fail(
            "a name is empty, as where a variable of the shell is not set; name a file or folder, or leave it out"
        )


def _suffix(name: str) -> str:
    """Of a file's name, in small letters and without its dot; empty where there is none."""
    return Path(name).suffix.lower().lstrip(".")


def _to_look_at(target: str) -> str | None:
    """The format that is written only, if a file's suffix tells one."""
    from renshi.writers import FORMATS

    suffix = _suffix(target)
    return suffix if suffix in FORMATS and suffix != "jsonl" else None


def _format(name: str | None, output: str | None, also: Iterable[str] = ()) -> str:
    from renshi.interchange import FORMATS as INTERCHANGE
    from renshi.writers import FORMATS

    formats = [*FORMATS, *(format for format in INTERCHANGE if format != "records")]  # records are jsonl
    known = dict.fromkeys([*also, *formats])
    chosen = name or (_suffix(output) if output else "jsonl")
    if chosen in formats:
        package = FORMATS[chosen].package if chosen in FORMATS else None
        if package and find_spec(package) is None:
            raise _fail(f'format {chosen} needs the package {package}: pip install "renshi[app]"')
        return chosen
    if name:
        raise _fail(f"format {name!r} is unknown; formats are {', '.join(known)}: say which with --format")
    raise _fail(f"{output}: its suffix names no format; formats are {', '.join(known)}: say which with --format")


def _is_folder(writer_name: str) -> bool:
    from renshi.interchange import FORMATS as INTERCHANGE

    return writer_name in INTERCHANGE and INTERCHANGE[writer_name].folder


def _check_output(output: str | None, names: list[str], writer_name: str) -> None:
    if _is_folder(writer_name):
        from renshi.interchange.folder import check_folder

        if output is None:
            raise _fail(f"{writer_name} is a folder, which standard output cannot hold; name a new one to write")
        check_folder(output)
        return
    if output is None:
        return
    path = Path(output)
    if path.suffix.lower() in PACKINGS:
        raise _fail(f"{output}: nothing is packed here; write {path.stem}, and pack it afterwards")
    try:
        if path.is_dir():
            raise _fail(f"{output}: is a folder; name a file in it, such as {path.as_posix()}/records.jsonl")
        if not path.parent.is_dir():
            raise _fail(f"{output}: there is no folder {path.parent}; make it first")
        if path.exists() and not path.is_file():  # the renaming at the end would put a file in the device's place
            raise _fail(f"{output}: is a device or a pipe; send standard output there: > {output}")
    except OSError as error:
        raise _fail(f"{output}: cannot be written ({error.strerror})") from error
    _check_not_an_input(path, names)


def _check_not_an_input(path: Path, names: list[str]) -> None:
    """What is written must not be read, by this command or by the same one once more."""
    for name in names:
        if name != "-" and takes(name, path):
            several = Path(name).is_dir() or is_pattern(name)
            wrong = (
                f"is in the input {name}; write elsewhere" if several else "is one of the inputs; write to another file"
            )
            raise _fail(f"{path}: {wrong}")


def _check_encoding(encoding: str) -> None:
    try:
        "".encode("utf-8" if encoding.lower() == "auto" else encoding)
    except (LookupError, UnicodeError):  # the encoding "undefined" raises the latter
        raise _fail(f"encoding {encoding!r} is unknown; such as utf-8, gb18030, big5") from None


def _is_ray(engine: str, output: str | None, format: str | None, of_ray: Mapping[str, Any]) -> bool:
    """Whether a Ray cluster does the work; what does not go with the engine is refused."""
    if engine not in ("local", "ray"):
        raise _fail(f"engine {engine!r} is unknown; engines are local, ray")
    if engine == "local":
        for name, value in of_ray.items():
            if value is not None:
                raise _fail(f"--{name} goes with --engine ray")
        return False
    if output is None or (Path(output).exists() and not Path(output).is_dir()):
        raise _fail("engine ray writes parts into a folder: -o records/")
    if format not in (None, "jsonl"):
        raise _fail(f"engine ray writes jsonl, not {format}; renshi convert makes other formats of it")
    return True


def _extract_on_ray(reading: _Reading, output: str, model: str | None, **options: Any) -> int:
    """The exit status."""
    from renshi.documents import Columns
    from renshi.extractor import ExtractorError
    from renshi.integrations.ray import ClusterError, extract_files

    skipped, columns = Skipped(), Columns(reading.text_column, reading.id_column)
    options |= {"encoding": reading.encoding, "columns": columns, "skipped": skipped}
    try:
        result = extract_files(reading.names, output, model, **options)
    except (ClusterError, ExtractorError, ImportError) as error:
        raise _fail(str(error)) from error
    for message in result.messages:
        typer.echo(f"renshi: {message}", err=True)
    _say_skipped(skipped)
    if _manners.verbose and not _manners.quiet:
        typer.echo(f"renshi: {result.documents - result.failed:,} records in {result.parts:,} parts", err=True)
    if result.failed:
        _say_failed(result.failed, result.documents, len(result.messages))
    return FAILED if result.failed else 0


def _load(model: str | None, **options: Any) -> Extractor:
    from renshi.extractor import Extractor, ExtractorError

    _check_names([model])
    try:
        extractor = Extractor.from_pretrained(model, **options)
    except ExtractorError as error:
        raise _fail(str(error)) from error
    if _manners.verbose and not _manners.quiet:
        from renshi.info import describe

        for what, how in describe(extractor):
            typer.echo(f"renshi: {what}: {how}", err=True)
    return extractor


@dataclass(frozen=True, slots=True)
class _Reading:
    """What is read, and how."""

    names: list[str]
    encoding: str
    text_column: str
    id_column: str | None

    def documents(self, output: str | None, start: int = 0) -> tuple[Iterator[Document | Failure], Skipped]:
        """The documents behind the first `start`, and the count of what is no input, complete when they are read."""
        from renshi.documents import Columns, read_documents

        skipped = Skipped()
        documents = read_documents(self.names, self.encoding, Columns(self.text_column, self.id_column), skipped, start)
        return (_progress(documents) if _bar_fits(output) else documents), skipped


def _say_skipped(skipped: Skipped) -> None:
    from renshi.documents import ACCEPTED

    if skipped.counts and not _manners.quiet:
        typer.echo(f"renshi: {skipped.sentence(ACCEPTED)}", err=True)


def _write_all(
    items: Iterable[Record | Failure],
    output: str | None,
    writer_name: str,
    report: Any = None,
    skipped: Skipped | None = None,
) -> int:
    """The exit status. `report` is what a reader of `items` writes its complaints in, if there is one."""
    from renshi.interchange.base import Report

    report = report or Report()
    told = _Told()
    with _open_writer(output, writer_name, report) as (writer, flush):
        for item in items:
            written = writer.write(item) or item
            if output is None:
                flush()
            told(written)
        writer.end()
        flush()
    if not _manners.quiet:
        for sentence in report.sentences():
            typer.echo(f"renshi: {sentence}", err=True)
    if skipped:
        _say_skipped(skipped)
    told.sum_up()
    return FAILED if told.failures or report.wrong else 0


class _Told:
    """Counts what is written, and says on standard error which documents failed."""

    def __init__(self, records: int = 0, failures: int = 0) -> None:
        """The counts that it begins with."""
        self.records, self.failures = records, failures
        self._before = (records, failures)
        self._characters, self._started = 0, time.monotonic()

    def __call__(self, item: Record | Failure) -> None:
        if isinstance(item, Failure):
            self.failures += 1
            if self.failures - self._before[1] <= _SHOWN_FAILURES:
                typer.echo(f"renshi: {item.message}", err=True)
        else:
            self.records += 1
            self._characters += len(item.text)

    def sum_up(self) -> None:
        if _manners.verbose and not _manners.quiet:
            seconds = max(time.monotonic() - self._started, 1e-9)
            speed = f"{self._characters:,} characters in {seconds:.1f} s, {self._characters / seconds:,.0f} a second"
            typer.echo(f"renshi: {self.records - self._before[0]:,} records, {speed}", err=True)
        if self.failures:
            shown = min(self.failures - self._before[1], _SHOWN_FAILURES)
            others = "; the others were written" if self.records else ""
            _say_failed(self.failures, self.failures + self.records, shown, others)


def _say_failed(failed: int, total: int, shown: int, others: str = "") -> None:
    more = f" ({failed - shown} not shown here)" if failed > shown else ""
    typer.echo(f"renshi: {failed} of {total} documents failed{more}{others}", err=True)


def _goes_in_parts(output: str | None, format: str | None) -> bool:
    """Whether OUT is a folder for parts, rather than a file or a folder that its format makes."""
    from renshi.writers import FORMATS

    if output is None or not (output.endswith(("/", os.sep)) or os.path.isdir(output)):  # noqa: PTH112 (a name too long)
        return False
    chosen = format or _suffix(output)
    if _is_folder(chosen):
        return False
    if format not in (None, "jsonl") or (chosen in FORMATS and chosen != "jsonl"):
        if Path(output).is_dir():
            return False  # the check of OUT will tell
        raise _fail(f"{output}: a folder gets parts, which are jsonl; to write {chosen}, name a file")
    return True


def _write_parts(
    load: Callable[[], Extractor], reading: _Reading, output: str, resume: bool, part_documents: int | None
) -> int:
    """The exit status of a run into a folder; the model is loaded when the folder turns out to be free for it."""
    from renshi.parts import PART_DOCUMENTS, PartsError, describe_inputs, describe_model, open_run

    size = part_documents or PART_DOCUMENTS
    for name in ("part-00000.jsonl", "manifest.json"):
        _check_not_an_input(Path(output) / name, reading.names)
    options = {
        "encoding": reading.encoding,
        "text_column": reading.text_column,
        "id_column": reading.id_column,
        "part_documents": size,
    }
    begun = False
    try:
        with open_run(output, resume) as run:
            begun = True
            inputs = describe_inputs(reading.names)
            extractor = load()
            run.begin({"inputs": inputs, "options": options, **describe_model(extractor)})
            if resume and not _manners.quiet:
                again = f"; {run.again} is gone or altered, and is made again with those behind it" if run.again else ""
                state = "are finished, nothing is left to do" if run.finished else "were finished"
                typer.echo(
                    f"renshi: {output}: {run.documents:,} documents in {len(run.parts):,} parts {state}{again}",
                    err=True,
                )
            told = _Told(run.documents - run.failures, run.failures)
            if not run.finished:
                documents, skipped = reading.documents(output, run.documents)
                run.write(extractor.extract, documents, size, told)
                run.finish(reading.names)
                _say_skipped(skipped)
            told.sum_up()
            return FAILED if told.failures else 0
    except PartsError as error:
        raise _fail(str(error)) from error
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        rest = "; what is finished there stays, and --resume goes on with it" if begun else "; name another folder"
        raise _fail(f"{output}: could not be written ({error.strerror or error}){rest}") from error


@contextmanager
def _open_writer(output: str | None, name: str, report: Any) -> Iterator[tuple[Any, Callable[[], None]]]:
    """A writer of the format `name` and what flushes it, on standard output, or on a file or folder written whole or
    not at all."""
    from renshi.interchange import FittedWriter
    from renshi.interchange.folder import open_folder
    from renshi.writers import FORMATS

    if output is not None and _is_folder(name):
        try:
            with open_folder(output) as folder:
                yield FittedWriter(name, folder, report), lambda: None
        except OSError as error:
            raise _fail(f"{output}: was not written ({error.strerror or error})") from error
        return
    with _open_output(output, name) as stream:
        yield FORMATS[name](stream) if name in FORMATS else FittedWriter(name, stream, report), stream.flush


@contextmanager
def _open_output(output: str | None, writer_name: str) -> Iterator[IO[Any]]:
    """Standard output, or a temporary file that becomes `output` when all is written and vanishes otherwise."""
    from renshi.interchange.folder import umask
    from renshi.writers import FORMATS

    encoding = FORMATS[writer_name].encoding if writer_name in FORMATS else "utf-8"
    if output is None:
        if sys.stdout is None:  # `>&-`
            raise _fail("standard output is closed; name a file with --output")
        reconfigure = getattr(sys.stdout, "reconfigure", None)
        if encoding and reconfigure:
            # Whatever the locale says: the bytes are those of a file, and line ends are the writer's own.
            reconfigure(encoding=encoding, newline="")
        try:
            yield sys.stdout if encoding else sys.stdout.buffer
        except BrokenPipeError:
            raise
        except OSError as error:
            _drop_output()
            raise _fail(f"standard output could not be written ({error.strerror or error})") from error
        return
    try:
        path = Path(output).resolve()  # a link stays, and what it points to is replaced
        # Not named after `path`, which may be as long as names can be.
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".renshi-")
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle, before Python 3.13
        raise _fail(f"{output}: cannot be written ({getattr(error, 'strerror', None) or error})") from error
    partial = Path(name)
    try:
        mode, newline = ("w", "") if encoding else ("wb", None)
        with os.fdopen(handle, mode, encoding=encoding, newline=newline) as stream:
            yield stream
        partial.chmod(0o666 & ~umask())  # mkstemp's file is for its owner alone; a file made by `>` is not
        partial.replace(path)
    except BaseException as error:
        partial.unlink(missing_ok=True)
        if isinstance(error, OSError) and not isinstance(error, BrokenPipeError):
            raise _fail(f"{output}: was not written ({error.strerror or error})") from error
        raise


def _bar_fits(output: str | None) -> bool:
    """Whether standard error is a terminal, and one into which the records do not go too."""
    shares = output is None and sys.stdout is not None and sys.stdout.isatty()
    return sys.stderr is not None and sys.stderr.isatty() and not shares and not _manners.quiet


def _progress(documents: Iterable[Document | Failure]) -> Iterator[Document | Failure]:
    """The documents, counted on standard error."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.completed:,} documents read"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        yield from progress.track(documents, total=None)


if __name__ == "__main__":
    main()
