"""Where the spaces of a text part names from each other and from what is said of them, and do not stand inside of one.

Long lists of persons are often set in columns: ``李明  王 强  欧阳娜``, a name of two characters padded to the width of
three, or a line each, ``李明　某医院院长``. A BERT tokenizer drops white space, so a model would read one long run of
ideographs and guess the borders. `separators` finds these spaces, and says what running text has in their place; there
`renshi.text.normalize` puts it.

The signs are those of form alone. A *roster* is three cells and more behind one another, each of a name's length, three in
four of them beginning with a surname: 、. A *line of one* begins, or goes on behind a colon, with a name and a wide space
before what is said of it: ，. Headlines of two halves, menus, and names that a scraper broke are neither.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

__all__ = ["is_name", "separators"]

# The Hundred Family Surnames (百家姓, of the Song dynasty), Simplified, and surnames of today that are not in it.
_SURNAMES = frozenset(
    "赵钱孙李周吴郑王冯陈褚卫蒋沈韩杨朱秦尤许何吕施张孔曹严华金魏陶姜戚谢邹喻柏水窦章云苏潘葛奚范彭郎鲁韦昌马苗凤花方俞任袁柳酆鲍史唐"
    "费廉岑薛雷贺倪汤滕殷罗毕郝邬安常乐于时傅皮卞齐康伍余元卜顾孟平黄和穆萧尹姚邵湛汪祁毛禹狄米贝明臧计伏成戴谈宋茅庞熊纪舒屈项祝董梁"
    "杜阮蓝闵席季麻强贾路娄危江童颜郭梅盛林刁钟徐邱骆高夏蔡田樊胡凌霍虞万支柯昝管卢莫经房裘缪干解应宗丁宣贲邓郁单杭洪包诸左石崔吉钮龚"
    "程嵇邢滑裴陆荣翁荀羊於惠甄曲家封芮羿储靳汲邴糜松井段富巫乌焦巴弓牧隗山谷车侯宓蓬全郗班仰秋仲伊宫宁仇栾暴甘钭厉戎祖武符刘景詹束龙"
    "叶幸司韶郜黎蓟薄印宿白怀蒲邰从鄂索咸籍赖卓蔺屠蒙池乔阴郁胥能苍双闻莘党翟谭贡劳逄姬申扶堵冉宰郦雍郤璩桑桂濮牛寿通边扈燕冀郏浦尚农"
    "温别庄晏柴瞿阎充慕连茹习宦艾鱼容向古易慎戈廖庾终暨居衡步都耿满弘匡国文寇广禄阙东欧殳沃利蔚越夔隆师巩厍聂晁勾敖融冷訾辛阚那简饶空曾"
    "毋沙乜养鞠须丰巢关蒯相查后荆红游竺权逯盖益桓公岳帅缑亢况郈有琴商牟佘佴伯赏墨哈谯笪年爱阳佟"
    "肖闫付代覃仝苟兰麦粟区揭苑冼辜邸初栗迟由丛战官矫宾鹿谌税敬庹鄢揣兀亓衣隋逢修位原降门展么敦鲜海买妥撒纳达锁操祖柒楚梅晋萨种禚綦涂邝丘仉尉郄铁粘练凡"
)
_COMPOUND = frozenset(
    re.findall(
        "..",
        "万俟司马上官欧阳夏侯诸葛闻人东方赫连皇甫尉迟公羊澹台公冶宗政濮阳淳于单于太叔申屠公孙仲孙轩辕令狐钟离宇文长孙慕容鲜于闾丘"
        "司徒司空亓官司寇呼延南宫端木百里东郭南门西门独孤拓跋纳兰第五公输颛孙",
    )
)
_LEAST = 3
"""Cells of the shortest roster; ideographs of the shortest thing that is said of a name on its line."""
_SHARE = 0.75
"""Of its cells begin with a surname: minorities' names and given names alone stand among the others."""


def is_name(cell: str) -> bool:
    """Whether Simplified ideographs have the form of a Chinese name: a surname and one or two characters."""
    compound = cell[:2] in _COMPOUND
    return (2 <= len(cell) <= 3 and cell[0] in _SURNAMES) or (compound and 3 <= len(cell) <= 4)


def separators(text: str, words: re.Pattern[str], is_wide: Callable[[int, int], bool]) -> dict[int, str]:
    """Where runs of spaces begin that part names, and what stands for them: 、 or ，.

    Args:
        text: Its white space is spaces and line feeds, its ideographs are Simplified: in others few surnames are known.
        words: Matches words of ideographs with white space between and before them, as `renshi.text` defines an ideograph.
        is_wide: Whether the spaces [start, end) of the text are those of a column.
    """
    found = dict[int, str]()
    for match in words.finditer(text):
        first = match.start() == 0 or text[match.start() - 1] in _BEFORE_A_LINE
        cells = list(_cells(match[0], match.start(), first, is_wide))
        for cell, after in pairwise(cells):
            if cell.heads and cell.named and after.wide and (after.named or after.size >= _LEAST):
                found[after.space] = "、" if after.named else "，"
        start = 0
        while start < len(cells):
            end = start
            while end < len(cells) and cells[end].sized:
                end += 1
            found |= dict.fromkeys(_between(cells[start:end]), "、")
            start = end + 1
    return found


_BEFORE_A_LINE = "\n：:"
_PIECE = re.compile(r"([ \n]*)([^ \n]+)")


class _Cell(NamedTuple):
    """What may be a name."""

    space: int
    """Where the spaces before it begin; -1 where there are none, or a line feed."""
    wide: bool
    """Whether these are."""
    heads: bool
    """Whether it is the first of its line, or behind a colon."""
    size: int
    sized: bool
    """Whether it is of a name's length."""
    named: bool


def _cells(run: str, offset: int, first: bool, is_wide: Callable[[int, int], bool]) -> Iterator[_Cell]:
    """The cells of a run that begins at `offset`, the spaces inside of names left out: a surname that stands alone belongs
    to what follows it, and one character to the compound surname before it."""
    pieces = [match.groups() for match in _PIECE.finditer(run)]
    number, start = 0, offset
    while number < len(pieces):
        white, word = pieces[number]
        end = start + len(white)
        number, after_word = number + 1, end + len(word)
        if number < len(pieces) and "\n" not in pieces[number][0]:
            gap, after = pieces[number]
            if (len(word) == 1 and word in _SURNAMES and len(after) <= 2) or (word in _COMPOUND and len(after) == 1):
                word += after
                number, after_word = number + 1, after_word + len(gap) + len(after)
        parted = bool(white) and "\n" not in white and start > offset
        yield _Cell(
            start if parted else -1,
            parted and is_wide(start, end),
            "\n" in white or (first and start == offset),
            len(word),
            2 <= len(word) <= 4 or "·" in word,
            "·" in word or is_name(word),
        )
        start = after_word


def _between(cells: Sequence[_Cell]) -> Iterator[int]:
    """The spaces between cells of a name's length, if they are a roster. What stands at its ends and is no name may be a
    title before it or a word behind it."""
    named = [number for number, cell in enumerate(cells) if cell.named]
    if not named:
        return
    roster = cells[named[0] : named[-1] + 1]
    if len(roster) >= _LEAST and len(named) >= _SHARE * len(roster):
        yield from (cell.space for cell in roster[1:] if cell.space >= 0)
