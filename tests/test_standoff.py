"""Annotations apart from their text: there and back is the same markup, and another text is told from the one annotated."""

from __future__ import annotations

import json
import lzma
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from renshi.labels import LABELS
from renshi.markup import AnnotatedDocument
from renshi.records import Entity
from training.corpora import documents
from training.standoff import Annotations, StandoffError, digest, join, main, part, read_annotations

PAGES = [["标题", "省学会会长王进龙出席成立大会。"], ["一", "{|}", "省学会会长王进龙致辞。", "一", "😀𠮷學會"]]
MARKED = "一\n\\{\\|\\}\n{省学会|ORG}{会长|TITLE}{王进龙|PER}致辞。\n一\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "data/corpora").mkdir(parents=True)
    text = "\n\n".join("\n".join(page) for page in PAGES) + "\n\n"
    (tmp_path / "data/corpora/news.txt.xz").write_bytes(lzma.compress(text.encode()))
    (tmp_path / "marked").mkdir()
    (tmp_path / "marked/news.txt.xz-00001.txt").write_text(MARKED, encoding="utf-8")
    return tmp_path


def write(root: Path) -> int:
    return main(["write", str(root / "marked"), str(root / "rows.jsonl"), "--data-root", str(root / "data")])


def read(root: Path) -> int:
    return main(["read", str(root / "rows.jsonl"), str(root / "back"), "--data-root", str(root / "data")])


def test_there_and_back_is_the_same_markup_and_no_text_stands_between(root: Path) -> None:
    assert write(root) == 0
    rows = (root / "rows.jsonl").read_text(encoding="utf-8")
    assert json.loads(rows) == {
        "corpus": "corpora/news.txt.xz",
        "document": 1,
        "paragraphs": [0, 1, 2, 3],
        "sha256": json.loads(rows)["sha256"],
        "entities": [[6, 9, "ORG"], [9, 11, "TITLE"], [11, 14, "PER"]],
    }
    assert rows.isascii(), "a character of the text is in the file"
    assert read(root) == 0
    assert (root / "back/news.txt.xz-00001.txt").read_text(encoding="utf-8") == MARKED


@given(st.data())
def test_any_spans_in_any_paragraphs(data: st.DataObject) -> None:
    line = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).map(lambda s: "".join(s.split()) or "一")
    lines = data.draw(st.lists(line, min_size=1, max_size=6))
    chosen = sorted(data.draw(st.sets(st.integers(0, len(lines) - 1), min_size=1)))
    text = "\n".join(lines[number] for number in chosen)
    edges = sorted(data.draw(st.sets(st.integers(0, len(text)), max_size=8)))
    entities = [Entity(a, b, text[a:b], "ORG") for a, b in zip(edges[::2], edges[1::2], strict=False)]
    apart = part(AnnotatedDocument("x", text, entities, ()), "corpora/x", 7, lines)
    again = join(apart, lines)
    assert (again.text, list(again.entities), again.id) == (text, entities, "x-00007")


