"""The command `renshi`. Standard output carries records; standard error carries progress, warnings and errors."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Annotated, Any

import typer

from renshi import __version__
from renshi.records import Document, Failure, Record

__all__ = ["app", "main"]

FAILED, USAGE, INTERRUPTED, BROKEN_PIPE = 1, 2, 130, 141
"""Exit statuses: some document failed; the command was wrong or its output could not be written; ^C; the reader of the
output went away."""

_SHOWN_FAILURES = 20

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Who holds which post where, and what took place, in Chinese institutional news.",
    epilog="Example: renshi extract page.txt -o page.html",
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"renshi {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


@app.command(
    epilog="Exit status: 0 all read; 1 some document failed, the others are written; 2 the command was wrong or OUT could "
    "not be written; 130 ^C; 141 the reader of the output went away.",
    no_args_is_help=False,
)
def extract(
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FILE",
            help='.txt, .docx, .pdf with a text layer, .html (one document each), .jsonl (one {"id", "text"} a line), or - '
            "for standard input. Positions count the record's text: of a .docx, .pdf or .html, what was read out of it.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(
            "--output", "-o", metavar="OUT", help="File to write, whole or not at all. Default: standard output."
        ),
    ] = None,
    format: Annotated[
        str | None,
        typer.Option(
            "--format",
            "-f",
            metavar="NAME",
            help="jsonl, csv, html, text or xlsx. Default: as OUT's suffix says, else jsonl.",
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model", "-m", metavar="NAME", help="Model folder or Hub id. Default: the model in the package."
        ),
    ] = None,
    revision: Annotated[
        str | None, typer.Option(metavar="NAME", help="Branch, tag or commit of the model on the Hub.")
    ] = None,
    device: Annotated[str, typer.Option(metavar="NAME", help="auto, cpu or cuda.")] = "auto",
    dtype: Annotated[
        str, typer.Option(metavar="NAME", help="auto, float32, bfloat16 or float16; auto asks the processor.")
    ] = "auto",
    batch_tokens: Annotated[
        int | None, typer.Option(metavar="N", help="Tokens in one batch. Default: 4096 on a CPU, 65536 on a GPU.")
    ] = None,
    min_score: Annotated[
        float, typer.Option(metavar="X", help="Leave out entities that are less probable than X, 0 to 1.")
    ] = 0.0,
    encoding: Annotated[
        str, typer.Option(metavar="NAME", help="Encoding of .txt files, standard input, and HTML that declares none.")
    ] = "utf-8",
) -> None:
    """Read persons, titles, organizations, events and roles in documents."""
    names = _inputs(files)
    writer_name = _format(format, output)
    _check_output(output, names)
    _check_encoding(encoding)
    try:
        raise typer.Exit(_extract(names, output, writer_name, encoding, _load(
            model, revision=revision, device=device, dtype=dtype, batch_tokens=batch_tokens, min_score=min_score
        )))  # fmt: skip
    except KeyboardInterrupt:
        typer.echo("renshi: interrupted" + (f"; {output} was not written" if output else ""), err=True)
        raise typer.Exit(INTERRUPTED) from None
    except BrokenPipeError:
        _drop_output()  # whoever read it has enough (| head)
        raise typer.Exit(BROKEN_PIPE) from None


@app.command(epilog=r'Example: renshi serve --port 8000. Needs: pip install "renshi\[app]".', no_args_is_help=False)
def serve(
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Where to listen. 0.0.0.0: the whole network may use it.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="N", min=1, max=65535)] = 7860,
    model: Annotated[
        str | None,
        typer.Option(
            "--model", "-m", metavar="NAME", help="Model folder or Hub id. Default: the model in the package."
        ),
    ] = None,
    revision: Annotated[
        str | None, typer.Option(metavar="NAME", help="Branch, tag or commit of the model on the Hub.")
    ] = None,
    device: Annotated[str, typer.Option(metavar="NAME", help="auto, cpu or cuda.")] = "auto",
    dtype: Annotated[str, typer.Option(metavar="NAME", help="auto, float32, bfloat16 or float16.")] = "auto",
    max_mb: Annotated[
        float, typer.Option(metavar="X", min=0.001, help="Megabytes that a file or a pasted text may have.")
    ] = 20,
) -> None:
    """A page in the browser: paste a text or drop files, look at the result, download it. Nothing leaves this machine."""
    if find_spec("gradio") is None:
        raise _fail('renshi serve needs the package gradio: pip install "renshi[app]"')
    extractor = _load(model, revision=revision, device=device, dtype=dtype)
    from renshi.app import serve as run

    def started(url: str) -> None:
        typer.echo(f"renshi: {url} (stop with ^C)", err=True)

    try:
        run(extractor, host=host, port=port, max_mb=max_mb, started=started)
    except OSError as error:
        raise _fail(f"{host}:{port} cannot be listened on ({error}); choose another with --host and --port") from error
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None


def main() -> None:
    """Entry point of the console script."""
    app(prog_name="renshi")


def _fail(message: str) -> typer.Exit:
    typer.echo(f"renshi: {message}", err=True)
    return typer.Exit(USAGE)


def _drop_output() -> None:
    """Sends what standard output still holds nowhere: Python would complain once more when it flushes at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _inputs(files: list[str] | None) -> list[str]:
    if files:
        return files
    raise _fail("no file was given; name .txt or .jsonl files, or - for standard input: renshi extract page.txt")


