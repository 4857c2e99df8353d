"""Where the spaces of a text part names from each other and from what is said of them, and do not stand inside of one.

Long lists of persons are often set in columns: ``李明  王 强  欧阳娜``, a name of two characters padded to the width of
three, or a line each, ``李明　某医院院长``. A BERT tokenizer drops white space, so a model would read one long run of
ideographs and guess the borders. `separators` finds these spaces, and says what running text has in their place; there
`renshi.text.normalize` puts it.

The signs are those of form alone. A *roster* is three cells and more behind one another, each of a name's length, three in
four of them beginning with a surname: 、. So are two names with a wide space between them. A *line of one* begins, or goes
on behind a colon, with a name and a wide space before what is said of it: ，. So have two offices a wide space between
them, columns of a table (``某局副局长　　副会长``): ，. Places, headlines of two halves, menus, and names that a scraper
broke are none of these.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

__all__ = ["WIDE", "is_name", "separators"]

# The Hundred Family Surnames (百家姓, of the Song dynasty), Simplified, and surnames of today that are not in it.
_SURNAMES = frozenset(
    "赵钱孙李周吴郑王冯陈褚卫蒋沈韩杨朱秦尤许何吕施张孔曹严华金魏陶姜戚谢邹喻柏水窦章云苏潘葛奚范彭郎鲁韦昌马苗凤花方俞任袁柳酆鲍史唐"
    "费廉岑薛雷贺倪汤滕殷罗毕郝邬安常乐于时傅皮卞齐康伍余元卜顾孟平黄和穆萧尹姚邵湛汪祁毛禹狄米贝明臧计伏成戴谈宋茅庞熊纪舒屈项祝董梁"
    "杜阮蓝闵席季麻强贾路娄危江童颜郭梅盛林刁钟徐邱骆高夏蔡田樊胡凌霍虞万支柯昝管卢莫经房裘缪干解应宗丁宣贲邓郁单杭洪包诸左石崔吉钮龚"
    "程嵇邢滑裴陆荣翁荀羊於惠甄曲家封芮羿储靳汲邴糜松井段富巫乌焦巴弓牧隗山谷车侯宓蓬全郗班仰秋仲伊宫宁仇栾暴甘钭厉戎祖武符刘景詹束龙"
    "叶幸司韶郜黎蓟薄印宿白怀蒲邰从鄂索咸籍赖卓蔺屠蒙池乔阴郁胥能苍双闻莘党翟谭贡劳逄姬申扶堵冉宰郦雍郤璩桑桂濮牛寿通边扈燕冀郏浦尚农"
    "温别庄晏柴瞿阎充慕连茹习宦艾鱼容向古易慎戈廖庾终暨居衡步都耿满弘匡国文寇广禄阙东欧殳沃利蔚越夔隆师巩厍聂晁勾敖融冷訾辛阚那简饶空曾"
    "毋沙乜养鞠须丰巢关蒯相查后荆红游竺权逯盖益桓公岳帅缑亢况郈有琴商牟佘佴伯赏墨哈谯笪年爱阳佟"
    "肖闫付代覃仝苟兰麦粟区揭苑冼辜邸初栗迟由丛战官矫宾鹿谌税敬庹鄢揣兀亓衣隋逢修位原降门展么敦鲜海买妥撒纳达锁操祖柒楚梅晋萨种禚綦涂邝丘仉尉郄铁粘练凡冶喇闪勉脱"
)
_COMMON = frozenset(
    "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林罗郑梁谢宋唐许韩冯邓曹彭曾肖田董潘袁蔡蒋余于杜叶程魏苏吕丁任卢姚沈钟姜崔谭陆汪范廖石贾韦夏付方邹熊白"
    "孟秦邱侯江尹薛闫段雷龙史陶贺毛郝顾龚邵万覃武钱戴严莫孔向汤游简詹施庄柯翁洪涂"
)
"""Those that four in five bear: two of them before a given name are a married woman's (陈马玉珍), or a double one (范姜)."""
_COMPOUND = frozenset(
    re.findall(
        "..",
        "万俟司马上官欧阳夏侯诸葛闻人东方赫连皇甫尉迟公羊澹台公冶宗政濮阳淳于单于太叔申屠公孙仲孙轩辕令狐钟离宇文长孙慕容鲜于闾丘"
        "司徒司空亓官司寇呼延南宫端木百里东郭南门西门独孤拓跋纳兰第五公输颛孙",
    )
)
_POST = "董事|监事|理事|主任|主席|书记|秘书|干事|委员|[事会院校部局处科所书区司师团社馆]长"
_NO_PERSON = re.compile(
    f"(?:.*(?:组员|会员|{_POST})|单位|时间|项目|金额|年龄|籍贯|班级|简介|方案|总务|财政|福利|查[账帐]|交际|文书|书法|篆刻|成果|通知|连长|家长|通讯员|党员|官员|成员|顾问|经理|代表|司机"
    "|初审|终审|编辑|责编|摄影|任[命免].?)\\Z"
)
"""Offices, words of an imprint, and what stands before a name: many begin with what may be a surname (通讯员, 任命邸　妍).
They end a roster."""
_PLACES = "部科处局署厅院省市县区委"
"""The last ideographs of bodies and places, which end a roster too, if they aren't set as names are (易　县)."""
_OFFICE = re.compile(
    f"(?:{_POST}|[组队县市省]长|经理|总监|总裁|顾问|巡视员|调研员|科员|院士|研究员|教授|律师|会计师|工程师|医师|护师|药师|技师)\\Z"
)
_ONE_OFFICE = re.compile("主任(?:委员|[医护药技]师|护士)|常务(?:理事|委员|董事)|执行(?:主任|主席|理事|董事)")
"""What a scraper's space may part, office by office though it is."""
WIDE = 2
"""Characters of half width: from here on white space is a column's."""
_FEWEST_CELLS = 3
"""Of a roster."""
_SHORTEST_WORD = 3
"""Ideographs of what is said of a name on its line."""
_SHARE = 0.75
"""Of its cells begin with a surname: minorities' names and given names alone stand among the others."""