def test_another_text_is_named_and_the_rest_written(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "marked/news.txt.xz-00000.txt").write_text("标题\n", encoding="utf-8")
    assert write(root) == 0
    changed = "标题\n\n" + "\n".join(PAGES[1]) + "。\n"
    (root / "data/corpora/news.txt.xz").write_bytes(lzma.compress(changed.replace("致辞", "讲话").encode()))
    assert read(root) == 1
    assert (
        "document 1 of corpora/news.txt.xz is another text than the one that was annotated" in capsys.readouterr().err
    )
    assert [path.name for path in (root / "back").iterdir()] == ["news.txt.xz-00000.txt"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "rows.jsonl:1: is not a line of annotations"),
        ('{"corpus": "corpora/news.txt.xz"}', "KeyError('document')"),
        ('{"corpus": "corpora/none.xz", "document": 0, "paragraphs": [0], "sha256": "", "entities": []}', "no such corpus"),
        ('{"corpus": "../rows.jsonl", "document": 0, "paragraphs": [0], "sha256": "", "entities": []}', "leads out of"),
        (
            '{"corpus": "corpora/news.txt.xz", "document": 9, "paragraphs": [0], "sha256": "1", "entities": []}',
            "is another text",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(root: Path, capsys: pytest.CaptureFixture[str], line: str, said: str) -> None:
    (root / "rows.jsonl").write_text(line + "\n", encoding="utf-8")
    assert read(root) == 1
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("span", [(0, 0, "PER"), (1, 9, "PER"), (0, 1, "LOC"), (-1, 1, "PER")])
def test_a_span_that_does_not_fit(span: tuple[int, int, str]) -> None:
    row = part(AnnotatedDocument("x", "标题", [], ()), "corpora/x", 0, PAGES[0])
    with pytest.raises(StandoffError, match="is no span of a text of 2 characters"):
        join(Annotations(row.corpus, 0, row.paragraphs, row.sha256, [span]), PAGES[0])


def test_two_lines_of_one_document(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert write(root) == 0
    rows = (root / "rows.jsonl").read_text(encoding="utf-8")
    (root / "rows.jsonl").write_text(rows + rows.replace("[6, 9", "[5, 9"), encoding="utf-8")
    assert read(root) == 1
    assert "news.txt.xz-00001: a line before is of the same document" in capsys.readouterr().err
    assert (root / "back/news.txt.xz-00001.txt").read_text(encoding="utf-8") == MARKED, "the first one is kept"


def test_markup_that_is_not_of_the_corpus(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "marked/notes.txt").write_text("x\n", encoding="utf-8")
    (root / "marked/news.txt.xz-00000.txt").write_text("标题改了\n", encoding="utf-8")
    (root / "marked/news.txt.xz-00002.txt").write_text("{标|X}\n", encoding="utf-8")
    assert write(root) == 1
    said = capsys.readouterr().err
    assert "notes.txt: is not named as CORPUS-NUMBER.txt" in said
    assert "'标题改了' is no paragraph of document 0 of corpora/news.txt.xz" in said
    assert "unknown label 'X'" in said
    assert len(list(read_annotations(root / "rows.jsonl"))) == 1


def test_no_file(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert read(root) == 2
    assert "rows.jsonl" in capsys.readouterr().err


def test_documents_of_a_corpus() -> None:
    lines = ["", "a\n", " b \n", "\n", "\n", "c"]
    assert list(documents(lines)) == [(0, ["a", "b"]), (1, ["c"])]


def test_roles_are_numbers_of_entities(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = root / "marked/news.txt.xz-00001.txt"
    roles = "ROLE 王进龙 || 会长 || 省学会\nROLE 王进龙 || 会长 || -\n"
    path.write_text(MARKED + roles, encoding="utf-8")
    assert write(root) == 0
    rows = (root / "rows.jsonl").read_text(encoding="utf-8")
    assert json.loads(rows)["roles"] == [[2, 1, 0], [2, 1, None]]
    assert rows.isascii()
    assert read(root) == 0
    assert (root / "back" / path.name).read_text(encoding="utf-8") == MARKED + roles

    path.write_text(MARKED + "ROLE 王进龙 || 会长 || 学会\n", encoding="utf-8")
    assert write(root) == 1
    assert "the ROLE line 王进龙 || 会长 || 学会 names what is not marked" in capsys.readouterr().err


def test_a_name_over_two_lines_is_whole_in_its_role() -> None:
    lines = ["王进", "龙会长致辞"]
    entities = [Entity(0, 4, "王进\n龙", "PER"), Entity(4, 6, "会长", "TITLE")]
    roles = [("王进龙", "会长", None)]
    apart = part(AnnotatedDocument("x", "\n".join(lines), entities, roles), "corpora/x", 7, lines)
    assert list(join(apart, lines).roles) == roles


@pytest.mark.parametrize("role", [(0, 1, None), (2, 1, 1), (3, 1, 0), (-1, 1, 0), (None, 1, 0)])
def test_a_role_that_does_not_fit(role: tuple[int, int, int | None]) -> None:
    spans = [(0, 3, "ORG"), (3, 5, "TITLE"), (5, 8, "PER")]
    text = "省学会会长王进龙"
    with pytest.raises(StandoffError, match="role"):
        join(Annotations("corpora/x", 7, [0], digest(text), spans, [role]), [text])


@pytest.mark.parametrize("name", ["train", "test"])
def test_the_annotations_of_this_repository_hold_no_text(name: str) -> None:
    path = Path(__file__).parents[1] / f"data/annotations/{name}.jsonl"
    rows = [row for row in read_annotations(path) if not isinstance(row, StandoffError)]
    lines = path.read_text(encoding="utf-8")
    assert len(rows) == lines.count("\n")
    assert lines.isascii()
    for row in rows:
        edges = [edge for start, end, _ in row.spans for edge in (start, end)]
        assert edges == sorted(edges)
        assert {label for *_, label in row.spans} <= set(LABELS)
        for role in row.roles:
            labels = [None if number is None else row.spans[number][2] for number in role]
            assert labels in (["PER", "TITLE", "ORG"], ["PER", "TITLE", None])


def test_no_document_is_in_both_parts() -> None:
    folder = Path(__file__).parents[1] / "data/annotations"
    ids = [row.id for path in folder.glob("*.jsonl") for row in read_annotations(path) if isinstance(row, Annotations)]
    assert len(ids) == len(set(ids))
