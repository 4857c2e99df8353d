"""Packed files: read in a stream, and what stands before a damage stays."""

from __future__ import annotations

import builtins
import gzip
import json
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from renshi.documents import read_documents
from renshi.records import Document, Failure

LINES = "".join(json.dumps({"id": str(n), "text": f"{n * 7919 % 100_003}会长"}) + "\n" for n in range(5000)).encode(
    "utf-8"
)


def zstd(data: bytes) -> bytes:
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        zstd = pytest.importorskip("backports.zstd", reason='needs pip install "renshi[zst]"')
    return zstd.compress(data)  # type: ignore[no-any-return]


PACK = [("gz", gzip.compress), ("zst", zstd)]


def read(path: Path, data: bytes) -> list[Document | Failure]:
    path.write_bytes(data)
    return list(read_documents([str(path)]))


@pytest.mark.parametrize("name", ["page.txt.gz", "pages.jsonl.gz", "pages.jsonl.zst", "table.csv.gz"])
def test_no_bytes_are_no_packed_file(tmp_path: Path, name: str) -> None:
    (failure,) = read(tmp_path / name, b"")
    assert isinstance(failure, Failure)
    assert "is damaged or cut short" in failure.message


@pytest.mark.parametrize(("suffix", "pack"), PACK)
def test_packed_files_are_read(tmp_path: Path, suffix: str, pack: Callable[[bytes], bytes]) -> None:
    items = read(tmp_path / f"pages.jsonl.{suffix}", pack(LINES[:3000]) + pack(LINES[3000:]))  # two frames
    assert [item.id for item in items] == [str(n) for n in range(5000)]
    page = tmp_path / f"page.txt.{suffix}"
    assert read(page, pack("\ufeff会长".encode())) == [Document(str(page), "会长")]
    table = tmp_path / f"TABLE.CSV.{suffix.upper()}"
    assert read(table, pack("text\n会长\n".encode())) == [Document(f"{table}:2", "会长")]
    assert read(tmp_path / f"empty.jsonl.{suffix}", pack(b"")) == []


@pytest.mark.parametrize(("suffix", "pack"), PACK)
def test_of_a_file_cut_short_the_beginning_is_read(tmp_path: Path, suffix: str, pack: Callable[[bytes], bytes]) -> None:
    path = tmp_path / f"pages.jsonl.{suffix}"
    data = b"".join(pack(LINES[start : start + 20_000]) for start in range(0, len(LINES), 20_000))
    *documents, failure = read(path, data[: len(data) * 2 // 3])
    assert 2000 < len(documents) < 4000
    assert isinstance(failure, Failure)
    assert failure.id == str(path)
    assert failure.message == (
        f"{path}: is damaged or cut short (Compressed file ended before the end-of-stream marker was reached); get or pack "
        f"it anew; the {len(documents):,} documents before that were read"
    )


@pytest.mark.parametrize(("suffix", "pack"), PACK)
def test_a_damaged_file_does_not_end_the_run(tmp_path: Path, suffix: str, pack: Callable[[bytes], bytes]) -> None:
    path, after = tmp_path / f"pages.jsonl.{suffix}", tmp_path / "after.txt"
    data = bytearray(pack(LINES))
    data[len(data) // 2 : len(data) // 2 + 50] = bytes(50)
    path.write_bytes(data)
    after.touch()
    *_, failure, last = read_documents([str(path), str(after)])
    assert isinstance(failure, Failure)
    assert failure.message.startswith(f"{path}: is damaged or cut short (")
    assert last == Document(str(after), "")
    (failure,) = read(path, b"not packed at all")
    assert isinstance(failure, Failure)
    assert failure.message.startswith(f"{path}: is damaged or cut short (")


@pytest.mark.parametrize(("suffix", "pack"), PACK)
def test_a_stream_is_never_whole_in_memory(tmp_path: Path, suffix: str, pack: Callable[[bytes], bytes]) -> None:
    path = tmp_path / f"pages.jsonl.{suffix}"
    path.write_bytes(pack(b'{"text": "' + b"a" * 2000 + b'"}\n' + (b" " * 5_000 + b"\n") * 4_000))
    next(iter(read_documents([str(path)])))  # what is imported and made once
    tracemalloc.start()
    assert sum(1 for _ in read_documents([str(path)])) == 1
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3_000_000


def test_without_the_package_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *arguments: object, **keywords: object) -> object:
        if name.split(".")[0] in ("backports", "compression", "pyarrow"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *arguments, **keywords)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", without)
    for name, package, extra in (("a.txt.zst", "backports.zstd", "zst"), ("a.parquet", "pyarrow", "parquet")):
        (failure,) = read(tmp_path / name, b"")
        assert isinstance(failure, Failure)
        kind = Path(name).suffix
        assert (
            failure.message
            == f'{tmp_path}/{name}: {kind} files need the package {package}: pip install "renshi[{extra}]"'
        )
