import io
import json
import os
import tracemalloc
from pathlib import Path

import pytest

from renshi.documents import read_documents
from renshi.records import Document, Failure


def read(*inputs: str | Path, encoding: str = "utf-8") -> list[Document | Failure]:
    return list(read_documents([str(name) for name in inputs], encoding))


def test_a_text_file_is_one_document_to_the_byte(tmp_path: Path) -> None:
    page = tmp_path / "page.txt"
    page.write_bytes("\ufeff会长\r\n王强\r\n".encode())
    assert read(page) == [Document(str(page), "会长\r\n王强\r\n")]  # the mark is dropped, the line ends are the user's


def test_an_empty_file_is_an_empty_document(tmp_path: Path) -> None:
    (tmp_path / "empty.txt").touch()
    assert read(tmp_path / "empty.txt") == [Document(str(tmp_path / "empty.txt"), "")]


def test_json_lines(tmp_path: Path) -> None:
    lines = tmp_path / "pages.jsonl"
    lines.write_text('{"id": "a", "text": "会长"}\n\n{"text": "王强"}\n{"id": 7, "text": "\\ud800"}', encoding="utf-8")
    assert read(lines) == [Document("a", "会长"), Document(f"{lines}:3", "王强"), Document("7", "\ud800")]


WRONG_LINES = [
    ("{", 'is not JSON (Expecting property name enclosed in double quotes); a line is {"id": "…", "text": "…"}'),
    ("[1]", 'is a JSON array; a line is an object, {"id": "…", "text": "…"}'),
    ('{"id": "b", "txt": "会"}', 'has no "text" (its keys: \'id\', \'txt\'); a line is {"id": "…", "text": "…"}'),
    ('{"text": null}', "its text is a JSON null; a text is a string"),
    ('{"id": true, "text": "会"}', "its id is a JSON boolean; an id is a string or a number"),
    ('{"id": {}, "text": "会"}', "its id is a JSON object; an id is a string or a number"),
    ("[" * 100_000, 'is not JSON (nested too deeply or a number too long); a line is {"id": "…", "text": "…"}'),
]


@pytest.mark.parametrize(("line", "message"), WRONG_LINES, ids=range(len(WRONG_LINES)))
def test_a_wrong_line_is_named_and_the_others_are_read(tmp_path: Path, line: str, message: str) -> None:
    lines = tmp_path / "pages.jsonl"
    lines.write_text(f'{{"id": "a", "text": "会长"}}\n{line}\n{{"id": "c", "text": "王强"}}\n', encoding="utf-8")
    first, wrong, last = read(lines)
    assert (first, last) == (Document("a", "会长"), Document("c", "王强"))
    assert isinstance(wrong, Failure)
    assert wrong.message == f"{lines}:2: {message}"


def test_invalid_bytes_are_named(tmp_path: Path) -> None:
    page, lines = tmp_path / "page.txt", tmp_path / "pages.jsonl"
    page.write_bytes("\ufeff会".encode() + b"\xce\xc4")
    lines.write_bytes(b'{"text": "\xff"}\n' + json.dumps({"text": "会"}).encode())
    failed, wrong_line, right_line = read(page, lines)
    assert failed == Failure(
        str(page),
        "UnicodeDecodeError",
        f"{page}: byte 6 (0xce) is not valid utf-8; save the file as UTF-8, or name its encoding, such as --encoding gb18030",
    )
    assert wrong_line == Failure(
        f"{lines}:1",
        "UnicodeDecodeError",
        f"{lines}:1: byte 10 (0xff) is not valid utf-8; "
        "JSON lines are UTF-8, whatever --encoding says: save the file as UTF-8",
    )
    assert right_line == Document(f"{lines}:2", "会")


def test_another_encoding(tmp_path: Path) -> None:
    (tmp_path / "page.txt").write_bytes("会长".encode("gb18030"))
    assert [document.text for document in read(tmp_path / "page.txt", encoding="gb18030")] == ["会长"]  # type: ignore[union-attr]


def test_advice_is_not_the_encoding_that_was_just_tried(tmp_path: Path) -> None:
    (tmp_path / "page.txt").write_bytes(b"\x80")
    (failed,) = read(tmp_path / "page.txt", encoding="gb18030")
    assert isinstance(failed, Failure)
    assert failed.message == (
        f"{tmp_path}/page.txt: byte 0 (0x80) is not valid gb18030; "
        "name the encoding that it is in, such as --encoding utf-8"
    )


@pytest.mark.parametrize("encoding", ["utf-8", "UTF8", "u8"])
def test_the_byte_order_mark_goes_however_utf8_is_spelled(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "page.txt").write_bytes("\ufeff会".encode())
    assert read(tmp_path / "page.txt", encoding=encoding) == [Document(str(tmp_path / "page.txt"), "会")]


def test_json_lines_are_read_one_by_one(tmp_path: Path) -> None:
    lines = tmp_path / "pages.jsonl"
    with lines.open("w", encoding="utf-8") as file:
        file.writelines('{"text": "会长"}\n' for _ in range(60_000))
    tracemalloc.start()
    count = sum(1 for _ in read_documents([str(lines)]))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 60_000
    assert peak < lines.stat().st_size / 4


def test_what_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "page.rtf").touch()
    (tmp_path / "table.parquet.gz").touch()
    missing, suffix, packed, good = read(
        tmp_path / "x.txt", tmp_path / "page.rtf", tmp_path / "table.parquet.gz", touch(tmp_path / "y.txt")
    )
    assert missing.message == f"{tmp_path}/x.txt: there is no such file; check the name and the folder"  # type: ignore[union-attr]
    accepted = (
        ".txt, .jsonl, .csv, .tsv, .html, .htm (also .gz and .zst), .docx, .pdf, .parquet, and - for standard input"
    )
    assert suffix.message == f"{tmp_path}/page.rtf: has .rtf; accepted are {accepted}"  # type: ignore[union-attr]
    assert packed.message == f"{tmp_path}/table.parquet.gz: has .parquet.gz; accepted are {accepted}"  # type: ignore[union-attr]
    assert isinstance(good, Document)


def test_a_name_that_no_file_can_have(tmp_path: Path) -> None:
    name = f"{tmp_path}/{'a' * 300}.txt"
    assert [item.message for item in read(name)] == [f"{name}: cannot be read (File name too long)"]  # type: ignore[union-attr]


def touch(path: Path) -> Path:
    path.touch()
    return path


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    touch(tmp_path / "page.txt").chmod(0)
    (failure,) = read(tmp_path / "page.txt")
    assert isinstance(failure, Failure)
    assert failure.message.endswith("may not be read; check its permissions")


def test_standard_input_is_one_document(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO("会长\n王强".encode())))
    assert read("-") == [Document("-", "会长\n王强")]
    monkeypatch.setattr("sys.stdin", None)
    message = "-: standard input is closed; name a file, or send one: < page.txt"
    assert read("-") == [Failure("-", "ValueError", message)]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
def test_a_tables_encoding_is_found_out(tmp_path: Path, encoding: str) -> None:
    text = "省学会会长王进龙出席成立大会并致辞，山西省肿瘤医院承办"
    file = tmp_path / "pages.csv"
    file.write_bytes(("id,text\n" + "".join(f"{n},{text}{n}\n" for n in range(9000))).encode(encoding))
    documents = list(read_documents([str(file)]))
    assert documents[0] == Document("0", f"{text}0")
    assert documents[-1] == Document("8999", f"{text}8999")
    assert len(documents) == 9000
