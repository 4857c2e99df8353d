"""The hostile corpus through the command: every case between two good documents, and into every format.

One process reads many cases. What must hold: each document becomes a record that bears its text to the character, with
exact offsets, or a failure that says why; the good documents come out as they do alone.
"""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from renshi.cli import app
from renshi.interchange import FORMATS as INTERCHANGE
from renshi.interchange import Report, read
from renshi.interchange.records import from_dict
from renshi.labels import EVENT_TYPES, LABELS, TAGS
from renshi.model import Calibration, read_tokenizer
from renshi.records import Entity, EventType, Failure, Record, Role, Roster
from renshi.writers import FORMATS
from tests.hostile.corpus import CASES, FORMULAS, GOOD, HOSTILE_IDS, LARGE_CASES, Case, Expected

Item = dict[str, Any]


def run(*arguments: str | Path) -> Any:
    result = CliRunner().invoke(app, [*map(str, arguments)], prog_name="renshi")
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def write_cases(folder: Path, cases: Sequence[Case]) -> list[Path]:
    """The files of a run: good, case, good, case …, good."""
    (good := folder / "good.txt").write_text(GOOD, encoding="utf-8")
    names = [good]
    for number, case in enumerate(cases):
        (path := folder / f"{number:03}{case.suffix}").write_bytes(case.data())
        names += [path, good]
    return names


def read_records(path: Path) -> list[Item]:
    return [json.loads(line) for line in path.read_bytes().split(b"\n") if line]


def check_record(item: Item) -> None:
    """What holds of any record: the contract of the output."""
    assert item["schema"] == 1
    if "error" in item:
        assert item.keys() == {"id", "error", "schema"}
        assert item["error"]["type"].isidentifier()
        assert item["error"]["message"].strip()
        return
    last = 0
    for entity in item["entities"]:
        assert last <= entity["start"] < entity["end"]
        assert item["text"][entity["start"] : entity["end"]] == entity["text"]
        assert entity["label"] in LABELS
        assert 0.0 <= entity["score"] <= 1.0
        last = entity["end"]
    assert isinstance(from_dict(item, "x"), Record)  # its parts fit together


def check_case(case: Case, found: Sequence[Item]) -> None:
    expected = case.expected()
    assert len(found) == len(expected), case.name
    for item, document in zip(found, expected, strict=True):
        check_record(item)
        check_document(case.name, item, document)


def check_document(name: str, item: Item, document: Expected) -> None:
    if isinstance(document, str):
        assert item.get("error") is None, (name, item)
        assert item["text"] == document, name
    elif document is not None:
        assert "error" in item, (name, item["text"][:80])
        assert document.search(item["error"]["message"]), (name, item["error"])


def check_run(cases: Sequence[Case], records: list[Item]) -> None:
    """That each case became what the table says, and that the good documents around it are as the first."""
    good, *rest = records
    assert good["text"] == GOOD
    check_record(good)
    for case in cases:
        count = len(case.expected())
        found, after, rest = rest[:count], rest[count], rest[count + 1 :]
        check_case(case, found)
        assert after == good, case.name
    assert not rest


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hostile")


@pytest.fixture(scope="module")
def names(folder: Path) -> list[Path]:
    return write_cases(folder, CASES)


@pytest.fixture(scope="module")
def records(folder: Path, names: list[Path], tiny_model: Path) -> Path:
    """The records of all cases but the large."""
    result = run("extract", *names, "-m", tiny_model, "-o", folder / "records.jsonl", "--min-score", "0")
    assert result.exit_code == 1, result.stderr
    assert "fault of renshi" not in result.stderr
    return folder / "records.jsonl"


def test_each_becomes_a_record_or_a_failure_and_the_others_are_unharmed(records: Path) -> None:
    found = read_records(records)
    check_run(CASES, found)
    assert sum(len(item.get("entities", ())) for item in found) > 1000  # else nothing was tested


@pytest.mark.slow
def test_the_same_in_a_process_of_its_own_to_standard_output(
    names: list[Path], tiny_model: Path, records: Path
) -> None:
    command = [sys.executable, "-m", "renshi", "extract", *map(str, names), "-m", str(tiny_model), "--min-score", "0"]
    result = subprocess.run(command, capture_output=True, check=False)
    assert result.returncode == 1
    assert result.stdout == records.read_bytes()
    assert b"Traceback" not in result.stderr


