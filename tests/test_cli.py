"""The command: in real processes where streams, signals and imports are the matter, else in this one; with a tiny model,
or with an extractor that finds nothing where only reading and writing are tested."""

from __future__ import annotations

import csv
import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from renshi import __version__
from renshi.cli import app, main
from renshi.records import Document, Failure, Record
from tests.conftest import heeds

ROOT = Path(__file__).parents[1]


def renshi(*arguments: str | Path, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "renshi", *map(str, arguments)],
        capture_output=True, encoding="utf-8", env={**os.environ, "COLUMNS": "80", "NO_COLOR": "1"}, **options,  # type: ignore[call-overload]
    )  # fmt: skip


def run(*arguments: str | Path) -> Any:
    """The same without a process of its own."""
    return CliRunner().invoke(app, [*map(str, arguments)], prog_name="renshi")


class Nothing:
    """An extractor that finds nothing, and is interrupted at a document that says so."""

    @classmethod
    def from_pretrained(cls, *_: object, **__: object) -> Nothing:
        return cls()

    def extract(self, documents: Iterable[Document | Failure]) -> Iterator[Record | Failure]:
        for document in documents:
            if isinstance(document, Document) and document.text == "^C":
                raise KeyboardInterrupt
            yield document if isinstance(document, Failure) else Record(document.id, document.text)


@pytest.fixture
def nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("renshi.extractor.Extractor", Nothing)


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "page.txt"
    path.write_text("省学会会长王进龙出席成立大会并致辞。\n", encoding="utf-8")
    return path


def test_help_and_version_load_no_torch() -> None:
    code = "import sys\nfrom renshi.cli import main\ntry: main()\nexcept SystemExit: pass\nprint(*sorted(sys.modules))"
    for argument in ("--help", "--version"):
        result = subprocess.run([sys.executable, "-c", code, argument], capture_output=True, text=True, check=True)
        modules = result.stdout.splitlines()[-1].split()
        assert not {"torch", "transformers", "opencc", "tokenizers", "numpy", "rich.progress"} & set(modules)
    result = renshi("extract", "--help")
    assert result.returncode == 0
    for option in (
        "--output",
        "--format",
        "--model",
        "--device",
        "--dtype",
        "--batch-tokens",
        "--min-score",
        "--encoding",
    ):
        assert option in result.stdout


