"""Augmented copies of annotated text: other names in it, Traditional as in Taiwan or Hong Kong, damaged as by scrapers.

Three steps, each a list of edits (what stands at ``[start, end)`` becomes something else), and one function, `rewrite`,
that makes them and takes every span along. All random choices follow from the seed, the example's id and the number of
the copy, so that a run can be repeated and a source may be read in any order.

1. *Entities* are replaced by others of their kind from the training data's own gazetteer (the mention replacement of Dai
   & Adel 2020, https://aclanthology.org/2020.coling-main.343): organizations and events by ones that end alike
   (``ORGANIZATIONS``), titles by ones whose last two characters are the same, persons by names put together from
   surnames and given names. The same mention becomes the same everywhere in a copy, a surname (王院长) and a given name
   that of the person. Surnames are drawn by the square root of how many names bear them, so that rare ones come more
   often than in the data, and compound, rare and minority names more often still.
2. *Traditional*: converted by OpenCC piece by piece between the borders of spans. Since what the model reads is folded
   back, what is left of this is what does not fold: Taiwan's words (软件 → 軟體 → 软体) and some variants.
3. *Damage* (``PINYIN``, ``PUNCTUATION``, lost characters, spaces in names, line breaks). Of this, too, normalization
   takes back the better part: a test says which. Copies with it show the model what is left.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from random import Random
from typing import Any, NamedTuple

from renshi.records import Entity
from renshi.text import normalize
from training.sources import FORMATS, Example

__all__ = ["DAMAGES", "Augmentation", "Edit", "Gazetteer", "augment", "rewrite", "to_traditional"]


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """What is done to the copies of a source's examples. A source with n copies is still read as often as its weight
    says, so each text of it n + 1 times less often."""

    copies: int = 0
    substitute: float = 0.0
    """This share of the distinct mentions of a copy is replaced."""
    traditional: float = 0.0
    """This share of the copies becomes Traditional."""
    damage: float = 0.0
    """This share of the copies is damaged."""
    formats: tuple[str, ...] = ("markup",)
    """Sources of these formats are augmented."""

    def problems(self) -> Iterator[str]:
        if self.copies < 0:
            yield f"copies: {self.copies} is below 0"
        shares = {name: getattr(self, name) for name in ("substitute", "traditional", "damage")}
        for name, share in shares.items():
            if not 0 <= share <= 1:
                yield f"{name}: {share} is not between 0 and 1"
        if self.copies and not any(shares.values()):
            yield "copies: nothing is changed in them; set substitute, traditional or damage above 0"
        for name in self.formats:
            if name not in FORMATS:
                yield f"formats: {name!r} is unknown; formats are {', '.join(FORMATS)}"


class Edit(NamedTuple):
    """``text[start:end]``, which is not empty, becomes `new`."""

    start: int
    end: int
    new: str


def rewrite(example: Example, edits: Iterable[Edit]) -> Example:
    """The example with the edits made, which must not overlap. A span that an edit touches takes in all that is new there;
    one of which nothing is left goes. Roles are left out: training reads none."""
    text, parts, length = example.text, list[str](), 0
    starts, ends = list[int](), list[int]()  # of each character of the text: where that which it became begins and ends
    for start, end, new in (*sorted(edits), Edit(len(text), len(text), "")):
        last = len(starts)
        parts += [text[last:start], new]
        starts += range(length, length + start - last)
        ends += range(length + 1, length + 1 + start - last)
        length += start - last
        starts += [length] * (end - start)
        ends += [length + len(new)] * (end - start)
        length += len(new)
    changed = "".join(parts)

    def moved(entities: Sequence[Entity]) -> list[Entity]:
        places = ((starts[entity.start], ends[entity.end - 1], entity) for entity in entities)
        return [replace(e, start=start, end=end, text=changed[start:end]) for start, end, e in places if start < end]

    return replace(example, text=changed, entities=moved(example.entities), doubtful=moved(example.doubtful), roles=())


def augment(examples: Sequence[Example], gazetteer: Gazetteer, options: Augmentation, seed: int) -> list[Example]:
    """The copies of all examples, none of the examples themselves."""
    return [
        _copy(example, gazetteer, options, Random(f"{seed} {example.id} {number}"))
        for number in range(options.copies)
        for example in examples
    ]


def _copy(example: Example, gazetteer: Gazetteer, options: Augmentation, random: Random) -> Example:
    steps: list[tuple[float, Callable[[Example, Random], Iterable[Edit]]]] = [
        (1.0, lambda example, random: gazetteer.substitutions(example, options.substitute, random)),
        (options.traditional, to_traditional),
        (options.damage, _damage),
    ]
    for share, step in steps:
        if random.random() < share:
            example = rewrite(example, step(example, random))
    return example


# Persons.

_NAMES = """
compound:欧阳 上官 司马 诸葛 皇甫 尉迟 公孙 慕容 令狐 司徒 夏侯 东方 端木 轩辕 南宫 长孙 宇文 呼延 鲜于 闻人 拓跋 独孤
rare:卜 于 支 卞 尹 仇 牛 巴 甘 古 石 卢 印 乐 边 曲 伊 邬 齐 羊 汤 祁 阳 牟 纪 麦 芮 束 连 时 岑 邱 佟 狄 冷 辛 闵 沙 宋 迟
rare:苗 英 房 郁 欧 明 和 金 郎 宓 项 胥 荆 茅 哈 禹 施 闻 宣 祝 费 耿 晏 敖 党 谈 桑 郗 盛 麻 康 章 宿 谌 隋 屠 葛 揭 覃 喻
rare:粟 游 富 强 楚 路 蒙 甄 解 詹 鲍 雍 裘 阙 蔺 管 臧 翟 樊 暴 黎 稽 冀 鞠 籍 锺 能 训 乜 操 仝 逄 缪 佘 税 母 庹 宗 国 安
minority:扎西 次仁 卓玛 尼玛 达娃 格桑 旺堆 平措 央金 丹增 多吉 白玛 洛桑 索朗 曲珍 拉姆 巴特尔 其木格 乌力吉 那顺 斯琴
minority:苏日娜 哈斯 额尔敦 阿茹娜 吉克 阿依 木果 沙马 尔古 依火 曲比 玉香 岩温 罕宰
dotted:阿卜杜拉 买买提 艾力 吐尔逊 阿不都热合曼 古丽巴哈尔 迪丽拜尔 热依罕 努尔兰 艾尔肯 帕尔哈提 阿依努尔 木拉提 赛力克
dotted:阿迪力 玛依拉 吾斯曼 约翰 彼得 玛丽 安娜 迈克尔 伊万诺夫 史密斯 穆勒 桑切斯 费尔南德斯 贝克尔 奥利维拉 山姆 科瓦奇
"""
"""Surnames of two characters, and ones that few bear; parts of minorities' names without a dot (Tibetan, Mongol, Yi, Dai),
of which two make a name; parts of names with one (Uyghur, Kazakh, transliterated)."""


def _words(table: str, name: str) -> list[str]:
    rows = (row.partition(":") for row in table.split("\n"))
    return [word for kind, _, words in rows if kind == name for word in words.split()]


_COMPOUND, _RARE, _MINORITY, _DOTTED = (_words(_NAMES, name) for name in ("compound", "rare", "minority", "dotted"))
_RARE_SHARE, _MINORITY_SHARE, _DOTTED_SHARE = 0.15, 0.05, 0.07
"""How often a Chinese name is replaced by one with a surname of the tables, a minority's, one with a dot."""

