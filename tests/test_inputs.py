"""Folders and patterns to files: what is taken, in which order, what is passed over and told."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from renshi.documents import ACCEPTED, accepts, read_documents
from renshi.inputs import Skipped, expand, takes
from renshi.records import Document, Failure

FILES = ["b.txt", "a/2.jsonl", "a/10.txt", "a/x.jpg", "a/README", "a/.hidden.txt", ".git/c.txt", "c.JPG", "d.csv.gz"]


@pytest.fixture
def pages(tmp_path: Path) -> Path:
    for name in FILES:
        (tmp_path / "pages" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "pages" / name).touch()
    return tmp_path / "pages"


def test_a_folder_at_any_depth_in_the_order_of_names(pages: Path) -> None:
    skipped = Skipped()
    found = [Path(name).relative_to(pages).as_posix() for name in expand([str(pages)], accepts, skipped)]  # type: ignore[arg-type]
    assert found == ["a/10.txt", "a/2.jsonl", "b.txt", "d.csv.gz"]
    assert skipped.sentence(ACCEPTED) == (
        f"5 in folders and patterns skipped (2 hidden, 2 .jpg, 1 without a suffix); accepted are {ACCEPTED}"
    )


def test_the_folder_one_is_in(pages: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(pages)
    assert list(expand(["."], accepts)) == ["a/10.txt", "a/2.jsonl", "b.txt", "d.csv.gz"]
    assert list(expand(["a/"], accepts)) == ["a/10.txt", "a/2.jsonl"]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("*.txt", ["b.txt"]),
        ("*/*.txt", ["a/10.txt"]),
        ("**/*.txt", ["a/10.txt", "b.txt"]),
        ("**", ["a/10.txt", "a/2.jsonl", "b.txt", "d.csv.gz"]),
        ("[bc].*", ["b.txt"]),
        ("?.txt", ["b.txt"]),
        ("**/a/*", ["a/10.txt", "a/2.jsonl"]),
        ("[a-c]/**", ["a/10.txt", "a/2.jsonl"]),
        ("**/**/1?.*", ["a/10.txt"]),
    ],
)
def test_patterns(pages: Path, monkeypatch: pytest.MonkeyPatch, pattern: str, found: list[str]) -> None:
    monkeypatch.chdir(pages)
    assert list(expand([pattern], accepts)) == found


def test_what_a_pattern_passes_over_is_counted(pages: Path) -> None:
    skipped = Skipped()
    assert [Path(str(name)).name for name in expand([f"{pages}/*"], accepts, skipped)] == ["b.txt", "d.csv.gz"]
    assert dict(skipped.counts) == {"folders": 1, ".jpg": 1}


def test_a_file_whose_name_is_a_pattern_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "a[1].txt").touch()
    assert list(expand([f"{tmp_path}/a[1].txt"], accepts)) == [f"{tmp_path}/a[1].txt"]


def test_where_nothing_is_read_that_is_a_failure(pages: Path) -> None:
    (pages / "empty").mkdir()
    messages = [
        item.message for item in expand([f"{pages}/empty", f"{pages}/*.rtf"], accepts) if isinstance(item, Failure)
    ]
    assert messages == [
        f"{pages}/empty: holds no file that is read; see what is accepted with renshi extract --help",
        f"{pages}/*.rtf: matches no file that is read; see what is accepted with renshi extract --help",
    ]


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_links_and_pipes(pages: Path) -> None:
    (pages / "circle").symlink_to(pages)
    (pages / "page.txt").symlink_to(pages / "b.txt")
    (pages / "nowhere.txt").symlink_to(pages / "not there")
    os.mkfifo(pages / "pipe.jsonl")
    skipped = Skipped()
    assert [Path(str(name)).name for name in expand([str(pages)], accepts, skipped)][2:] == [
        "b.txt",
        "d.csv.gz",
        "page.txt",
    ]
    assert skipped.counts["links to folders"] == 1
    assert skipped.counts["neither files nor folders"] == 2
    skipped = Skipped()
    names = [Path(str(name)).name for name in expand([f"{pages}/**/*.txt"], accepts, skipped)]  # glob would go round
    assert names == ["10.txt", "b.txt", "page.txt"]
    assert skipped.counts["links to folders"] == 1


@pytest.mark.skipif(os.name == "nt", reason="shorter paths")
def test_folders_deeper_than_python_recurses(tmp_path: Path) -> None:
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(1500):  # 3,000 characters of the 4,096 that a path may have
        os.mkdir("d", dir_fd=here)
        here, above = os.open("d", os.O_RDONLY, dir_fd=here), here
        os.close(above)
    os.close(os.open("page.txt", os.O_CREAT, dir_fd=here))
    os.close(here)
    try:
        assert list(expand([str(tmp_path)], accepts)) == [f"{tmp_path}/{'d/' * 1500}page.txt"]
    finally:  # pytest, which would remove them some day, recurses
        subprocess.run(["rm", "-rf", str(tmp_path / "d")], check=True)


@pytest.mark.parametrize(
    ("name", "path", "taken"),
    [
        ("pages", "pages/out.csv", True),
        ("pages", "pages2/out.csv", False),
        (".", "out.csv", True),
        ("pages/*.csv", "pages/out.csv", True),
        ("pages/*.txt", "pages/out.csv", False),
        ("pages/*.csv", "pages/more/out.csv", False),
        ("pages/**/*.csv", "pages/more/even/out.csv", True),
        ("pages/**", "pages/out.csv", True),
        ("pages/**/*.csv", "out.csv", False),
        ("**/*.csv", "out.csv", True),
        ("/**/*.csv", "out.csv", True),
    ],
)
def test_what_is_written_must_not_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, path: str, taken: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pages").mkdir()
    assert takes(name, Path(path)) is taken


def test_names_that_are_not_unicode(tmp_path: Path) -> None:
    try:
        (tmp_path / os.fsdecode(b"\xce\xc4.txt")).write_text("会长", encoding="utf-8")
    except OSError:
        pytest.skip("this file system takes only Unicode")
    assert list(read_documents([str(tmp_path)])) == [Document(f"{tmp_path}/\udcce\udcc4.txt", "会长")]