def is_name(cell: str) -> bool:
    """Whether Simplified ideographs have the form of a Chinese name: a surname, or two as married women have, and one or two
    characters."""
    double = cell[:2] in _COMPOUND or (len(cell) == 4 and _COMMON.issuperset(cell[:2]))
    named = (2 <= len(cell) <= 3 and cell[0] in _SURNAMES) or (double and 3 <= len(cell) <= 4)
    return named and cell[-1] not in _PLACES and not _NO_PERSON.match(cell)


def separators(text: str, words: re.Pattern[str], width: Callable[[int, int], int]) -> dict[int, str]:
    """Where runs of spaces begin that part names, and what stands for them: 、 or ，.

    Args:
        text: Its white space is spaces and line feeds, its ideographs are Simplified: in others few surnames are known.
        words: Matches words of ideographs with white space between and before them, as `renshi.text` defines an ideograph.
        width: How wide the spaces [start, end) of the text are, in characters of half width.
    """
    found = dict[int, str]()
    for match in words.finditer(text):
        first = _BEFORE_A_LINE.search(text, max(0, match.start() - _LONGEST_NUMBER), match.start()) is not None
        pieces = list(_pieces(match[0], match.start(), first, width))
        _tell_sexes(pieces)
        cells = list(_cells(pieces))
        for cell, after in pairwise(cells):
            stands_alone = cell.heads or cell.wide
            if cell.named and after.wide and (after.named or (stands_alone and len(after.word) >= _SHORTEST_WORD)):
                found[after.space] = "、" if after.named else "，"
            elif (after.wide and _part_offices(cell.word, after.word)) or cell.sex or after.sex:
                found[after.space] = "，"
        start = 0
        while start < len(cells):
            end = start
            while end < len(cells) and cells[end].sized:
                end += 1
            found |= dict.fromkeys(_between(cells[start : end + 1]), "、")
            start = end + 1
    return found


def _part_offices(word: str, after: str) -> bool:
    """Whether two words are offices, and not one that is broken, nor the second a person with one (``主任　李明教授``)."""
    if not (_OFFICE.search(word) and _OFFICE.search(after)) or _ONE_OFFICE.search(word[-2:] + after):
        return False
    return after.startswith("常务") or not any(
        is_name(after[:length]) and _OFFICE.search(after, length) for length in (2, 3)
    )


_BEFORE_A_LINE = re.compile(r"(?:\A|[\n：:])[ ]*(?:[0-9]{1,4}[、.]?)?\Z")
_LONGEST_NUMBER = 9
"""Characters of it, spaces before it and the sign behind it."""
_SEXES = frozenset("男女")
_MOST_PIECES = _LONGEST_SPACED_OUT = 3
"""Of a name whose characters stand apart."""
_PIECE = re.compile(r"([ \n]*)([^ \n]+)")


class _Cell(NamedTuple):
    """What may be a name."""

    word: str
    space: int
    """Where the spaces before it begin; -1 where there are none, or a line feed."""
    width: int
    """Of these, in characters of half width."""
    heads: bool
    """Whether it is the first of its line, or behind a colon."""
    padded: bool = False
    """Whether it is two single characters with wide spaces between them, as names of two are set among those of three."""
    sex: bool = False
    """Whether it is 男 or 女 in a column of a table, the name before it, more behind it."""

    @property
    def wide(self) -> bool:
        return self.width >= WIDE

    @property
    def sized(self) -> bool:
        """Whether it is of a name's length, and no office or place."""
        no_name = _NO_PERSON.match(self.word) or (self.word[-1] in _PLACES and not self.padded)
        return (2 <= len(self.word) <= 4 and not no_name) or "·" in self.word

    @property
    def named(self) -> bool:
        return "·" in self.word or is_name(self.word)


