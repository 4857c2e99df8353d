"""Evaluation end to end: with a reader that makes known mistakes, and with the tiny model from the command line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from renshi.labels import LABELS
from renshi.markup import parse_markup
from renshi.records import Document, Entity, EventType, Failure, Record, Role
from training.evaluate import evaluate, is_damaged, is_traditional, judge, main, worst_documents
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
        "2": Failure("2", "MemoryError", "2: too large"),
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
        "PER": {"PER": 1, "other borders": 1},
        "TITLE": {"TITLE": 1},
        "nothing": {"PER": 1, "TITLE": 1},
    }
    assert report["failures"] == ["2: too large"]
    assert report["slices"]["PER never seen in training"]["support"] == 1
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
    assert report["confusion"].get("nothing") is None


@pytest.mark.parametrize(
    ("text", "traditional", "damaged"),
    [
        ("省学会会长王进龙出席成立大会。", False, False),
        ("省學會會長王進龍出席成立大會。", True, False),
        ("省学会会长,王进龙,出席?成立大会。", False, True),
        ("省學(xué)會會長(zhǎng)王進龍出席。", True, True),
    ],
)
def test_slices(text: str, traditional: bool, damaged: bool) -> None:
    assert (is_traditional(text), is_damaged(text)) == (traditional, damaged)


def test_the_worst_documents_are_escaped_and_come_first(judged: list) -> None:
    html = worst_documents(judged)
    assert html.index("<h2>1: 3 spans differ") < html.index("<h2>0: 2 spans differ")
    assert "&lt;b&gt;" in html
    assert "<b>讲话" not in html
    assert "only here: 成立大会 EVENT.FOUNDING" in html


def test_the_command(tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "pages").mkdir()
    for number, marked in enumerate(MARKED):
        (tmp_path / "pages" / f"{number}.txt").write_text(marked, encoding="utf-8")
    (tmp_path / "pages" / "x.txt").write_text("{broken|PER\n", encoding="utf-8")
    (tmp_path / "dev.json").write_text('{"text": "王强", "label": {"name": {"王强": [[0, 1]]}}}\n', encoding="utf-8")
    pages, out, html = tmp_path / "pages", tmp_path / "r/report.json", tmp_path / "worst.html"
    data = [str(pages), f"cluener:{tmp_path}/dev.json"]
    command = [
        str(tiny_model),
        *data,
        "--json",
        str(out),
        "--html",
        str(html),
        "--train-data",
        str(pages),
        "--bootstrap",
        "20",
    ]
    assert main([*command, "--compare", str(tiny_model)]) == 0
    report = json.loads(out.read_text(encoding="utf-8"))
    assert [values["documents"] for values in report["sets"].values()] == [1, 3]
    assert all(values["p_not_better"] == 1.0 for values in report["sets"].values())
    assert report["settings"]["bootstrap"] == 20
    assert html.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    printed = capsys.readouterr()
    assert "micro" in printed.out
    assert "x.txt, line 1: a span that is never closed" in printed.err


def test_wrong_arguments(tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path), str(tmp_path)]) == 2
    assert "lacks config.json" in capsys.readouterr().err
    assert main([str(tiny_model), "nowhere"]) == 2
    assert "nowhere: there is no such file or folder" in capsys.readouterr().err
    assert main([str(tiny_model), str(tmp_path)]) == 2
    assert "holds nothing that reads as markup; a folder of .txt files" in capsys.readouterr().err
