"""The writers, read back by somebody else's parsers: json, csv, html.parser."""

import csv
import io
import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from renshi import writers
from renshi.labels import EVENT_TYPES, LABELS
from renshi.records import Entity, EventType, Failure, Record, Role, Roster
from renshi.writers import FORMATS, PAGE_HEAD, XlsxWriter

TEXT = "省学会会长王进龙出席成立大会。"
RECORD = Record(
    id="页/1",
    text=TEXT,
    entities=[
        Entity(0, 3, "省学会", "ORG", 0.9),
        Entity(3, 5, "会长", "TITLE", 0.8),
        Entity(5, 8, "王进龙", "PER", 0.99),
        Entity(10, 14, "成立大会", "EVENT.FOUNDING", 0.7),
    ],
    roles=[Role(2, 1, 0, 0.8), Role(2, 1, None, 0.75)],
    rosters=[Roster(1, 12, 1)],
    event_types=[EventType("FOUNDING", 0.7)],
    model="m",
)
FAILURE = Failure("<b>x", "ValueError", 'bad & "worse" <script>alert(1)</script>')


def written(name: str, *records: Record | Failure) -> str:
    stream = io.StringIO(newline="")
    writer = FORMATS[name](stream)
    for record in records:
        writer.write(record)
    writer.end()
    return stream.getvalue()


def hostile(text: str) -> Record:
    """A record whose id and every part are `text`."""
    entities = [
        Entity(index * len(text), (index + 1) * len(text), text, label) for index, label in enumerate(LABELS[:4])
    ]
    return Record(text, text * 5, entities, [Role(0, 1, 2)], [Roster(1, 3, 1)], [EventType("FOUNDING", 1.0)])


def test_jsonl_is_the_contract() -> None:
    first, second = map(json.loads, written("jsonl", RECORD, FAILURE).splitlines())
    assert first == RECORD.to_dict()
    assert first["entities"][0] == {"start": 0, "end": 3, "text": "省学会", "label": "ORG", "score": 0.9}
    assert first["roles"][1] == {"person": 2, "title": 1, "organization": None, "score": 0.75}
    assert first["rosters"] == [{"title": 1, "claimed": 12, "found": 1}]
    assert second == {"id": "<b>x", "error": {"type": "ValueError", "message": FAILURE.message}, "schema": 1}


@given(st.text(st.characters(), max_size=30))
def test_jsonl_gives_any_text_back_on_one_line(text: str) -> None:
    output = written("jsonl", Record("x", text))
    output.encode("utf-8")
    assert output.count("\n") == 1
    assert json.loads(output)["text"] == text


def test_csv_has_one_row_a_role() -> None:
    rows = list(csv.DictReader(io.StringIO(written("csv", RECORD, FAILURE), newline="")))
    assert len(rows) == 2
    assert rows[0] == {
        "document": "页/1", "person": "王进龙", "title": "会长", "organization": "省学会", "score": "0.8",
        "event_types": "成立", "person_start": "5", "person_end": "8", "title_start": "3", "title_end": "5",
        "organization_start": "0", "organization_end": "3",
    }  # fmt: skip
    assert (rows[1]["organization"], rows[1]["organization_start"]) == ("", "")


@pytest.mark.parametrize(
    "formula", ["=1+1", "+1", "-1", "@SUM(A1)", "＝1", "＋1", "－1", "＠x", "\t=1", "\r=1", " =1", "\n=1"]
)
def test_no_cell_of_the_csv_is_a_formula(formula: str) -> None:
    (row,) = csv.reader(io.StringIO(written("csv", hostile(formula)).split("\r\n", 1)[1], newline=""))
    assert [cell for cell in row if cell.endswith(formula)] == [f"'{formula}"] * 4
    assert not any(cell.strip()[:1] in "=+-@＝＋－＠" for cell in row if cell.strip())


def test_csv_is_for_spreadsheet_programs() -> None:
    assert FORMATS["csv"].encoding == "utf-8-sig"
    assert written("csv", RECORD).count("\r\n") == 3


FORMULAS = [
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "＝1",
    "\t=1",
    " =1",
    "=HYPERLINK(1)",
    "http://a.example/",
    "#N/A",
    "1",
    "TRUE",
]


