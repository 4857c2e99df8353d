"""What is written is read back, whatever stands in the text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from renshi.labels import LABELS
from renshi.markup import AnnotatedDocument, MarkupError, format_markup, parse_markup
from renshi.records import Entity

TEXT = st.text(st.sampled_from("王会\\{|} \n-"), min_size=1, max_size=6)


@st.composite
def annotated(draw: st.DrawFn) -> AnnotatedDocument:
    """A document of pieces, some of which are marked; it ends with an ideograph, as a file's last line feed is its own."""
    text, entities = "", []
    for piece in draw(st.lists(TEXT, max_size=8)):
        if draw(st.booleans()):
            entities.append(Entity(len(text), len(text) + len(piece), piece, draw(st.sampled_from(LABELS))))
        text += piece
    name = TEXT.map(str.strip).filter(lambda part: part not in ("", "-") and "\n" not in part)
    roles = draw(st.lists(st.tuples(name, name, st.none() | name), max_size=2))
    return AnnotatedDocument("a", text + "。", entities, roles)


@given(annotated())
def test_comes_back(document: AnnotatedDocument) -> None:
    assert parse_markup(format_markup(document), "a") == document


@pytest.mark.parametrize(
    ("marked", "text"),
    [
        (r"C:\新闻\a.txt", r"C:\新闻\a.txt"),
        (r"\\服务器", r"\\服务器"),
        (r"\{", "{"),
        (r"\\\{", r"\{"),
        (r"院长\\{王强|PER}", "院长\\王强"),
        (r"{王\\|PER}", "王\\"),
    ],
)
def test_backslashes(marked: str, text: str) -> None:
    assert parse_markup(marked).text == text


def test_a_label_with_a_backslash_is_none() -> None:
    with pytest.raises(MarkupError, match="unknown label"):
        parse_markup(r"{王强|PER\\}")


def test_many_backslashes_come_back() -> None:
    """In a moment: each is read once. Were each run begun anew, in hours."""
    document = AnnotatedDocument("a", "\\" * 200_000 + "。", [], [])
    assert parse_markup(format_markup(document), "a") == document