# ---- every format ----


class Shown(HTMLParser):
    """The elements of a page, that they close, and the text in its blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        assert not any(name.startswith("on") or name in ("href", "src") for name, _ in attributes)
        if ("class", "text") in attributes:
            self.texts.append("")
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] in (["div"], ["mark"]) and self.texts:
            self.texts[-1] += data


def check_html(path: Path, records: Sequence[Record | Failure]) -> None:
    page = Shown()
    page.feed(path.read_bytes().decode("utf-8"))
    page.close()
    assert page.open == []
    assert not page.tags & {"script", "img", "a", "iframe", "form", "object", "link"}
    texts = [re.sub("[\0\ud800-\udfff]", "\ufffd", r.text) for r in records if isinstance(r, Record)]
    assert page.texts == texts


def check_csv(path: Path, records: Sequence[Record | Failure]) -> None:
    content = path.read_bytes().decode("utf-8-sig").replace("\0", "\ufffd")  # Python 3.10's reader refuses NUL
    rows = list(csv.reader(io.StringIO(content, newline="")))[1:]
    assert len(rows) == sum(len(r.roles) for r in records if isinstance(r, Record))
    for row in rows:
        assert len(row) == 12
        assert not any(re.match(r"\s*[-=+@＝＋－＠]|[\t\r]", cell) for cell in row)


def check_workbook(path: Path, records: Sequence[Record | Failure]) -> None:
    from openpyxl import load_workbook

    book = load_workbook(io.BytesIO(path.read_bytes()), read_only=True)
    assert sum(1 for _ in book["documents"].rows) == len(records) + 1
    for sheet in book.worksheets:
        for row in sheet.rows:
            for cell in row:
                assert cell.data_type != "f"
                assert not getattr(cell, "hyperlink", None)


def check_text(path: Path, records: Sequence[Record | Failure]) -> None:
    content = path.read_bytes().decode("utf-8")
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", content)
    assert len(re.findall("^── ", content, re.MULTILINE)) == len(records)


def check_lines(path: Path, records: Sequence[Record | Failure]) -> None:
    assert len(read_records(path)) == len(records)


CHECKS: dict[str, Callable[[Path, Sequence[Record | Failure]], None]] = {
    "jsonl": check_lines,
    "csv": check_csv,
    "html": check_html,
    "text": check_text,
    "xlsx": check_workbook,
}
assert CHECKS.keys() == FORMATS.keys()


def items(path: Path) -> list[Record | Failure]:
    found = list(read(path, "records", Report()))
    return [Failure(item.id, "x", "x") if isinstance(item, Failure) else item for item in found]


def carry_over(source: Path, target: Path, name: str) -> Any:
    """By `renshi convert`, which goes through the same writers as `renshi extract`, without reading everything again."""
    return run("convert", source, target, "--from", "records", "--to", name)


def check_format(name: str, source: Path, target: Path) -> None:
    """What is written is what another program may read, or can be read back: as much as the format holds."""
    result = carry_over(source, target, name)
    assert result.exit_code in (0, 1), result.stderr
    expected = items(source)
    if name in CHECKS:
        CHECKS[name](target, expected)
        return
    format, report = INTERCHANGE[name], Report()
    fitted = [format.fit(item, report) for item in expected if isinstance(item, Record)]
    found = [item for item in read(target, name, Report()) if name != "records" or isinstance(item, Record)]
    texts = [item.text for item in found if isinstance(item, Record)]
    assert len(texts) == len(found)
    if not format.folder:
        assert texts == [item.text for item in fitted if isinstance(item, Record)]
    else:  # of those that bear one name the first is written
        assert set(texts) <= {item.text for item in fitted if isinstance(item, Record)}
    for item in found:
        assert isinstance(item, Record)
        check_record(item.to_dict())


@pytest.fixture(scope="module")
def short_records(folder: Path, records: Path) -> Path:
    """Those of them that are written in a moment, the good document once."""
    items = {item["id"] + str(item.get("text")): item for item in read_records(records)}.values()
    lines = [json.dumps(item) + "\n" for item in items if len(item.get("text", "")) < 300]
    (path := folder / "short.jsonl").write_text("".join(lines), encoding="utf-8")
    return path


@pytest.mark.parametrize("name", [*FORMATS, *INTERCHANGE])
def test_into_every_format(short_records: Path, tmp_path: Path, name: str) -> None:
    check_format(name, short_records, tmp_path / "out")


@pytest.mark.slow
@pytest.mark.parametrize("name", [*FORMATS, *INTERCHANGE])
def test_all_into_every_format(records: Path, tmp_path: Path, name: str) -> None:
    check_format(name, records, tmp_path / "out")


@pytest.fixture(scope="module")
def odd_ids(folder: Path, tiny_model: Path) -> Path:
    lines = "".join(
        json.dumps({"id": id, "text": f"会长王进龙{number}"}) + "\n" for number, id in enumerate(HOSTILE_IDS)
    )
    (folder / "ids.jsonl").write_text(lines, encoding="utf-8")
    assert run("extract", folder / "ids.jsonl", "-m", tiny_model, "-o", folder / "ids.records.jsonl").exit_code == 0
    return folder / "ids.records.jsonl"


@pytest.mark.parametrize("name", [*FORMATS, *INTERCHANGE])
def test_no_id_leads_out_of_the_output(odd_ids: Path, tmp_path: Path, name: str) -> None:
    outer = tmp_path / "a" / "b" / "c"
    outer.mkdir(parents=True)
    check_format(name, odd_ids, outer / "out")
    assert [path.name for path in outer.iterdir()] == ["out"]
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert not Path("/tmp/renshi-escaped.txt").exists()
    for path in (outer / "out").rglob("*") if (outer / "out").is_dir() else ():
        assert path.resolve().is_relative_to((outer / "out").resolve())


@pytest.mark.parametrize("name", ["brat", "markup"])
def test_only_ids_that_clash_are_refused_a_file(odd_ids: Path, tmp_path: Path, name: str) -> None:
    result = carry_over(odd_ids, tmp_path / "out", name)
    assert result.exit_code == 1
    found = {item.text for item in read(tmp_path / "out", name, Report()) if isinstance(item, Record)}
    written = {id for number, id in enumerate(HOSTILE_IDS) if f"会长王进龙{number}" in found}
    assert len(set(HOSTILE_IDS) - written) <= 10, set(HOSTILE_IDS) - written
    assert {"..", "/etc/passwd", "CON", "x", "会长", "=1+1", "same"} <= written


def named(number: int, name: str) -> Record:
    text = f"会{name}长{name}王{name}"
    step = len(name) + 1
    entities = [Entity(step * i + 1, step * (i + 1), name, label) for i, label in enumerate(("ORG", "TITLE", "PER"))]
    return Record(
        f"{name}{number}", text, entities, [Role(2, 1, 0), Role(2, 1, None)], [Roster(1, 3, 1)],
        [EventType(next(iter(EVENT_TYPES)), 0.5)],
    )  # fmt: skip


@pytest.mark.parametrize("name", [*FORMATS, *INTERCHANGE])
def test_names_that_a_spreadsheet_would_run(tmp_path: Path, name: str) -> None:
    source = tmp_path / "records.jsonl"
    lines = [json.dumps(named(number, text).to_dict()) + "\n" for number, text in enumerate(FORMULAS)]
    source.write_text("".join(lines), encoding="utf-8")
    check_format(name, source, tmp_path / "out")


# ---- large ----


class Cheap:
    """The tiny model's tokenizer, and a person at each 17th token: what is tested is everything around the network."""

    device, name, calibration = "cpu", "cheap", Calibration()

    def __init__(self, folder: Path) -> None:
        self.tokenizer, _ = read_tokenizer(folder)
        self.max_tokens = 256

    def logits(self, rows: Sequence[NDArray[np.int64]], pad_id: int) -> NDArray[np.float32]:
        logits = np.zeros((sum(map(len, rows)), len(TAGS)), np.float32)
        logits[:, TAGS.index("O")] = 4
        logits[1::17, TAGS.index("B-PER")] = 8
        return logits


@pytest.mark.slow
@pytest.mark.parametrize("case", LARGE_CASES, ids=[case.name for case in LARGE_CASES])
def test_large(case: Case, tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("renshi.extractor.load_model", lambda *_, **__: Cheap(tiny_model))
    names = write_cases(tmp_path, [case])
    result = run("extract", *names, "-o", tmp_path / "records.jsonl")
    assert result.exit_code in (0, 1), result.stderr
    check_run([case], read_records(tmp_path / "records.jsonl"))