ORGANIZATIONS = (
    "医院", "学院", "研究院", "研究所", "大学", "学会", "协会", "委员会", "基金会", "公司", "集团", "中心", "实验室",
    "办公室", "支部", "分会", "商会", "联合会", "联盟", "国小", "国中", "小学", "中学", "高中", "支队", "大队", "基地",
    "银行", "日报", "电视台",
)  # fmt: skip
"""Endings of organizations that take each other's place; where none fits, the last character decides."""


def _is_han(text: str) -> bool:
    return all("\u3400" <= char <= "\u9fff" for char in text)


def _split_name(name: str) -> tuple[str, str] | None:
    """Surname and given name of what is, by its form, a Chinese name: 2 or 3 characters, 3 or 4 with a compound surname."""
    surname = name[:2] if name[:2] in _COMPOUND and len(name) > 2 else name[:1]
    given = name[len(surname) :]
    return (surname, given) if _is_han(name) and 1 <= len(given) <= 2 else None


def _kind(text: str, label: str) -> tuple[str, str, bool]:
    """Mentions of one kind take each other's place. An abbreviation is of another kind than a full name."""
    ending = text[-2:]
    if label == "ORG":
        ending = next((each for each in ORGANIZATIONS if text.endswith(each)), text[-1:])
    elif label == "PER":
        ending = "·" if "·" in text else "Latin" if text.isascii() else "long"
    return label, ending, label == "ORG" and len(text) <= 4