def _format(name: str | None, output: str | None) -> str:
    from renshi.writers import FORMATS

    chosen = name or (Path(output).suffix.lower().lstrip(".") if output else "jsonl")
    if chosen in FORMATS:
        package = FORMATS[chosen].package
        if package and find_spec(package) is None:
            raise _fail(f'format {chosen} needs the package {package}: pip install "renshi[app]"')
        return chosen
    if name:
        raise _fail(f"format {name!r} is unknown; formats are {', '.join(FORMATS)}")
    raise _fail(f"{output}: its suffix names no format; formats are {', '.join(FORMATS)}: say which with --format")


def _check_output(output: str | None, names: list[str]) -> None:
    if output is None:
        return
    path = Path(output)
    try:
        if path.is_dir():
            raise _fail(f"{output}: is a folder; name a file in it, such as {path.as_posix()}/records.jsonl")
        if not path.parent.is_dir():
            raise _fail(f"{output}: there is no folder {path.parent}; make it first")
        if path.exists() and not path.is_file():  # the renaming at the end would put a file in the device's place
            raise _fail(f"{output}: is a device or a pipe; send standard output there: > {output}")
    except OSError as error:
        raise _fail(f"{output}: cannot be written ({error.strerror})") from error
    if any(name != "-" and _same_file(path, name) for name in names):
        raise _fail(f"{output}: is one of the inputs; write to another file")


def _same_file(path: Path, name: str) -> bool:
    try:
        return path.samefile(name)
    except OSError:  # one of them is not there; the reading of the inputs will tell
        return False


def _check_encoding(encoding: str) -> None:
    try:
        "".encode(encoding)
    except (LookupError, UnicodeError):  # the encoding "undefined" raises the latter
        raise _fail(f"encoding {encoding!r} is unknown; such as utf-8, gb18030, big5") from None


def _load(model: str | None, **options: Any) -> Any:
    from renshi.extractor import Extractor, ExtractorError

    try:
        return Extractor.from_pretrained(model, **options)
    except ExtractorError as error:
        raise _fail(str(error)) from error


def _extract(names: list[str], output: str | None, writer_name: str, encoding: str, extractor: Any) -> int:
    from renshi.documents import read_documents
    from renshi.writers import FORMATS

    counts: dict[type, int] = {Record: 0, Failure: 0}
    with _open_output(output, writer_name) as stream:
        writer = FORMATS[writer_name](stream)
        documents = read_documents(names, encoding)
        for record in extractor.extract(_progress(documents) if _bar_fits(stream) else documents):
            writer.write(record)
            if output is None:
                stream.flush()
            counts[type(record)] += 1
            if isinstance(record, Failure) and counts[Failure] <= _SHOWN_FAILURES:
                typer.echo(f"renshi: {record.message}", err=True)
        writer.end()
        stream.flush()
    if counts[Failure]:
        more = counts[Failure] - _SHOWN_FAILURES
        shown = f" ({more} not shown here)" if more > 0 else ""
        others = "; the others were written" if counts[Record] else ""
        typer.echo(f"renshi: {counts[Failure]} of {sum(counts.values())} documents failed{shown}{others}", err=True)
    return FAILED if counts[Failure] else 0


@contextmanager
def _open_output(output: str | None, writer_name: str) -> Iterator[IO[Any]]:
    """Standard output, or a temporary file that becomes `output` when all is written and vanishes otherwise."""
    from renshi.writers import FORMATS

    encoding = FORMATS[writer_name].encoding
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
        mask = os.umask(0)
        os.umask(mask)
        partial.chmod(0o666 & ~mask)  # mkstemp's file is for its owner alone; a file made by `>` is not
        partial.replace(path)
    except BaseException as error:
        partial.unlink(missing_ok=True)
        if isinstance(error, OSError) and not isinstance(error, BrokenPipeError):
            raise _fail(f"{output}: was not written ({error.strerror or error})") from error
        raise


def _bar_fits(stream: IO[Any]) -> bool:
    """Whether standard error is a terminal, and one into which the records do not go too."""
    return sys.stderr is not None and sys.stderr.isatty() and not stream.isatty()


def _progress(documents: Iterable[Document | Failure]) -> Iterator[Document | Failure]:
    """The documents, counted on standard error."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.completed:,} documents read"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        yield from progress.track(documents, total=None)


if __name__ == "__main__":
    main()
