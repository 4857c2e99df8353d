"""Evaluation end to end: with a reader that makes known mistakes, and with the tiny model from the command line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from renshi.extractor import Extractor
from renshi.labels import LABELS
from renshi.markup import parse_markup
from renshi.records import Document, Entity, EventType, Failure, Record, Role
from training.evaluate import evaluate, is_damaged, is_traditional, judge, main, with_roles, worst_documents
from training.sources import Example

MARKED = [
    "{省学会|ORG}{会长|TITLE}{王进龙|PER}出席{成立大会|EVENT.FOUNDING}。\nROLE 王进龙 || 会长 || 省学会\n",
    "{李毅|PER}<b>讲话。\n",
    "谁也没来。\n",
]
EVERYTHING = frozenset(LABELS)


class Reader:
    """Reads what it is told to."""

    def __init__(self, answers: dict[str, Record | Failure]) -> None:
        self.answers = answers

    def extract(self, documents: Iterable[Document]) -> Iterator[Record | Failure]:
        for document in documents:
            yield self.answers[document.id]


def examples(annotated: frozenset[str] = EVERYTHING, doubtful: tuple[Entity, ...] = ()) -> list[Example]:
    documents = [parse_markup(marked, str(number)) for number, marked in enumerate(MARKED)]
    return [Example(d.id, d.text, d.entities, doubtful, annotated, d.roles) for d in documents]


@pytest.fixture
def judged() -> list:
    """Wrong: the event's type, a border of the person of the second page, and all of the third page, which failed."""
    pages = examples()
    first = [*pages[0].entities[:3], Entity(10, 14, "成立大会", "EVENT.MEETING")]
    answers: dict[str, Record | Failure] = {
        "0": Record("0", pages[0].text, first, [Role(2, 1, None)], event_types=[EventType("MEETING", 0.9)]),
        "1": Record("1", pages[1].text, [Entity(0, 1, "李", "PER"), Entity(5, 7, "讲话", "TITLE")]),
        "2": Failure("2", "MemoryError", "too large"),
    }
    return judge(Reader(answers), pages)  # type: ignore[arg-type]


def test_counts_what_is_right(judged: list) -> None:
    report = evaluate(judged, {"PER": {"王进龙"}, "ORG": set()}, samples=50)
    spans = report["spans"]
    assert {key: spans["micro"][key] for key in ("precision", "recall", "support")} == {
        "precision": 0.5,
        "recall": 0.6,
        "support": 5,
    }
    assert spans["PER"]["f1"] == 0.5
    assert spans["ORG"]["f1"] == 1.0
    assert (spans["EVENT"]["f1"], spans["EVENT, type ignored"]["f1"]) == (0.0, 1.0)
    assert report["roles"]["from text"]["f1"] == 0.0
    assert report["roles"]["from text, person and title"]["f1"] == 1.0
    assert report["roles"]["from gold entities"]["f1"] == 1.0
    assert report["event_types"] == {
        "set": {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 1}, "first": {"accuracy": 0.0, "support": 1},
    }  # fmt: skip
    assert report["confusion"] == {
        "EVENT.FOUNDING": {"EVENT.MEETING": 1},
        "ORG": {"ORG": 1},
        "PER": {"PER": 1, "boundary": 1},
        "TITLE": {"TITLE": 1},
        "spurious": {"TITLE": 1},
    }
    assert report["failures"] == ["2: too large"]
    assert report["slices"]["PER never seen in training"]["support"] == 1
    assert report["slices"]["PER never seen in training"]["documents"] == 1
    assert report["slices"]["under 500 characters"]["documents"] == 3
    assert report["roles"]["from text"]["f1_low"] == 0.0
    assert spans["micro"]["f1_low"] <= spans["micro"]["f1"] <= spans["micro"]["f1_high"]


def test_a_source_judges_only_what_it_annotates() -> None:
    doubtful = (Entity(3, 5, "会长", "TITLE"),)
    pages = examples(frozenset({"PER", "ORG", "TITLE"}), doubtful)[:1]
    pages = [
        Example(
            "0",
            pages[0].text,
            [e for e in pages[0].entities if e.label in ("PER", "ORG")],
            doubtful,
            pages[0].annotated,
        )
    ]
    record = Record("0", pages[0].text, [Entity(3, 5, "会长", "TITLE"), Entity(10, 14, "成立大会", "EVENT.FOUNDING")])
    report = evaluate(judge(Reader({"0": record}), pages), {}, samples=0)  # type: ignore[arg-type]
    assert report["spans"]["micro"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 2}
    assert "EVENT" not in report["spans"]
    assert report["confusion"] == {"PER": {"missed": 1}, "ORG": {"missed": 1}}