class Gazetteer:
    """The names in some examples, by kind, as the model reads them (`normalize`)."""

    def __init__(self, examples: Iterable[Example]) -> None:
        kinds: defaultdict[tuple[str, str, bool], set[str]] = defaultdict(set)
        surnames: defaultdict[str, set[str]] = defaultdict(set)
        for entity in (entity for example in examples for entity in example.entities):
            text = normalize(entity.text).text
            if "\n" in text or not text:
                continue
            name = _split_name(text) if entity.label == "PER" else None
            if name:
                surnames[name[0]].add(name[1])
            elif entity.label != "PER" or len(text) > 1:
                kinds[_kind(text, entity.label)].add(text)
        self._kinds = {kind: sorted(names) for kind, names in kinds.items()}
        given = {part for parts in surnames.values() for part in parts}
        self._given = sorted(given) or ["伟", "敏", "建国", "晓红"]
        # What stands before one given name only may be no surname (普京).
        borne = {surname: len(parts) for surname, parts in surnames.items() if len(parts) > 1} or {"王": 1}
        self._surnames, self._weights = sorted(borne), [math.sqrt(borne[surname]) for surname in sorted(borne)]
        self._parts = sorted(
            {part for name in self._kinds.get(("PER", "·", False), ()) for part in name.split("·")} - {""}
        )

    def substitutions(self, example: Example, share: float, random: Random) -> Iterator[Edit]:
        """Edits that replace this share of the distinct mentions, each mention by the same throughout."""
        mentions = {(e.label, normalize(e.text).text) for e in example.entities}
        chosen: dict[tuple[str, str], str] = {}
        surnames: dict[str, str] = {}
        given: dict[str, str] = {}
        # Full names before what may be a part of one; sorted, as the order of a set is another in each process.
        for label, text in sorted(mentions, key=lambda mention: (-len(mention[1]), mention)):
            name = _split_name(text) if label == "PER" else None
            if label == "PER" and text in surnames:
                chosen[label, text] = surnames[text]
            elif label == "PER" and text in given:
                chosen[label, text] = given[text]
            elif name:
                chosen[label, text] = new = self._person(random) if random.random() < share else text
                parts = _split_name(new) or (new.split("·")[0], new.split("·")[0])
                surnames.setdefault(name[0], parts[0])
                given.setdefault(name[1], parts[1])
            elif random.random() < share:
                chosen[label, text] = self._other(text, label, random)
        for entity in example.entities:
            key = entity.label, normalize(entity.text).text
            if chosen.get(key, key[1]) != key[1]:
                yield Edit(entity.start, entity.end, chosen[key])

    def _surname(self, random: Random) -> str:
        if random.random() < _RARE_SHARE:
            return random.choice(random.choice((_COMPOUND, _RARE)))
        return random.choices(self._surnames, self._weights)[0]

    def _person(self, random: Random) -> str:
        draw = random.random()
        if draw < _MINORITY_SHARE:
            return "".join(random.sample(_MINORITY, 2))
        if draw < _MINORITY_SHARE + _DOTTED_SHARE:
            return self._dotted(random)
        return self._surname(random) + random.choice(self._given)

    def _dotted(self, random: Random) -> str:
        return "·".join(random.sample(self._parts if len(self._parts) > 1 and random.random() < 0.5 else _DOTTED, 2))

    def _other(self, text: str, label: str, random: Random) -> str:
        """Another of the same kind; the text itself where the data have none."""
        if label == "PER" and len(text) == 1:
            return self._surname(random)
        if label == "PER" and "·" in text:
            return self._dotted(random)
        return random.choice(self._kinds.get(_kind(text, label), [text]))


# Traditional.

_CONVERSIONS = ("s2t", "s2tw", "s2hk", "s2twp", "s2twp")  # the last, with Taiwan's words, is what does not fold back