def workbook(*records: Record | Failure) -> Any:
    """What openpyxl reads in the written workbook, types and all."""
    openpyxl = pytest.importorskip("openpyxl", reason='needs pip install "renshi[app]"')
    stream = io.BytesIO()
    writer = FORMATS["xlsx"](stream)
    for record in records:
        writer.write(record)
    writer.end()
    return openpyxl.load_workbook(io.BytesIO(stream.getvalue()))


def test_xlsx_has_a_sheet_for_each_kind_of_row() -> None:
    book = workbook(RECORD, FAILURE)
    rows = {sheet.title: [tuple(row) for row in sheet.iter_rows(values_only=True)] for sheet in book}
    assert {name: tuple(sheet[0]) for name, sheet in rows.items()} == XlsxWriter.SHEETS
    assert rows["roles"][1] == ("页/1", "王进龙", "会长", "省学会", 0.8, "成立", 5, 8, 3, 5, 0, 3)
    assert rows["entities"][1:3] == [("页/1", "ORG", "省学会", 0, 3, 0.9), ("页/1", "TITLE", "会长", 3, 5, 0.8)]
    assert rows["rosters"][1:] == [("页/1", "会长", 12, 1)]
    assert rows["documents"][1:] == [("页/1", "成立", 2, 4, None), ("<b>x", None, None, None, FAILURE.message)]


