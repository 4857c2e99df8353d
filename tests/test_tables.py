"""CSV, TSV and Parquet: one document a row; a wrong row costs only itself."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from renshi.documents import Columns, read_documents
from renshi.records import Document, Failure
from renshi.tables import read_csv


def read(path: Path, **options: Any) -> list[Document | Failure]:
    return list(read_documents([str(path)], **options))


def written(tmp_path: Path, data: str | bytes, name: str = "pages.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode("utf-8"))
    return path


def messages(items: list[Document | Failure]) -> list[str]:
    return [item.message for item in items if isinstance(item, Failure)]


# ---- CSV ----


def test_csv_as_spreadsheets_write_it(tmp_path: Path) -> None:
    path = written(tmp_path, '\ufeffid,date,text\r\na,1,"会长\r\n“王强”, ""主任"""\r\n\r\n,2,白敏\r\n')
    assert read(path) == [Document("a", '会长\r\n“王强”, "主任"'), Document(f"{path}:5", "白敏")]


def test_tsv_and_other_columns(tmp_path: Path) -> None:
    path = written(tmp_path, "number\tcontent\n7\t会长,王强\n", "pages.tsv")
    assert read(path, columns=Columns("content", "number")) == [Document("7", "会长,王强")]


def test_another_encoding(tmp_path: Path) -> None:
    path = written(tmp_path, "text\n会长\n".encode("gb18030"))
    assert read(path, encoding="gb18030") == [Document(f"{path}:2", "会长")]
    assert messages(read(path)) == [
        f"{path}:2: byte 0xbb is not valid utf-8; name the encoding that it is in, such as --encoding gb18030"
    ]
    path = written(tmp_path, "text\n会长\n".encode("utf-16"))
    assert read(path, encoding="utf-16") == [Document(f"{path}:2", "会长")]


COLUMNS = [
    ("id,content\n1,会长\n", Columns(), "has no column 'text' (its columns: 'id', 'content'); name it with --text-column"),
    ("text\n会长\n", Columns(id="url"), "has no column 'url' (its columns: 'text'); name it with --id-column"),
    ("text,text\na,b\n", Columns(), "has the column 'text' more than once (its columns: 'text', 'text'); name it with --text-column"),
]  # fmt: skip


@pytest.mark.parametrize(("data", "columns", "message"), COLUMNS)
def test_a_column_that_is_not_there(tmp_path: Path, data: str, columns: Columns, message: str) -> None:
    path = written(tmp_path, data)
    assert read(path, columns=columns) == [Failure(str(path), "ReadError", f"{path}: {message}")]


WRONG = [
    ('b,"x"y', "is not CSV (',' expected after '\"'; in a field in quotation marks, a quotation mark is doubled)"),
    ("b", "has 1 fields, and the header 2; a field with the separator in it is quoted"),
    ("b,会长,王强", "has 3 fields, and the header 2; a field with the separator in it is quoted"),
    (b"b,\xff", "byte 0xff is not valid utf-8; name the encoding that it is in, such as --encoding gb18030"),
]


@pytest.mark.parametrize(("row", "message"), WRONG, ids=range(len(WRONG)))
def test_a_wrong_row_is_named_and_the_others_are_read(tmp_path: Path, row: str | bytes, message: str) -> None:
    row = row.encode() if isinstance(row, str) else row
    path = written(tmp_path, 'id,text\na,"会\n长"\n'.encode() + row + "\nc,王强\n".encode())
    first, wrong, last = read(path)
    assert (first, last) == (Document("a", "会\n长"), Document("c", "王强"))
    assert messages([wrong]) == [f"{path}:4: {message}"]


def test_a_quotation_mark_that_is_never_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, 'text\n会长\n"王强\n' + "白敏\n" * 100)
    first, wrong = read(path)
    assert first == Document(f"{path}:2", "会长")
    assert messages([wrong]) == [
        f"{path}:3: is not CSV (a quotation mark in this row is never closed, and what follows it to the end of the file, "
        "101 lines, was taken for its text)"
    ]
    limit = csv.field_size_limit(100)
    monkeypatch.setattr("renshi.tables._LONGEST_FIELD", 100)
    try:
        wrong, *others = read(path)[1:]
    finally:
        csv.field_size_limit(limit)
    assert messages([wrong]) == [
        f"{path}:3: is not CSV (a field has more than 100 characters: is a quotation mark never closed?)"
    ]
    assert {item.text for item in others if isinstance(item, Document)} == {"白敏"}  # and it goes on


