"""A pair of marks is inside a span or outside it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from renshi.borders import pair_marks
from renshi.records import Entity


def paired(marked: str) -> str:
    """The text of 甲[乙]丙, which has one span, with the span as it is then."""
    start, end = marked.index("["), marked.index("]") - 1
    text = marked.replace("[", "").replace("]", "")
    for entity in pair_marks(text, [Entity(start, end, text[start:end], "EVENT.FORUM")]):
        assert entity.text == text[entity.start : entity.end]
        return f"{text[: entity.start]}[{entity.text}]{text[entity.end :]}"
    return text


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("主持[第一屆「醫療衛生高峰論壇]」，", "主持[第一屆「醫療衛生高峰論壇」]，"),
        ("举办“[高端论坛”]，", "举办“[高端论坛]”，"),
        ("举办[“高端论坛]”，", "举办“[高端论坛]”，"),
        ("入选[“创新大赛]十年贡献单位”", "入选“[创新大赛]十年贡献单位”"),
        ("谷歌[公司（]google）", "谷歌[公司]（google）"),
        ("伤员[”王红]说", "伤员”[王红]说"),
        ("[“挑战杯”大赛]", "[“挑战杯”大赛]"),  # both are inside
        ("“[论坛]”", "“[论坛]”"),  # both are outside
        ("[“论坛”]", "[“论坛”]"),  # whether a whole name has its marks is for the network to say
        ("举办「[旱澇之間」研討會]，", "举办[「旱澇之間」研討會]，"),
        ("《[新华文摘》杂志社]编辑", "[《新华文摘》杂志社]编辑"),
        ("「[論壇」]", "「[論壇]」"),
        ("区委（[区政府）办公室]主任", "区委（[区政府）办公室]主任"),  # in its midst
        ("[「甲（乙]丙", "[「甲（乙]丙"),  # two
        ("说：[“]到", "说：“到"),
    ],
)
def test_both_or_none(before: str, after: str) -> None:
    assert paired(before) == after


_TEXT = st.text("甲乙“”「」（）", max_size=12)


@given(_TEXT, _TEXT, _TEXT)
def test_twice_is_once_and_a_border_moves_by_one(before: str, words: str, behind: str) -> None:
    text = before + words + behind
    entities = [Entity(len(before), len(before + words), words, "ORG")] if words else []
    once = pair_marks(text, entities)
    assert all(entity.text == text[entity.start : entity.end] for entity in once)
    assert all(abs(e.start - len(before)) + abs(e.end - len(before + words)) <= 1 for e in once)
    assert pair_marks(text, once) == once


def test_nothing_overlaps() -> None:
    text = "甲「乙」丙（"
    entities = [Entity(0, 3, "甲「乙", "ORG"), Entity(3, 6, "」丙（", "PER")]  # two marks: stays as it is
    assert pair_marks(text, entities) == entities