@pytest.mark.parametrize(("limit", "records", "sheets"), [(5, 1, 1), (5, 2, 2), (5, 3, 3), (7, 3, 2), (7, 4, 3)])
def test_xlsx_goes_on_in_a_further_sheet(
    limit: int, records: int, sheets: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record has four entities; a sheet that is just full has none behind it."""
    monkeypatch.setattr(writers, "_SHEET_ROWS", limit)
    book = workbook(*[RECORD] * records)
    names = [name for name in book.sheetnames if name.startswith("entities")]
    assert book.sheetnames[:4] == list(XlsxWriter.SHEETS)
    assert names == ["entities", *(f"entities-{number}" for number in range(2, sheets + 1))]
    rows = [list(book[name].iter_rows(values_only=True)) for name in names]
    assert {sheet[0] for sheet in rows} == {XlsxWriter.SHEETS["entities"]}
    assert all(len(sheet) == limit for sheet in rows[:-1])
    assert [row[2] for sheet in rows for row in sheet[1:]] == [entity.text for entity in RECORD.entities] * records
    assert all(book[name].freeze_panes == "A2" for name in names)


@pytest.mark.parametrize("text", FORMULAS)
def test_no_cell_of_the_xlsx_is_anything_but_its_text(text: str) -> None:
    book = workbook(hostile(text))
    cells = [cell for sheet in book for row in sheet.iter_rows(min_row=2) for cell in row if cell.value == text]
    assert len(cells) == 4 + 4 + 4 + 2 + 1  # roles, entities and their document, the roster, the document
    assert {cell.data_type for cell in cells} == {"s"}
    assert not any(cell.hyperlink for cell in cells)


@given(st.text(st.characters(), min_size=1, max_size=30))
def test_xlsx_holds_any_text(text: str) -> None:
    (_, row) = workbook(Record(text, text))["documents"].iter_rows(values_only=True)
    shown = "".join("\ufffd" if not _is_xml(char) else char for char in text)
    assert row[0] == shown


def _is_xml(char: str) -> bool:
    """https://www.w3.org/TR/xml/#charsets"""
    return char in "\t\n\r" or "\x20" <= char <= "\ud7ff" or "\ue000" <= char <= "\ufffd" or char >= "\U00010000"


class Page(HTMLParser):
    """The tags of a page, and the text of its document nodes."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.texts: list[str] = []
        self._depth = 0
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        assert not any(name.startswith("on") or name in ("src", "href") for name, _ in attributes)
        if ("class", "text") in attributes:
            self.texts.append("")
            self._depth = 1
        elif self._depth:
            self._depth += 1

    def handle_endtag(self, tag: str) -> None:
        self._depth = max(0, self._depth - 1)

    def handle_data(self, data: str) -> None:
        if self._depth:
            self.texts[-1] += data


def test_html_shows_everything() -> None:
    html = written("html", RECORD, FAILURE)
    page = Page(html)
    assert page.texts == [TEXT]
    assert page.tags.count("mark") == 4 + 4  # the legend and the spans
    for part in (
        "省学会",
        "founding",
        "12 claimed, 1 named ≠",
        'title="ORG 0.90 [0, 3)"',
        "&lt;b&gt;x",
        "&lt;script&gt;",
    ):
        assert part in html
    assert "default-src 'none'" in html


@pytest.mark.parametrize(
    "text", ["<script>alert(1)</script>", '"><img src=x onerror=1>', "&amp;", "'", "\u202e倒", "\r", "\r\n", "😀"]
)
def test_html_escapes_everything(text: str) -> None:
    page = Page(written("html", hostile(text)))
    assert not {"script", "img"} & set(page.tags)
    assert page.texts == [text * 5]


@given(st.text(st.characters(), max_size=30))
def test_html_shows_any_text_as_it_is(text: str) -> None:
    html = written("html", hostile(text))
    html.encode("utf-8")
    shown = "".join("\ufffd" if char == "\0" or "\ud800" <= char <= "\udfff" else char for char in text)
    assert Page(html).texts == [shown * 5]  # what HTML cannot hold is shown as U+FFFD


def test_html_folds_up_a_long_table() -> None:
    def page(count: int) -> str:
        return written("html", Record("x", TEXT, RECORD.entities, [Role(2, 1, 0)] * count))

    assert "<details open><summary>1 role</summary>" in page(1)
    assert "<details open><summary>16 roles</summary>" in page(16)
    assert "<details><summary>17 roles</summary>" in page(17)


def test_the_failed_document_is_told_from_the_others() -> None:
    html = written("html", FAILURE)
    assert '<article class="failed"><h2>&lt;b&gt;x</h2><p><b>Not read.</b> bad &amp; ' in html
    assert html.endswith("(ValueError)</p></article>\n</main></body></html>\n")


def test_small_labels_have_the_contrast_that_wcag_asks() -> None:
    schemes = re.findall(r"--paper: (#\w+);.*?--soft: (#\w+);.*?--per: (#\w+); --title: (#\w+); --org: (#\w+); --event: (#\w+);", PAGE_HEAD, re.S)  # fmt: skip
    assert len(schemes) == 2  # light and dark
    tint = 0.13
    assert PAGE_HEAD.count(f"{tint:.0%}, transparent") == 4
    for paper, soft, *labels in schemes:
        assert contrast(rgb(soft), rgb(paper)) >= 4.5
        for label in map(rgb, labels):
            ground = [tint * part + (1 - tint) * under for part, under in zip(label, rgb(paper), strict=True)]
            assert contrast(label, ground) >= 4.5


def rgb(color: str) -> list[float]:
    digits = color[1:] if len(color) == 7 else "".join(digit * 2 for digit in color[1:])
    return [int(digits[index : index + 2], 16) / 255 for index in (0, 2, 4)]


def contrast(color: list[float], ground: list[float]) -> float:
    """WCAG 2.2, contrast ratio: https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio"""

    def luminance(parts: list[float]) -> float:
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    dark, light = sorted((luminance(color), luminance(ground)))
    return (light + 0.05) / (dark + 0.05)


def test_html_knows_every_event_type() -> None:
    events = [EventType(name, 0.5) for name in EVENT_TYPES]
    html = written("html", Record("x", "", event_types=events))
    assert all(info.chinese in html for info in EVENT_TYPES.values())
    assert "No role was found." in html


def test_text_is_for_reading() -> None:
    assert written("text", RECORD, FAILURE, Record("z", "")) == (
        "── 页/1\n成立 founding 0.70\n省学会\n    会长  王进龙\n—\n    会长  王进龙\n会长: 12 claimed, 1 named\n\n"
        f"── <b>x\nfailed: {FAILURE.message}\n\n"
        "── z\nnothing found\n\n"
    )


def test_text_leaves_the_terminal_alone() -> None:
    entities = [Entity(0, 3, "省\n会", "ORG"), Entity(3, 6, "会\x1b长", "TITLE"), Entity(6, 9, "王\u202e强", "PER")]
    record = Record("a\x1b[2J\nb", "", entities, [Role(2, 1, 0)], [Roster(1, 3, 1)])
    failure = Failure("\x9bx", "ValueError", "no\rsuch\x07")
    assert written("text", record, failure) == (
        "── a[2Jb\n省会\n    会长  王强\n会长: 3 claimed, 1 named\n\n── x\nfailed: nosuch\n\n"
    )