WRONG = [
    (["extract"], "no file was given; name files or folders, or - for standard input: renshi extract page.txt"),
    (["extract", "{page}", "-f", "xml"], "format 'xml' is unknown; formats are jsonl, csv, html, text, xlsx"),
    (
        ["extract", "{page}", "-o", "out.doc"],
        "out.doc: its suffix names no format; formats are jsonl, csv, html, text, xlsx, markup, labelstudio, doccano, brat, conll, docbin: say which with --format",
    ),
    (["extract", "{page}", "-o", "nowhere/out.csv"], "nowhere/out.csv: there is no folder nowhere; make it first"),
    (["extract", "{page}", "-o", "{page}", "-f", "jsonl"], "{page}: is one of the inputs; write to another file"),
    (
        ["extract", "{page}", "-o", "{folder}", "-f", "csv"],
        "{folder}: is a folder; name a file in it, such as {folder}/records.jsonl",
    ),
    (["extract", "{page}", "-o", "{long}.csv"], "{long}.csv: cannot be written (File name too long)"),
    (["extract", "{page}", "--encoding", "undefined"], "encoding 'undefined' is unknown; such as utf-8, gb18030, big5"),
    (["extract", "{page}", "--encoding", "utf-9"], "encoding 'utf-9' is unknown; such as utf-8, gb18030, big5"),
    (
        ["extract", "{page}", "-m", "./no/model"],
        "no/model: there is no such model folder; give a folder or a Hub id such as user/name",
    ),
    (
        ["extract", "{page}", "-m", "{folder}"],
        "{folder}: lacks config.json, model.safetensors, tokenizer.json, tokenizer_config.json; a model folder",
    ),
    (["extract", "{page}", "-m", "{model}", "--device", "tpu"], "device 'tpu' is unknown; devices are auto, cpu, cuda"),
    (
        ["extract", "{page}", "-m", "{model}", "--dtype", "int8"],
        "dtype 'int8' is unknown; dtypes are auto, float32, bfloat16, float16",
    ),
    (
        ["extract", "{page}", "-m", "{model}", "--batch-tokens", "0"],
        "batch_tokens 0 is not a positive number of tokens",
    ),
    (["extract", "{page}", "-m", "{model}", "--min-score", "2"], "min_score 2.0 is not a number between 0 and 1"),
    (["extract", "-", "-"], "- is there twice, and standard input can be read once; name it once"),
    (["extract", ""], "a name is empty, as where a variable of the shell is not set; name a file or folder, or leave"),
    (["extract", "{page}", "-o", ""], "a name is empty, as where a variable of the shell is not set"),
    (["extract", "{page}", "-m", ""], "a name is empty, as where a variable of the shell is not set"),
    (
        ["extract", "{page}", "-o", "out.jsonl.gz", "-f", "jsonl"],
        "out.jsonl.gz: nothing is packed here; write out.jsonl",
    ),
    (
        ["extract", "{page}", "--revision", "v1"],
        "renshi-default: revision 'v1' is of a model on the Hub; name one by its",
    ),
    (["extract", "{page}", "--part-mb", "3"], "--part-mb goes with --engine ray"),
    (
        ["extract", "{page}", "-o", "x/", "--engine", "ray", "--part-documents", "3"],
        "--part-documents goes with --engine local; the parts of ray are measured by --part-mb",
    ),
    (["convert", "{page}", "-", "--to", "brat"], "brat is a folder, which standard output cannot hold; name a new one"),
    (
        ["convert", "{page}", "-"],
        "-: its suffix names no format; formats are markup, records, labelstudio, doccano, brat,",
    ),
    (["convert", "{page}", "x.jsonl"], "x.jsonl: .jsonl may be records or doccano; say which with --to FORMAT"),
    (
        ["serve", "--host", "::1"],
        "::1: Gradio listens on no IPv6 address; name an IPv4 one, such as 127.0.0.1 or 0.0.0.0",
    ),
    (["suggest", "{page}", "-f", "records"], "format 'records' is unknown; formats are table, jsonl, csv"),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG, ids=[" ".join(arguments[1:]) for arguments, _ in WRONG])