def test_long_fields_and_nul(tmp_path: Path) -> None:
    path = written(tmp_path, f"text\n{'会' * 200_000}\n会\0长\n王强\n")
    long, _, last = read(path)  # Python 3.10 refuses the NUL, later ones read it
    assert (len(long.text), last) == (200_000, Document(f"{path}:4", "王强"))  # type: ignore[union-attr]


@given(st.lists(st.tuples(st.text(min_size=1), st.text()), max_size=5))
def test_what_the_csv_module_writes_is_read_back(rows: list[tuple[str, str]]) -> None:
    rows = [(id, text) for id, text in rows if "\0" not in id + text and (id + text).isprintable()]
    stream = io.StringIO(newline="")
    writer = csv.writer(stream)
    writer.writerow(("id", "text"))
    writer.writerows(rows)
    file = io.BytesIO(stream.getvalue().encode("utf-8"))
    assert list(read_csv("x.csv", file, "utf-8", Columns())) == [Document(id, text) for id, text in rows]


def test_an_empty_table(tmp_path: Path) -> None:
    (nothing,) = read(written(tmp_path, ""))
    assert isinstance(nothing, Failure)
    assert nothing.message.endswith("has no column 'text' (its columns: none); name it with --text-column")
    assert read(written(tmp_path, "id,text\n")) == []


# ---- Parquet ----


def parquet(tmp_path: Path, columns: dict[str, Any], **options: Any) -> Path:
    pyarrow = pytest.importorskip("pyarrow", reason='needs pip install "renshi[parquet]"')
    from pyarrow import parquet

    path = tmp_path / "pages.parquet"
    parquet.write_table(pyarrow.table(columns), path, **options)
    return path


def test_parquet(tmp_path: Path) -> None:
    path = parquet(tmp_path, {"id": ["a", None, ""], "other": [1, 2, 3], "text": ["会长", "王强", None]})
    *read_, wrong = read(path)
    assert read_ == [Document("a", "会长"), Document(f"{path}:2", "王强")]
    assert messages([wrong]) == [f"{path}:3: its text is null; a text is a string"]


def test_parquet_of_all_kinds_of_strings(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason='needs pip install "renshi[parquet]"')
    for kind in (pyarrow.string(), pyarrow.large_string(), pyarrow.dictionary(pyarrow.int32(), pyarrow.string())):
        path = parquet(tmp_path, {"id": [1, 2], "text": pyarrow.array(["会长", "会长"]).cast(kind)})
        assert read(path) == [Document("1", "会长"), Document("2", "会长")]
    path = parquet(tmp_path, {"text": [b"\xff"]})
    assert messages(read(path)) == [
        f"{path}: its column 'text' is of type binary; a text is a string: name another column with --text-column"
    ]


def test_parquet_with_bytes_that_are_no_utf8(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason='needs pip install "renshi[parquet]"')
    offsets, data = pyarrow.py_buffer(b"\0\0\0\0\1\0\0\0\2\0\0\0"), pyarrow.py_buffer(b"\xffa")
    path = parquet(tmp_path, {"text": pyarrow.StringArray.from_buffers(2, offsets, data)})
    wrong, right = read(path)
    assert messages([wrong]) == [f"{path}:1: byte 0 (0xff) of its text is not valid UTF-8, as Parquet wants"]
    assert right == Document(f"{path}:2", "a")


def test_parquet_without_the_column(tmp_path: Path) -> None:
    path = parquet(tmp_path, {"id": ["a"], "content": ["会长"]})
    assert messages(read(path)) == [
        f"{path}: has no column 'text' (its columns: 'id', 'content'); name it with --text-column"
    ]
    assert read(path, columns=Columns("content")) == [Document("a", "会长")]


def test_damaged_parquet(tmp_path: Path) -> None:
    path = parquet(tmp_path, {"text": [f"{n}会长" for n in range(2000)]}, row_group_size=500, compression="zstd", use_dictionary=False)  # fmt: skip
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    (cut,) = messages(read(path))
    assert cut.startswith(f"{path}: is damaged or cut short (Parquet magic bytes not found in footer")
    broken = bytearray(whole)
    middle = len(whole) // 2
    broken[middle : middle + 200] = bytes(200)
    path.write_bytes(broken)
    *documents, failure = read(path)
    assert 256 <= len(documents) <= 1000  # the batches before it
    assert messages([failure])[0].endswith(
        f"get or write it anew; the {len(documents):,} documents before that were read"
    )
