"""Spans end where columns do."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from renshi.columns import cut_at_columns
from renshi.records import Entity
from renshi.text import normalize


def cut(marked: str, label: str) -> list[str]:
    """What the span that is marked so, ``甲[乙　丙]丁``, is cut into, as the raw text has it."""
    before, words, behind = marked.replace("]", "[").split("[")
    normalized = normalize(before + words + behind)
    start, end = normalized.from_raw(len(before), len(before) + len(words))
    entity = Entity(start, end, normalized.text[start:end], label, 0.9)
    found = cut_at_columns(normalized, [entity])
    assert all(part.text == normalized.text[part.start : part.end] for part in found)
    assert all((part.label, part.score) == (label, 0.9) for part in found)
    return [normalized.raw[slice(*normalized.to_raw(part.start, part.end))] for part in found]


@pytest.mark.parametrize(
    ("label", "marked", "parts"),
    [
        ("ORG", "先进集体\n[急诊科   新生儿科\t伤口造口门诊]", ["急诊科", "新生儿科", "伤口造口门诊"]),
        ("ORG", "[市第一人民医院　图书馆]", ["市第一人民医院", "图书馆"]),
        ("ORG", "三獎　[亞軍　大業高工]「小火車」", ["大業高工"]),  # too short to be a body
        ("ORG", "[江　塔里木钻井公司]总经理", ["塔里木钻井公司"]),
        ("ORG", "[县 税 务 局]", ["县 税 务 局"]),  # narrow ones a scraper leaves anywhere
        ("ORG", "[Lau & Partners]", ["Lau & Partners"]),
        ("ORG", "[Lau  Partners]", ["Lau", "Partners"]),
        ("TITLE", "[主任　　副主任医师]", ["主任", "副主任医师"]),
        ("TITLE", "[会　长]王　强", ["会　长"]),
        ("TITLE", "[秘　书　长]：", ["秘　书　长"]),
        ("TITLE", "医院[区　　督导]　　王强", ["督导"]),
        ("PER", "[王　强]", ["王　强"]),
        ("PER", "[曾  巩固]", ["曾  巩固"]),
        ("PER", "[王　小　强]", ["王　小　强"]),
        ("PER", "[司徒　健民]", ["司徒　健民"]),  # and so may be any two and two
        ("PER", "[欧阳　修]", ["欧阳　修"]),
        ("PER", "[Ｊｏãｏ　Ｆｅｒｒｅｉｒａ]", ["Ｊｏãｏ　Ｆｅｒｒｅｉｒａ"]),
        ("PER", "[帕提古丽　郇　城]", ["帕提古丽", "郇　城"]),
        ("PER", "[葉順興　招　彥]", ["葉順興", "招　彥"]),
        ("PER", "[冯　唐　车　辙]", ["冯　唐", "车　辙"]),
        ("PER", "[呼斯乐　阿拉坦　其其格玛　王奔]　娜仁", ["呼斯乐", "阿拉坦", "其其格玛", "王奔"]),
        ("PER", "[Anthony Sia　許　昌]　楊揚名", ["Anthony Sia", "許　昌"]),
        ("PER", "１　[欧阳水　男]　站长", ["欧阳水"]),
        ("PER", "4B [危朗　4D] 勞斯晴", ["危朗"]),
        ("PER", "（[晏殊明 文]／[占小满 图]）".replace("[占", "占").replace("图]", "图"), ["晏殊明"]),
        ("PER", "[王 文]", ["王 文"]),
        ("PER", "[陈 大 文]", ["陈 大 文"]),
        ("EVENT.FORUM", "[第十屆　兩岸論壇]", ["第十屆　兩岸論壇"]),
    ],
)
def test_names_end_where_columns_do(label: str, marked: str, parts: list[str]) -> None:
    assert cut(marked, label) == parts


@given(st.text("王强医院男AZ4· \t　\n\u200b", max_size=20), st.sampled_from(["PER", "ORG", "TITLE"]), st.data())
def test_twice_is_once_and_nothing_grows(raw: str, label: str, data: st.DataObject) -> None:
    normalized = normalize(raw)
    size = len(normalized.text)
    start = data.draw(st.integers(0, max(size - 1, 0)))
    end = data.draw(st.integers(start, size))
    words = normalized.text[start:end]
    if not words or words != words.strip():
        return
    once = cut_at_columns(normalized, [Entity(start, end, words, label)])
    assert all(start <= part.start < part.end <= end for part in once)
    assert all(before.end <= after.start for before, after in pairwise(once))
    assert all(part.text == normalized.text[part.start : part.end] == part.text.strip() for part in once)
    assert cut_at_columns(normalized, once) == once