def test_a_wrong_command_says_what_to_type(
    tiny_model: Path, page: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    values = {"page": page, "folder": tmp_path, "model": tiny_model, "long": "a" * 300}
    result = run(*(argument.format(**values) for argument in arguments))
    assert result.exit_code == 2
    assert result.stdout == ""
    assert f"renshi: {message.format(**values)}" in result.stderr
    assert list(tmp_path.iterdir()) == [page]


@pytest.mark.parametrize(
    "arguments",
    [["extract"], ["extract", "{page}", "--batch-tokens", "x"], ["extract", "{page}", "--device", "tpu"], ["extact"]],
)
def test_a_wrong_command_shows_no_traceback(page: Path, arguments: list[str]) -> None:
    result = renshi(*(argument.format(page=page) for argument in arguments))
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr
    assert "Traceback" not in result.stderr


def test_records_in_input_order_and_status_1_where_one_fails(tiny_model: Path, page: Path, tmp_path: Path) -> None:
    lines = tmp_path / "pages.jsonl"
    lines.write_text(
        '{"id": "a", "text": "会长王进龙。"}\n{"id": "b"}\n{"id": "c", "text": "白敏。"}\n', encoding="utf-8"
    )
    result = renshi("extract", lines, "missing.txt", page, "-m", tiny_model)
    assert result.returncode == 1
    records = [json.loads(line) for line in result.stdout.splitlines()]
    assert [record["id"] for record in records] == ["a", "b", "c", "missing.txt", str(page)]
    assert [record["id"] for record in records if "error" in record] == ["b", "missing.txt"]
    assert all(record["schema"] == 1 for record in records)
    assert result.stderr.splitlines() == [
        f'renshi: {lines}:2: has no "text" (its keys: \'id\'); a line is {{"id": "…", "text": "…"}}',
        "renshi: missing.txt: there is no such file; check the name and the folder",
        "renshi: 2 of 5 documents failed; the others were written",
    ]


@pytest.mark.usefixtures("nothing")
def test_folders_patterns_and_tables(tmp_path: Path) -> None:
    pages = tmp_path / "pages"
    pages.mkdir()
    (pages / "a.txt").write_text("会长", encoding="utf-8")
    (pages / "b.csv").write_text("url,body\nb,王强\n", encoding="utf-8")
    (pages / "c.jpg").touch()
    result = run("extract", pages, f"{pages}/*.csv", "--text-column", "body", "--id-column", "url")
    assert [json.loads(line)["id"] for line in result.stdout.splitlines()] == [f"{pages}/a.txt", "b", "b"]
    assert (result.exit_code, result.stderr) == (
        0,
        "renshi: 1 in folders and patterns skipped (1 .jpg); accepted are .txt, .jsonl, .csv, .tsv, .html, .htm (also .gz and "
        ".zst), .docx, .pdf, .parquet\n",
    )
    assert run("extract", pages, "-q", "--text-column", "body").stderr == ""
    for name in (pages, f"{pages}/**/*.csv"):
        result = run("extract", name, "-o", pages / "out.csv")
        assert (result.exit_code, result.stderr) == (
            2, f"renshi: {pages}/out.csv: is in the input {name}; write elsewhere\n",
        )  # fmt: skip


def test_standard_input(tiny_model: Path) -> None:
    result = renshi("extract", "-", "-m", tiny_model, input="会长王进龙。")
    assert result.returncode == 0
    assert json.loads(result.stdout)["text"] == "会长王进龙。"
    assert result.stderr == ""


@pytest.mark.parametrize("name", ["out.jsonl", "out.csv", "out.html", "out.xlsx"])
def test_the_suffix_chooses_the_format(tiny_model: Path, page: Path, tmp_path: Path, name: str) -> None:
    if name == "out.xlsx":
        pytest.importorskip("openpyxl", reason='needs pip install "renshi[app]"')
    assert run("extract", page, "-m", tiny_model, "-o", tmp_path / name).exit_code == 0
    data = (tmp_path / name).read_bytes()
    if name == "out.csv":
        assert data.startswith(b"\xef\xbb\xbfdocument,person,title,organization")
        assert list(csv.reader(data.decode("utf-8-sig").splitlines()))
    begins = {"out.jsonl": b"{", "out.csv": b"\xef\xbb\xbf", "out.html": b"<!DOCTYPE html>", "out.xlsx": b"PK"}
    assert data.startswith(begins[name])
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, "page.txt"])


def test_a_workbook_needs_its_package(monkeypatch: pytest.MonkeyPatch, page: Path) -> None:
    monkeypatch.setattr("renshi.cli.find_spec", lambda _: None)
    result = run("extract", page, "-o", "out.xlsx")
    assert result.exit_code == 2
    assert result.stderr == 'renshi: format xlsx needs the package openpyxl: pip install "renshi[app]"\n'


def test_the_locale_does_not_matter(tiny_model: Path, page: Path) -> None:
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-m", "renshi", "extract", str(page), "-m", str(tiny_model)]
    result = subprocess.run(command, capture_output=True, env=environment, check=True)
    assert "省学会" in json.loads(result.stdout.decode("utf-8"))["text"]


@pytest.mark.usefixtures("nothing")
def test_twenty_failures_are_told_and_all_are_counted(page: Path, tmp_path: Path) -> None:
    missing = [tmp_path / f"{number}.txt" for number in range(25)]
    result = run("extract", *missing, page)
    assert result.exit_code == 1
    assert len(result.stdout.splitlines()) == 26
    *told, last = result.stderr.splitlines()
    assert told == [f"renshi: {name}: there is no such file; check the name and the folder" for name in missing[:20]]
    assert last == "renshi: 25 of 26 documents failed (5 not shown here); the others were written"
    assert run("extract", missing[0]).stderr.splitlines()[-1] == "renshi: 1 of 1 documents failed"


@pytest.mark.usefixtures("nothing")
@pytest.mark.parametrize("name", ["jsonl", "csv", "html", "text"])
def test_standard_output_gets_the_bytes_of_a_file(page: Path, tmp_path: Path, name: str) -> None:
    out = tmp_path / f"out.{name}"
    assert run("extract", page, "-o", out).exit_code == 0
    assert run("extract", page, "-f", name).stdout_bytes == out.read_bytes()


