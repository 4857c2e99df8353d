"""The command, in real processes; a tiny model where one is needed."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from renshi import __version__

ROOT = Path(__file__).parents[1]


def renshi(*arguments: str | Path, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "renshi", *map(str, arguments)],
        capture_output=True, encoding="utf-8", env={**os.environ, "COLUMNS": "80", "NO_COLOR": "1"}, **options,  # type: ignore[call-overload]
    )  # fmt: skip


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "page.txt"
    path.write_text("省学会会长王进龙出席成立大会并致辞。\n", encoding="utf-8")
    return path


def test_help_and_version_load_no_torch() -> None:
    code = "import sys\nfrom renshi.cli import main\ntry: main()\nexcept SystemExit: pass\nprint(*sorted(sys.modules))"
    for argument in ("--help", "--version"):
        result = subprocess.run([sys.executable, "-c", code, argument], capture_output=True, text=True, check=True)
        modules = result.stdout.split()
        assert not {"torch", "transformers", "opencc", "tokenizers", "numpy"} & set(modules)
    assert renshi("--version").stdout == f"renshi {__version__}\n"
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
    (["extract"], "no file was given; name .txt or .jsonl files, or - for standard input: renshi extract page.txt"),
    (["extract", "{page}", "-f", "xml"], "format 'xml' is unknown; formats are jsonl, csv, html, text"),
    (
        ["extract", "{page}", "-o", "out.doc"],
        "out.doc: its suffix names no format; formats are jsonl, csv, html, text: say which with --format",
    ),
    (["extract", "{page}", "-o", "nowhere/out.csv"], "nowhere/out.csv: there is no folder nowhere; make it first"),
    (["extract", "{page}", "-o", "{page}", "-f", "jsonl"], "{page}: is one of the inputs; write to another file"),
    (
        ["extract", "{page}", "-o", "{folder}", "-f", "csv"],
        "{folder}: is a folder; name a file in it, such as {folder}/records.jsonl",
    ),
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
    (["extract", "{page}", "-m", "{model}", "--min-score", "2"], "min_score 2.0 is not between 0 and 1"),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG, ids=[" ".join(arguments[1:]) for arguments, _ in WRONG])
def test_a_wrong_command_says_what_to_type(
    tiny_model: Path, page: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    values = {"page": page, "folder": tmp_path, "model": tiny_model}
    result = renshi(*(argument.format(**values) for argument in arguments))
    assert result.returncode == 2
    assert result.stdout == ""
    assert f"renshi: {message.format(**values)}" in result.stderr
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


def test_standard_input(tiny_model: Path) -> None:
    result = renshi("extract", "-", "-m", tiny_model, input="会长王进龙。")
    assert result.returncode == 0
    assert json.loads(result.stdout)["text"] == "会长王进龙。"
    assert result.stderr == ""


@pytest.mark.parametrize("name", ["out.jsonl", "out.csv", "out.html"])
def test_the_suffix_chooses_the_format(tiny_model: Path, page: Path, tmp_path: Path, name: str) -> None:
    assert renshi("extract", page, "-m", tiny_model, "-o", tmp_path / name).returncode == 0
    data = (tmp_path / name).read_bytes()
    if name == "out.csv":
        assert data.startswith(b"\xef\xbb\xbfdocument,person,title,organization")
        assert list(csv.reader(data.decode("utf-8-sig").splitlines()))
    assert data.startswith({"out.jsonl": b"{", "out.csv": b"\xef\xbb\xbf", "out.html": b"<!DOCTYPE html>"}[name])
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, "page.txt"])


def test_the_locale_does_not_matter(tiny_model: Path, page: Path) -> None:
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-m", "renshi", "extract", str(page), "-m", str(tiny_model)]
    result = subprocess.run(command, capture_output=True, env=environment, check=True)
    assert "省学会" in json.loads(result.stdout.decode("utf-8"))["text"]


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_interrupted_it_leaves_no_half_written_file(tiny_model: Path, tmp_path: Path) -> None:
    lines = tmp_path / "pages.jsonl"
    lines.write_text('{"text": "省学会会长王进龙出席成立大会并致辞。"}\n' * 200_000, encoding="utf-8")
    out = tmp_path / "out.jsonl"
    out.write_text("what was there before", encoding="utf-8")
    command = [sys.executable, "-m", "renshi", "extract", str(lines), "-m", str(tiny_model), "-o", str(out)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, encoding="utf-8")
    while not [path for path in tmp_path.glob(".out.jsonl.*") if path.stat().st_size]:
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