def _tell_sexes(pieces: list[_Cell]) -> None:
    """Mark the cells of a table's column of sexes."""
    for number in range(1, len(pieces) - 1):
        piece, after = pieces[number], pieces[number + 1]
        if piece.word not in _SEXES or piece.space < 0 or after.space < 0 or len(after.word) < 2:
            continue
        first = number - 1
        while not pieces[first].heads and first > number - _MOST_PIECES and pieces[first].space >= 0:
            first -= 1
        if pieces[first].heads and 2 <= sum(len(name.word) for name in pieces[first:number]) <= 4:
            pieces[number] = piece._replace(sex=True)


def _pieces(run: str, offset: int, first: bool, width: Callable[[int, int], int]) -> Iterator[_Cell]:
    """What stands between the white space of a run that begins at `offset`."""
    for match in _PIECE.finditer(run):
        start, end = offset + match.start(1), offset + match.end(1)
        parted = start < end and "\n" not in match[1] and match.start() > 0
        yield _Cell(
            match[2],
            start if parted else -1,
            width(start, end) if parted else 0,
            "\n" in match[1] or (first and match.start() == 0),
        )


def _cells(pieces: Sequence[_Cell]) -> Iterator[_Cell]:
    """The cells of a run: single characters are put together to names, and a surname that is left alone, or one of two
    characters, with what follows it."""
    threes = any(len(piece.word) == 3 and is_name(piece.word) for piece in pieces)
    number = 0
    while number < len(pieces):
        end = number + 1
        groups: Sequence[Sequence[_Cell]] = [pieces[number:end]]
        if len(pieces[number].word) == 1:
            while end < len(pieces) and len(pieces[end].word) == 1 and pieces[end].space >= 0 and not pieces[end].sex:
                end += 1
            given = end < len(pieces) and pieces[end].space >= 0 and len(pieces[end].word) == 2
            groups = _spaced_out(pieces[number:end], threes, given)
        if end < len(pieces) and pieces[end].space >= 0:
            last, after = "".join(piece.word for piece in groups[-1]), pieces[end].word
            if (last in _SURNAMES and len(after) == 2) or (last in _COMPOUND and len(after) == 1):
                groups = [*groups[:-1], [*groups[-1], pieces[end]]]
                end += 1
        for group in groups:
            word = "".join(piece.word for piece in group)
            yield group[0]._replace(word=word, padded=len(group) == len(word) == 2 and group[1].wide)
        number = end


def _spaced_out(letters: Sequence[_Cell], threes: bool, given: bool) -> Sequence[Sequence[_Cell]]:
    """Single characters, by names of two or three each: the wider gaps part them, or the narrower ones where names are
    padded to one width; where all gaps are alike, every second or third.

    Args:
        letters: Single characters, one behind the other.
        threes: Whether the run has names of three that are not spaced out; then only those of two are.
        given: Whether two characters follow, which may be the given name of the last one.
    """
    count, gaps = len(letters), [letter.width for letter in letters[1:]]
    narrow, wide = min(gaps, default=0), max(gaps, default=0)
    by_twos, by_threes = _cut(letters, range(2, count, 2)), _cut(letters, range(3, count, 3))
    if narrow < wide:
        ways = [
            _cut(letters, (number for number, gap in enumerate(gaps, start=1) if gap > narrow)),
            _cut(letters, (number for number, gap in enumerate(gaps, start=1) if gap < wide)),
        ]
    else:
        ways = [by_twos] if count % 2 == 0 or given else []
        if count % 3 == 0:
            ways.insert(len(ways) if threes or count % 2 == 0 else 0, by_threes)
    for groups in ways:
        whole = groups[:-1] if given and len(groups[-1]) == 1 else groups
        names = sum(is_name("".join(letter.word for letter in group)) for group in whole)
        if names >= _SHARE * max(1, len(whole)):
            return groups
    if narrow < wide:
        return ways[0]
    # No names by their surnames: names all the same where they are set like names, else one word.
    return by_twos if ways and wide >= WIDE and count > _LONGEST_SPACED_OUT else [letters]


def _cut(letters: Sequence[_Cell], borders: Iterable[int]) -> Sequence[Sequence[_Cell]]:
    return [letters[begin:end] for begin, end in pairwise([0, *borders, len(letters)])]


def _between(cells: Sequence[_Cell]) -> Iterator[int]:
    """The spaces between cells of a name's length, if they are a roster. What stands at its ends and is no name may be a
    title before it or a word behind it. The last of `cells` may be longer: a name and what is said of it (``李明分别说``).
    """
    named = [number for number, cell in enumerate(cells) if cell.named]
    if not named:
        return
    first, last = named[0], named[-1]
    count = len(named)
    after = cells[-1]
    if last == len(cells) - 2 and after.space >= 0 and len(after.word) > 4 and after.word[0] in _SURNAMES:
        last, count = last + 1, count + 1
    roster = cells[first : last + 1]
    set_alike = sum(cell.padded and not cell.named for cell in roster)
    if len(roster) >= _FEWEST_CELLS and count + min(count, set_alike) >= _SHARE * len(roster):
        yield from (cell.space for cell in roster[1:] if cell.space >= 0)