@pytest.mark.usefixtures("nothing")
@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_what_a_link_points_to_is_written(page: Path, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (link := tmp_path / "out.jsonl").symlink_to(tmp_path / "there" / "real.jsonl")
    assert run("extract", page, "-o", link).exit_code == 0
    assert link.is_symlink()
    assert json.loads((tmp_path / "there" / "real.jsonl").read_bytes())["id"] == str(page)


@pytest.mark.usefixtures("nothing")
@pytest.mark.skipif(os.name == "nt", reason="POSIX pipes")
def test_a_pipe_is_not_replaced_by_a_file(page: Path, tmp_path: Path) -> None:
    os.mkfifo(pipe := tmp_path / "pipe")
    result = run("extract", page, "-o", pipe, "-f", "jsonl")
    assert result.exit_code == 2
    assert result.stderr == f"renshi: {pipe}: is a device or a pipe; send standard output there: > {pipe}\n"
    assert pipe.is_fifo()


@pytest.mark.usefixtures("nothing")
def test_a_name_as_long_as_names_can_be(page: Path, tmp_path: Path) -> None:
    out = tmp_path / f"{'会' * 83}.csv"  # 253 bytes of 255
    assert run("extract", page, "-o", out).exit_code == 0
    assert out.is_file()


@pytest.mark.usefixtures("nothing")
def test_interrupted_it_says_what_became_of_the_output(page: Path, tmp_path: Path) -> None:
    (stop := tmp_path / "stop.txt").write_text("^C", encoding="utf-8")
    result = run("extract", page, stop, "-o", tmp_path / "out.jsonl")
    assert (result.exit_code, result.stderr) == (130, f"renshi: interrupted; {tmp_path}/out.jsonl was not written\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["page.txt", "stop.txt"]
    result = run("extract", page, stop)
    assert (result.exit_code, result.stderr) == (130, "renshi: interrupted\n")
    assert json.loads(result.stdout)["id"] == str(page)  # what was ready was written


@pytest.mark.parametrize(
    ("redirection", "message"),
    [
        ("> /dev/full", "standard output could not be written (No space left on device)"),
        (">&-", "standard output is closed; name a file with --output"),
    ],
)
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux's device for a full disk")
def test_standard_output_that_takes_nothing(tiny_model: Path, page: Path, redirection: str, message: str) -> None:
    command = f'"{sys.executable}" -m renshi extract "{page}" -m "{tiny_model}" {redirection}'
    result = subprocess.run(["bash", "-c", command], capture_output=True, encoding="utf-8", timeout=60)
    assert (result.returncode, result.stderr) == (2, f"renshi: {message}\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux's device for a full disk")
@pytest.mark.parametrize("command", ["info -m MODEL", "extract --help", "extract PAGE -m MODEL -f xlsx"])
def test_a_full_disk_is_no_fault_of_ours(tiny_model: Path, page: Path, command: str) -> None:
    words = command.replace("MODEL", str(tiny_model)).replace("PAGE", str(page))
    line = f'"{sys.executable}" -m renshi {words} > /dev/full'
    result = subprocess.run(["bash", "-c", line], capture_output=True, encoding="utf-8", timeout=60)
    assert (result.returncode, result.stderr) == (
        2,
        "renshi: standard output could not be written (No space left on device)\n",
    )


def test_what_the_terminal_cannot_show_is_shown_as_escapes(tiny_model: Path) -> None:
    for encoding, command in (("latin-1", ["info", "-m", str(tiny_model)]), ("ascii", ["extract", "--help"])):
        environment = {**os.environ, "PYTHONIOENCODING": encoding}
        arguments = [sys.executable, "-m", "renshi", *command]
        result = subprocess.run(arguments, capture_output=True, env=environment, timeout=60)
        assert (result.returncode, result.stderr) == (0, b"")


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_interrupted_it_leaves_no_half_written_file(tiny_model: Path, tmp_path: Path) -> None:
    lines = tmp_path / "pages.jsonl"
    lines.write_text('{"text": "省学会会长王进龙出席成立大会并致辞。"}\n' * 200_000, encoding="utf-8")
    out = tmp_path / "out.jsonl"
    out.write_text("what was there before", encoding="utf-8")
    command = [sys.executable, "-m", "renshi", "extract", str(lines), "-m", str(tiny_model), "-o", str(out)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, encoding="utf-8", preexec_fn=heeds(signal.SIGINT))
    while not [path for path in tmp_path.glob(".renshi-*") if path.stat().st_size]:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors == f"renshi: interrupted; {out} was not written\n"
    assert out.read_text(encoding="utf-8") == "what was there before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.jsonl", "pages.jsonl"]


@pytest.mark.skipif(os.name == "nt", reason="POSIX pipes")
def test_a_reader_that_has_enough_ends_it_quietly(tiny_model: Path, tmp_path: Path) -> None:
    lines = tmp_path / "pages.jsonl"
    lines.write_text('{"text": "省学会会长王进龙出席成立大会并致辞。"}\n' * 20_000, encoding="utf-8")
    command = f'"{sys.executable}" -m renshi extract "{lines}" -m "{tiny_model}" | head -n 1; echo "${{PIPESTATUS[0]}}"'
    result = subprocess.run(["bash", "-c", command], capture_output=True, encoding="utf-8", timeout=60)
    first, status = result.stdout.splitlines()
    assert json.loads(first)["schema"] == 1
    assert status == "141"
    assert result.stderr == ""


def test_versions_of_what_is_installed() -> None:
    result = run("--version")
    assert result.exit_code == 0
    first, second = result.stdout.splitlines()
    assert first == f"renshi {__version__}, model renshi-default"
    assert f"python {platform.python_version()}" in second
    assert f"numpy {np.__version__}" in second


def test_info_says_what_would_run_and_why(tiny_model: Path) -> None:
    result = run("info", "--model", tiny_model, "--device", "cpu", "--dtype", "float32")
    assert result.exit_code == 0
    rows = dict(line.split(maxsplit=1) for line in result.stdout.splitlines())
    assert rows["model"] == f"{tiny_model} ({tiny_model})"
    assert rows["network"].startswith("BertForTokenClassification, 2 layers × 32")
    assert rows["labels"].startswith("PER 人物 TITLE 职务 ORG 机构 EVENT.FOUNDING 成立")
    assert rows["precision"] == "float32: as asked for"
    assert rows["device"].startswith("cpu")


def test_quiet_and_verbose(page: Path, tiny_model: Path) -> None:
    quiet = run("extract", page, "-m", tiny_model, "-q")
    assert (quiet.exit_code, quiet.stderr) == (0, "")
    verbose = run("extract", page, "-m", tiny_model, "-v")
    assert verbose.stdout == quiet.stdout
    assert f"renshi: model: {tiny_model}" in verbose.stderr
    assert "renshi: 1 records, " in verbose.stderr


def test_a_traceback_only_for_debug(page: Path) -> None:
    plain = run("extract", page, "-m", "./nowhere")
    assert plain.exit_code == 2
    assert (
        plain.stderr == "renshi: nowhere: there is no such model folder; give a folder or a Hub id such as user/name\n"
    )
    assert "Traceback" in run("extract", page, "-m", "./nowhere", "--debug").stderr


def test_a_fault_of_ours_is_one_sentence(
    page: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("renshi.extractor.Extractor.from_pretrained", broken)
    monkeypatch.setattr("sys.argv", ["renshi", "extract", str(page)])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 70
    assert "renshi: RuntimeError: a bug\n" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["extract", "convert", "suggest", "serve", "info"])
def test_help_has_no_colour_where_none_is_wanted(command: str) -> None:
    result = run(command, "--help")
    assert result.exit_code == 0
    assert "\x1b[3" not in result.stdout  # bold remains a terminal's business
    assert "Usage: renshi" in result.stdout


def test_completion_of_the_shell() -> None:
    wanted = {"_RENSHI_COMPLETE": "complete_bash", "COMP_WORDS": "renshi ext", "COMP_CWORD": "1"}
    result = subprocess.run(
        [sys.executable, "-c", "from renshi.cli import main; main()"],
        capture_output=True,
        text=True,
        env=os.environ | wanted,
    )
    assert result.stdout.strip() == "extract"