@pytest.mark.parametrize(
    ("text", "traditional", "damaged"),
    [
        ("省学会会长王进龙出席成立大会。", False, False),
        ("省學會會長王進龍出席成立大會。", True, False),
        ("省学会会长,王进龙,出席?成立大会。", False, True),
        ("省學(xué)會會長(zhǎng)王進龍出席。", True, True),
        ("省学会(xx)会长(CACA)王进龙出席,致辞。", False, False),
        ("省学会\ufffd会长\ufffd出席。", False, True),
    ],
)
def test_slices(text: str, traditional: bool, damaged: bool) -> None:
    assert (is_traditional(text), is_damaged(text)) == (traditional, damaged)


def test_sentences_of_many_persons_are_a_slice() -> None:
    names = "、".join(f"{{{name}|PER}}" for name in ("王强", "李毅", "白敏", "马霞", "宋明"))
    document = parse_markup(f"{names}任委员。{{赵平|PER}}致辞。\n", "0")
    pages = [Example("0", document.text, document.entities, (), EVERYTHING)]
    found = judge(Reader({"0": Record("0", document.text, document.entities[1:])}), pages)  # type: ignore[arg-type]
    row = evaluate(found, {}, samples=0)["slices"]["sentences of five persons and more"]
    assert (row["precision"], row["recall"], row["support"], row["documents"]) == (1.0, 0.8, 5, 1)


def test_a_name_seen_in_other_characters_is_seen(judged: list) -> None:
    traditional = parse_markup("{王進龍|PER}出席。\n", "0")
    pages = [Example("0", traditional.text, traditional.entities, (), EVERYTHING)]
    found = judge(Reader({"0": Record("0", traditional.text)}), pages)  # type: ignore[arg-type]
    assert evaluate(found, {"PER": {"王进龙"}}, samples=0)["slices"]["PER never seen in training"]["support"] == 0
    assert evaluate(found, {"PER": {"王强"}}, samples=0)["slices"]["PER never seen in training"]["support"] == 1


def test_a_total_scores_roles_only_where_they_are_annotated(judged: list) -> None:
    """A set that has names only adds spans, and takes nothing from roles and event types."""
    names = Example("x", "王进龙会长", [Entity(0, 3, "王进龙", "PER")], (), frozenset({"PER", "ORG"}))
    record = Record(
        "x", "王进龙会长", [Entity(0, 3, "王进龙", "PER"), Entity(3, 5, "会长", "TITLE")], [Role(0, 1, None)]
    )
    alone = evaluate(judged, {}, samples=0)
    both = evaluate([*judged, *judge(Reader({"x": record}), [names])], {}, samples=0)  # type: ignore[arg-type]
    assert both["spans"]["PER"]["support"] == alone["spans"]["PER"]["support"] + 1
    assert both["spans"]["TITLE"] == alone["spans"]["TITLE"]
    assert (both["roles"], both["event_types"]) == (alone["roles"], alone["event_types"])
    full = Example("x", "王进龙会长", record.entities, (), EVERYTHING)  # annotated whole, but for roles
    without = judge(Reader({"x": record}), [full])  # type: ignore[arg-type]
    assert "roles" not in evaluate(without, {}, samples=0)
    both = evaluate([*judged, *without], {}, samples=0, roles_of=[*with_roles(judged), *with_roles(without)])
    assert both["spans"]["TITLE"]["support"] == alone["spans"]["TITLE"]["support"] + 1
    assert both["roles"] == alone["roles"]


def test_the_worst_documents_come_first_escaped_with_their_differences_marked(judged: list) -> None:
    html = worst_documents(judged)
    assert html.index("<h2>1: 3 spans differ") < html.index("<h2>0: 2 spans differ")
    assert "<h2>2:" not in html  # it failed, but nothing is there to be read
    assert "&lt;b&gt;" in html
    assert "<b>讲话" not in html
    assert "<script" not in html
    assert html.count('<mark class="event differs"') == 2  # the gold one and the predicted one
    assert '<mark class="org" data-label="机构" title="ORG 1.00">省学会</mark>' in html
    assert worst_documents(judged, count=1).count("<article>") == 1
    assert "No document differs." in worst_documents([])