@cache
def _converter(name: str) -> Any:
    from opencc import OpenCC

    return OpenCC(name)


def to_traditional(example: Example, random: Random) -> Iterator[Edit]:
    """Every piece between borders of spans converted by itself: 计算机 → 電腦 has no place for a border inside."""
    convert = _converter(random.choice(_CONVERSIONS)).convert
    spans = (*example.entities, *example.doubtful)
    borders = {0, len(example.text)} | {place for span in spans for place in (span.start, span.end)}
    for start, end in pairwise(sorted(borders)):
        piece = example.text[start:end]
        if (new := convert(piece)) != piece:
            yield Edit(start, end, new)


# Damage.

PINYIN = {
    "会": "huì", "学": "xué", "协": "xié", "员": "yuán", "长": "zhǎng", "业": "yè", "专": "zhuān", "医": "yī", "国": "guó",
    "务": "wù", "书": "shū", "记": "jì", "与": "yǔ", "开": "kāi", "东": "dōng", "发": "fā", "动": "dòng", "论": "lùn",
    "坛": "tán", "办": "bàn", "举": "jǔ", "单": "dān", "组": "zǔ", "织": "zhī", "团": "tuán", "议": "yì", "讲": "jiǎng",
    "训": "xùn", "质": "zhì", "产": "chǎn", "术": "shù", "级": "jí", "陈": "chén", "张": "zhāng", "刘": "liú", "杨": "yáng",
}  # fmt: skip
"""What careless converters leave behind a character that they made Traditional: 協(xié)會(huì)."""

PUNCTUATION = {"，": ",", "。": ".", "、": ",", "：": ":", "；": ";", "！": "!", "？": "?", "（": "(", "）": ")",
               "“": '"', "”": '"', "《": "<", "》": ">", "·": "."}  # fmt: skip
"""Half-width forms that come in place of the full-width ones."""

_LONG = 6  # characters of a span that may lose one


def _pinyin(example: Example, random: Random) -> Iterator[Edit]:
    convert = _converter("s2t").convert
    for place, char in enumerate(example.text):
        if char in PINYIN and random.random() < 0.3:
            yield Edit(place, place + 1, f"{convert(char)}({PINYIN[char]})")


def _narrow(example: Example, random: Random) -> Iterator[Edit]:
    signs = {sign for sign in sorted(PUNCTUATION) if random.random() < 0.7}  # throughout, as a page's software does it
    for place, char in enumerate(example.text):
        if char in signs:
            yield Edit(place, place + 1, PUNCTUATION[char])


def _lose(example: Example, random: Random) -> Iterator[Edit]:
    """One inner character of a tenth of the long spans."""
    for entity in example.entities:
        if entity.end - entity.start >= _LONG and random.random() < 0.1:
            place = random.randrange(entity.start + 1, entity.end - 1)
            yield Edit(place, place + 1, "")


def _space_out(example: Example, random: Random) -> Iterator[Edit]:
    for entity in example.entities:
        if entity.label == "PER" and len(entity.text) == 2 and _is_han(entity.text) and random.random() < 0.7:
            yield Edit(entity.start, entity.start + 1, entity.text[0] + random.choice((" ", "  ", "\u3000")))


def _break(example: Example, random: Random) -> Iterator[Edit]:
    inside = {place for e in (*example.entities, *example.doubtful) for place in range(e.start, e.end)}
    for place, char in enumerate(example.text):
        if char == "\n" and place not in inside:
            yield Edit(place, place + 1, random.choice(("", "\n", "\n", "\n\n", " ")))


DAMAGES: dict[str, Callable[[Example, Random], Iterator[Edit]]] = {
    "lost characters": _lose,
    "spaces in names": _space_out,
    "bracketed pinyin": _pinyin,
    "half-width signs": _narrow,
    "line breaks": _break,
}


def _damage(example: Example, random: Random) -> Iterator[Edit]:
    """Each kind in half of the damaged copies; where two kinds change one place, the first."""
    touched: set[int] = set()
    for kind in DAMAGES.values():
        if random.random() < 0.5:
            for edit in kind(example, random):
                places = set(range(edit.start, edit.end))
                if not places & touched:
                    touched |= places
                    yield edit