@pytest.fixture
def pages(tmp_path: Path) -> Path:
    """A folder of annotated pages, one of them broken."""
    folder = tmp_path / "pages"
    folder.mkdir()
    for number, marked in enumerate(MARKED):
        (folder / f"{number}.txt").write_text(marked, encoding="utf-8")
    (folder / "x.txt").write_text("{broken|PER\n", encoding="utf-8")
    return folder


def test_the_command(tiny_model: Path, pages: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "dev.json").write_text('{"text": "王强", "label": {"name": {"王强": [[0, 1]]}}}\n', encoding="utf-8")
    out, html = tmp_path / "r/report.json", tmp_path / "w/worst.html"
    command = [str(tiny_model), str(pages), f"cluener:{tmp_path}/dev.json", "--json", str(out), "--html", str(html)]
    command += ["--train-data", str(pages), "--bootstrap", "20", "--batch-tokens", "128", "--device", "cpu"]
    assert main([*command, "--compare", str(tiny_model)]) == 0
    printed = capsys.readouterr()
    report = json.loads(out.read_text(encoding="utf-8"))
    assert {name.split("/")[1]: values["documents"] for name, values in report["sets"].items()} == {
        "pages": 3, "dev.json": 1,
    }  # fmt: skip
    assert report["total"]["documents"] == 4
    assert all(values["compared"]["p"] == 1.0 for values in report["sets"].values())  # a model against itself
    assert report["sets"][f"{tmp_path.name}/pages"]["skipped"] == {"files that are not markup": 1}
    assert (report["settings"]["bootstrap"], report["settings"]["batch_tokens"]) == (20, 128)
    assert report["settings"]["train_data"] == [f"{tmp_path.name}/pages"]
    assert str(tmp_path) not in out.read_text(encoding="utf-8")  # no path of this machine
    assert html.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert "boundary" in printed.out
    assert "x.txt, line 1: a span that is never closed" in printed.err
    first = out.read_bytes()
    assert main([*command, "--compare", str(tiny_model)]) == 0
    assert out.read_bytes() == first


def test_a_document_that_fails_is_named_and_sets_the_status(
    tiny_model: Path, pages: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Extractor.extract

    def failing(self: Extractor, documents: Iterable[Document]) -> Iterator[Record | Failure]:
        return whole(self, [Failure(d.id, "MemoryError", "too large") if d.id == "1" else d for d in documents])

    monkeypatch.setattr(Extractor, "extract", failing)
    assert main([str(tiny_model), str(pages), "--bootstrap", "5"]) == 1
    assert "failed: 1: too large" in capsys.readouterr().out


def test_wrong_arguments(tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "page.txt").write_text(MARKED[0], encoding="utf-8")
    assert main([str(tmp_path), str(tmp_path)]) == 2
    assert "lacks config.json" in capsys.readouterr().err
    assert main([str(tiny_model), "nowhere"]) == 2
    assert "nowhere: there is no such file or folder" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert main([str(tiny_model), str(tmp_path / "empty")]) == 2
    assert "holds nothing that reads as markup; a folder of .txt files" in capsys.readouterr().err
    assert main([str(tiny_model), str(tmp_path), str(tmp_path)]) == 2
    assert f"{tmp_path}: given twice; each DATA is one set of the report" in capsys.readouterr().err
    assert main([str(tiny_model), str(tmp_path), "--json", str(tmp_path)]) == 2
    assert "Is a directory" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([str(tiny_model), str(tmp_path), "--bootstrap", "0"])
    assert "'0' is not a positive number" in capsys.readouterr().err


def test_sets_whose_names_end_alike_are_told_apart(tiny_model: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name / "x" / "dev").mkdir(parents=True)
        (tmp_path / name / "x" / "dev" / "0.txt").write_text(MARKED[0], encoding="utf-8")
    out = tmp_path / "report.json"
    data = [str(tmp_path / name / "x" / "dev") for name in ("a", "b")]
    assert main([str(tiny_model), *data, "--json", str(out), "--bootstrap", "5"]) == 0
    assert list(json.loads(out.read_text(encoding="utf-8"))["sets"]) == ["a/x/dev", "b/x/dev"]
