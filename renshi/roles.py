"""Roles from entities and the words between them: who holds which post where, by a small grammar.

Between two neighbouring entities stands a *link*: nothing, a comma, ``任``, ``兼`` … The table `LINKS` says which words
make which link, and a reader walks once over the entities and their links. What it keeps is little: the persons listed
last, the titles that wait for their person, and the organizations of the sentence. A waiting title goes to the person
after it (``省学会会长王进龙``); where none follows, to the persons before it, if the link allows that
(``王进龙任会长``, ``白静慧教授``, ``王进龙，省学会会长，``); and what then is nobody's, to the person whose curriculum vitae it
stands in, or whose name is the line above. Events are no parts: their words are read like any others.
The walk is linear in the text, and costs besides only what it gives out.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from functools import cache, lru_cache
from typing import NamedTuple

from renshi.records import Entity, Role, Roster

__all__ = ["LINKS", "Link", "find_roles"]


class Link(Enum):
    """What the words between two entities say about them."""

    JOIN = auto()  # nothing, or words that leave the two together: 原, 同志, a quotation mark
    BOTH = auto()  # 兼: the next title belongs to the same person
    LIST = auto()  # 、 和
    COMMA = auto()  # a comma, or a comma and what a curriculum vitae says in between
    COLON = auto()  # from a title to those who hold it: 会长：王强, 会长由王强
    HOLDS = auto()  # from persons to what they become or are: 任, 当选为, 等三位
    GOES_ON = auto()  # from one post of somebody to their next: ，2011年起任
    LINE = auto()  # a line feed alone
    CLAUSE = auto()  # a semicolon
    WORDS = auto()  # anything else inside the sentence
    STOP = auto()  # the sentence ends


_NUMBER = "[0-9]{1,6}|[一二两三四五六七八九十百零〇]{1,9}"
_MARKS = "[《》“”「」『』〈〉\"'·—─\\-－/|｜ ]"
_TERM = "第?[一二三四五六七八九十百0-9、]{1,12}[届任次]|首届|本届|新一届|上届|上一届"
# Words before a title that say when, in which term or in which manner it is held, never where.
_WHEN = (
    "(?:原任|原|前|老|时任|现任|现|新任|首任|历任|卸任|离任|已故|当时|退休|荣休|新当选(?:的|(?!的))|在任|代理|新年度|主持工作|挂职|[0-9]{2,4}级|"
    f"{_TERM})"
)
# A bare noun before a title stands for an organization that the sentence may have named in full.
_BARE = "(?:集团|学院|医院|研究院|中心|联合社|联盟|协会|学会|大会|专委会|分会|委员会|基金会|公司|理事会|所|会)"
# Words that point at a body which the guidelines do not count as named.
_OURS = (
    "(?:我校|我院|学校|校区|校|该校|我省|我市|我县|全国|[东西南北中]区|"
    "本(?:校|院|会|省|市|县|系|所|科室?|教研室|研究所|中心|单位|部门|公司|集团))"
)
_TO_TITLE = f"(?:{_MARKS}|{_WHEN}|该|{_BARE}|{_OURS}|的)*"
_NAMED = "(?:同志|先生|女士|小姐|老师|大夫|医生|神父|夫妇|伉俪)"  # after a name
# Descriptions before a name that are no titles.
_WHO = (
    "(?:专家|教师|学家|校友|得主|获得者|候选人|学者|负责人|骨干|选手|教练|医生|律师|建筑师|艺术家|书法家|[0-9]号|"
    f"(?:{_NUMBER})岁的)"
)
_ETC = f"(?:[等共计]*(?:{_NUMBER}|数|多)[余多]?(?:名|位|人)[^，。；：、]{{0,12}}|等(?:人|同志|专家)?)"
_CHOSEN = "(?:推选|推举|选举|增补|增选|改聘|聘任|聘请|特聘|敦聘|聘|任命|提名|推|选|评|授予|晋升|升)"
_TAKES = (
    "(?:担任|兼[任代理]|身兼|出任|就任|续任|连任|留任|转任|升任|调任|接任|赴任|历任|曾任|现任|时任|拟任|署任|(?<![新卸离首原胜责信])任|"
    "(?<!新)当选|新当选为|连选|获选|荣任|获推|荣膺|膺选|膺任|蝉联|履新|接掌|接下|卸下|"
    f"{_CHOSEN}为|(?:被|获|受|获得){_CHOSEN}|为|是|成为|作为|担当|出掌|辞去|免去其|不再担任|不再兼任)"
)
# Behind the name of who is given a letter of appointment.
_CONFERS_ON = f"[^。；，]{{0,4}}(?:颁发|颁授|颁赠|授予|发放|送上)了?(?:{_MARKS}|{_WHEN})*"
# Words behind a name that make the post which follows another's: 王强感谢历任会长, 王强宣读了关于聘任副会长的决定.
_NOT_OF = "(?![^。；]{0,14}(?:感谢|祝贺|勉励|期勉|期许|要求|希望|欢迎|慰问|看望|宣读|宣布|关于)(?![他她其]))"
# The verbs among them whose subject may stand a clause before.
_TURNS = (
    "(?:担任|成为|兼[任代理]|免兼|出任|就任|续任|连任|留任|转任|升任|调任|接任|历任|曾任|现任|时任|拟任|署任|(?<![新卸离首原胜责信])任|(?<!新)当选为?|"
    "获聘为?|受聘为?|改聘为|晋升为?|升为?|辞去|免去其?|也是|不再担任|不再兼任)"
)
# What stands between a name and the posts in a curriculum vitae: ，男，汉族，1979年11月出生，工学博士
_LIVES = (
    "(?:男|女|[^，。；]{1,3}族|中共党员|[^，。；]{0,14}[生人]|[^，。；]{0,8}(?:学位|学历|学士|硕士|博士|国籍|居留权))"
)
_LIFE = f"(?:，{_LIVES})+"
_ENTRUSTS = (
    f"(?:(?:{_NUMBER})[名人位])?(?:名单|候选人)?(?:{_MARKS}*[：:]{_MARKS}*|(?:一职)?(?:分?别?|依次)(?:为|是|由)[：:]?)"
)

# What is left of a name that was not recognized, or not whole, in a list.
_LOST = "(?!成员|组员|团员|队员|会员|学员|候补|来源|供稿|审核|校对|图文)[^，。；：、 \\n率说在为与和任向由对致]"
_NEXT = "(?: *[、\\n] *| +)"

# Read from above: the first row whose kinds and whole pattern fit names the link. The kinds are those of the entities
# on both sides: P, T, O, or . for any. A narrower row stands before a wider one.
LINKS: tuple[tuple[Link, tuple[str, ...], str], ...] = (
    (Link.LINE, ("T.", "O.", "PT", "PO"), " *\\n[ \\n]*"),
    (Link.LINE, ("TP",), f"[共计]*(?:{_NUMBER})[名人位](?:名单)? *\\n[ \\n]*|名单 *\\n[ \\n]*"),
    (Link.LINE, ("PP",), " *\\n *"),
    (Link.JOIN, ("..",), f"{_MARKS}*的?{_MARKS}*"),
    (Link.JOIN, (".T",), _TO_TITLE),
    (Link.JOIN, (".O",), f"(?:{_MARKS}|{_WHEN}|的)*"),
    (Link.JOIN, ("P.",), f"{_NAMED}{_TO_TITLE}"),
    (Link.JOIN, ("TP",), f"{_NAMED}|(?:[、，][^，。；：、]{{0,14}}|[^，。；：、]{{0,5}}){_WHO}"),
    (Link.JOIN, ("OP",), f"由|[^，。；：、]{{0,10}}{_WHO}"),
    (Link.BOTH, ("TT", "TO"), f"[，、]?(?:并?兼任?|暨){_TO_TITLE}"),
    (Link.JOIN, ("OT",), "： *\\n? *"),
    (Link.LIST, ("..",), f"{_NAMED}?\\n?{_MARKS}*(?:[、/]|及其?|和|与|以及|并|或|跟|同|暨)\\n?{_TO_TITLE}"),
    (Link.LIST, ("PT", "PO"), f"{_NAMED}?(?:，并?由|率[同领]?|偕同?|携同?|[会连]同){_TO_TITLE}"),
    (Link.GOES_ON, ("OO", "OT"), f"，(?:现任|历任|曾任|时任)(?:{_MARKS}|{_WHEN})*"),
    (Link.COMMA, ("..",), f"{_NAMED}?\\n?{_MARKS}*，(?:以及|及|并?由)?\\n?{_TO_TITLE}"),
    (Link.COMMA, ("P.", "T."), f"{_LIFE}，"),
    (Link.COLON, ("TP", "TO", "TT"), f"{_ENTRUSTS}\\n? *"),
    (Link.HOLDS, ("PT",), f"{_NAMED}?{_ETC}"),
    (
        Link.HOLDS,
        ("PT",),
        f"(?!(?:以及|及|和|与){_TAKES}){_NOT_OF}[^。；]{{0,16}}{_TAKES}{_TO_TITLE}[^，。；：、]{{0,12}}",
    ),
    (
        Link.HOLDS,
        ("PO",),
        f"{_NOT_OF}[^。；]{{0,16}}{_TAKES}(?:{_MARKS}|{_WHEN}|(?:公司)?(?:全资|控股|下属|所属)(?:子公司)?)*",
    ),
    (Link.HOLDS, ("PT", "PO"), f"{_NAMED}?(?:系|并?兼){_TO_TITLE}"),
    (Link.HOLDS, ("PT", "PO"), f"：(?:{_LIVES}，)+"),
    (
        Link.HOLDS,
        ("PT", "PO"),
        f"{_MARKS}*(?:[男女]，?|[^，。；、]{{1,4}}族，)+{_MARKS}*(?:[0-9]{{4}}年[^，。；]{{0,6}}生，?{_MARKS}*)?",
    ),
    (Link.HOLDS, ("PT", "PO", "TT", "TO"), _CONFERS_ON),
    (Link.HOLDS, ("P.",), f"{_LIFE}，[^。；]{{0,24}}{_TAKES}(?:{_MARKS}|{_WHEN})*"),
    (Link.GOES_ON, ("TT", "TO"), f"{_NOT_OF}{_NAMED}?[^，。；：、]{{0,16}}{_TAKES}{_TO_TITLE}"),
    (
        Link.GOES_ON,
        ("TT", "TO", "OT", "OO"),
        f"{_NOT_OF}(?:[^。；]{{0,12}}[。；])?[^。；]{{0,24}}(?<!由){_TURNS}{_TO_TITLE}",
    ),
    (Link.LINE, ("PP",), f"{_LOST}?(?:{_NEXT}(?:{_LOST}{{1,4}}{_NEXT}){{0,4}}{_LOST}?)?"),
)
_LONGEST_LINK = 80  # characters; a longer gap is a clause of its own, whatever its last words are

# What a curriculum vitae begins with behind the name, and what of it can only be that; what stands behind a post that is a
# line's own, and one that is told in a curriculum vitae; what a line begins with before an entity.
_BEGINS_VITA = re.compile(
    "(?:同志|先生|女士)?(?:简历|简介|[，：（]|于?(?:[0-9]|[一二〇零○三四五六七八九]){4}年[^，。；]{0,8}(?:出生|生于|诞生))"
)
_LIFE_BEGINS = re.compile(f"(?:同志|先生|女士)?(?:简历|简介|[：（，]{_LIVES}(?=[，。；）]))")
_PARAGRAPH = 300  # characters; what a longer paragraph without a name is about is not asked
_GOES_ON_VITA = re.compile(  # behind an empty line
    "\\n\\n *(?:[12][0-9]{3}\\.|现[任兼为]|曾任|历任|先后|兼任|"
    "(?:[他她]?于?(?:[12][0-9]{3}|[一二][〇零○一二三四五六七八九]{3})年|同年|其间|抗日战争|解放战争|民国|清[光宣同咸道])"
    "[^\\n]*(?:任|当选|聘|晋升|进入|考[入取]|毕业|生于|参加工作|调[入到任]|转业|留校|[他她]从))[^\\n]*\\Z"
)
_ENDS_LINE = re.compile("；|（(?:其间|期间|[0-9]{4}[年.])|[》」”。；，]*(?:（[^（）\\n]*）)?[。； ]*(?:\\n|\\Z)")
_ENDS_CLAUSE = re.compile("[》」” ]*(?:[，。；.（\\n]|\\Z|和|等[，。；])")
_ENDS_POST = re.compile("[，、；。（\\n ]|\\Z")
_BEGINS_LINE = re.compile(
    "\\n[ 0-9一二三四五六七八九十（）年月至今.\\-—–~、：【】《·▪●•]*"
    "(?:现任|曾任|历任|兼任|[^ \\n，。：】]{0,4}(?:简介|介绍)[】：]+|"
    # The fields of a form.
    "(?:姓 *名|主讲人|报告人|讲者|职 *务|职 *称|单 *位|导师类别|"
    "(?:行政|现任|学术|社会|主要)(?:职务|兼职|任职)|(?:所在|工作|任职)单位)：)?《?\\Z"
)
_NEXT_ROW = re.compile("\\n *[0-9]{1,4}[.、．)）]? *\\Z")  # of a table, or of a numbered list
_STOP = re.compile("[。！？!?]|\\n[ \\n]*\\n|(?:^|[^A-Za-z0-9.])\\.(?![A-Za-z0-9. ])")
_DATELINE = re.compile("[^，。]{0,20}(?:讯|电|消息)")  # 某社5月1日电（记者王强）
_REMARK = re.compile("（[^（）]*）")  # brackets that hold no entity say nothing about roles
_BRACKET = re.compile("([（）])")
_AFTER_BARE = re.compile(f".*?({_BARE}){_MARKS}*{_WHEN}*")
_AFTER_OURS = re.compile(f".*{_OURS}(?:{_MARKS}|{_WHEN})*")
_AFTER_COMMA = re.compile(f".*(?:[，；由在]|受到?了?)(?:{_MARKS}|{_WHEN}|的)*|[^。；\\n]*(?:新任|现任|卸任|新当选的?)")
_AFTER_OTHERS = re.compile(f".*{_TAKES}{_TO_TITLE}[^，。；：、]*[组团队班]")
_AS_SUCH = re.compile("(?:作为|身为)\\Z")
_MOVED = re.compile("[在于赴到至往入回调]\\Z")
# 到某厂任技术员: the body is where the post is held.
_TAKEN_UP = re.compile(f"[^，。；：]{{0,4}}{_TURNS}(?:{_MARKS}|{_WHEN})*")
_TURN = re.compile(f"(?:.*[。；，\\n])?[^。；，\\n]{{0,16}}(?<!由){_TURNS}(?:{_MARKS}|{_WHEN}|{_BARE})*", re.DOTALL)
_OF_ISSUER = re.compile(".*(?:任公司|(?:加入|进入|入职)本?(?:公司|集团).*)")  # whose report it is
_STYLED = re.compile(_NAMED)
_TOGETHER = re.compile(_ETC)  # 甲、乙2位教授

# Before somebody of whom a curriculum vitae speaks by the way, and before another name: 王强，字自强，师从李明，现任某院院长.
_BY_THE_WAY = re.compile(
    "(?:师从|师承|师事|从师|受教于|受业于|导师[为是系]?|跟随|追随|接替|接棒|代替|取代|(?:^|[，；])[经继])[^，。；：\\n]{0,8}\\Z|"
    "(?:(?:^|[，；（])(?:字|号)|谱名|原名|曾用名|笔名|又名|本名|学名|别名|化名|艺名|法名)[为是：]?\\Z"
)
_IN_TURN = re.compile("分别|依次")
_MEETS = re.compile("(?:晋见|觐见|谒见|拜会|会见|接见)$")
_FOR = re.compile("(?:.*[^选聘成作推任升举荐评])?为[^，、]*")
_LETTER = re.compile(_CONFERS_ON)
_RECEIVES = re.compile("(?:[为向给]|予)[^，。；]{0,8}\\Z")
# Behind the one to whom something is given.
_GIVES = re.compile("(?:同志|等[^，。；]{0,8})?(?:颁|授|揭|佩戴|献|送|发(?![言布表现展起出]))")
_ENDS_OF_CLAUSE = re.compile("[，。；\\n]")
_GROUP = re.compile(f"(?:共|各)?(?:{_NUMBER})[名人位]")  # ，常委21名: the title counts, it is nobody's
_GROUP_BEHIND = re.compile("们|候选人|代表(?:们|等)")  # 某某副秘书长、某局及立委、议员们
# Offices that name their own place or body; what the sentence names before them is not where they are held.
_OF_ITSELF = re.compile(
    "(?!.*(?:国际|[院病校社园片厂]区)).*[省市县区乡镇州国旗].*长|.*[村里]长|.{2,}部长|.+[省市县区乡镇州旗村](?:党委|委)?书记|国家主席|总书记|国务委员|政务委员|国策顾问|[县市]政顾问|.*民政事务(?:助理)?专员|"
    ".*(?:总统|总理|首相|国王|大使|行政长官|立法委员|.议员|人大代表|大会代表|立委|体育署长)|机关党委(?:副|专职副)?书记|"
    "(?!.*副).{2,}[局处厅署站]长|(?:大会|会议).*主席"
)
_HEADS_PLACE = re.compile("[省市县区乡镇州旗]长\\Z")
# What several are at once in one body.
_SEVERAL = re.compile(
    ".*副(?:主任委员|主委|会长|理事长|主席|秘书长)|.*(?:(?<!主任)委员|理事|监事|董事|常委|顾问|专家|首席)"
)
_RANK = re.compile(".*(?:教授|院士|博士|研究员|医师|技师|药师|护师|工程师|讲师|导师|农艺师|教师)")
# A rank borne after a post is of that post's organization only where that one confers it: 数学学院院长某某教授.
_CONFERS = re.compile(".*(?:大学|学院|学校|系|党校|研究院|研究所|科学院)")
_CONFERRED = re.compile(".*(?:教授|讲师|研究员)")
# Heads, the bodies that have them, and whether no others do: 馆长 is that of a 馆, 行政副院长 of a 院 and not of its 护理部.
_HEADS = tuple(
    (re.compile(f"(?:{head})\\Z"), re.compile(f"(?:{body})\\Z"), alone)
    for head, body, alone in (
        ("校长", "校|大学?|(?:师范|职业|技术|财经|政法|民族)学院|[小中]学|国[小中]|[初高]中", True),
        ("(?<!执)行长", "[行社]", True),
        ("台长", "[台团]", True),
        ("会长", "(?<![议员])会|[社盟]", True),
        *((f"{body}(?:长|主任)", body, True) for body in "院馆所局处科系社园厂站厅庭"),
        ("理事长|秘书长|总干事|理事主席", "(?<!监事)会|[社盟]", False),
        ("议长", "议会", False),
        ("董事长|总经理", "公司|集团|银行|基金会", False),
    )
)


# Offices of societies, and bodies that are none.
_OF_SOCIETY = re.compile("(?:名誉|常务|执行|轮值)?副?(?:会长|理事长|秘书长|监事长?|理事|常务理事|主任委员)")
_NO_SOCIETY = re.compile(
    ".*(?:[局厅署办部处科室站馆所院校委]|大学|[小中]学|公司|集团|银行|(?:卫生|健康|改革|教育|规划|工作|纪律检查|[省市县区州])委员会|总工会|红十字会|[妇残文侨]联|政府)"
)
_EVERYWHERE = re.compile("(?:理事长|秘书长|总干事)\\Z")  # more kinds of bodies have one than say so


def _heads(title: str, body: str) -> bool | None:
    """Whether a body has such a head; None where the title does not say."""
    for head, bodies, alone in _HEADS:
        if head.search(title):
            return True if bodies.search(body) else False if alone else None
    return None


# The party's committee is that of the school, and not of these bodies, in which its officers have posts besides.
_OF_PARTY = re.compile("(?:党委|纪委).+")
_WITHOUT_PARTY = re.compile(".*(?:组|工会|党校|校友总?会|基金会|中国科学院|中国工程院)")


def _has_no_party(body: str, title: str) -> bool:
    """Whether this is an office of the party, and the body has no such."""
    return bool(_OF_PARTY.fullmatch(title) and _WITHOUT_PARTY.fullmatch(body))


# Officers beside a chief: 院长王强讲话，党委书记李明主持会议.
_OFFICERS = re.compile("党委(?:常务)?副?书记|纪委书记|党总支副?书记|工会主席|总会计师|总药师|总工程师")
_CHIEFS = re.compile("院长|校长|董事长|总经理|党委书记")
_OF_A_PART = re.compile(
    "副?(?:[科处室系所股]长|(?:科|系|室|教研室)主任)"
)  # a body has parts, and these have such heads
_DEPUTY = re.compile("^(?:常务|第一|专职|执行)?副")
# Where somebody learnt holds none of their posts: 毕业于甲大学，任某职; 在甲大学获博士学位.
_STUDIES = re.compile("(?:毕业于|考[入取上]|就读于?|进修于|入读|肄业于|留学)\\Z")
_STUDIED = re.compile(
    "[^，。；]{0,6}(?:学习(?!贯彻|班|会)|进修|攻读|毕业(?!生|典礼)|就读|留学|求学|[硕博学]士学位|研修(?!班)|博士后|访问学者)"
)
_SCHOOL = re.compile(f"{_CONFERS.pattern}|.*(?:专业|[中小]学)")
_VISITS = re.compile("(?:[到赴]|走进|莅临|前往|来到|抵达|走访|访问|拜访|参观|考察)\\Z")
_PLACE_OF = re.compile("(?:中共)?(.*[省市县区州盟旗镇乡])(?:委|委员会|(?:人民)?政府)")
_AT = re.compile("[在于假赴到]\\Z")  # before a venue
_MOST_POSTS = 16  # of one person in a row; bounds the work on wrongly predicted entities
_MOST_LISTED = 2  # organizations before the last that share a post; a longer list is one of those who came

_KINDS = {"PER": "P", "TITLE": "T", "ORG": "O"}
_TO_NEXT = (Link.JOIN, Link.COLON, Link.LINE)  # from a waiting title to the person who takes it
_CHAINS = (Link.JOIN, Link.LIST, Link.COMMA, Link.BOTH, Link.COLON)  # from a waiting title to one that waits with it
_TO_LAST = {Link.JOIN: Link.JOIN, Link.COMMA: Link.COMMA, Link.HOLDS: Link.HOLDS, Link.GOES_ON: Link.HOLDS}


class _Post(NamedTuple):
    title: int
    organization: int | None
    link: Link  # to what stood before it
    also: tuple[int, ...] = ()  # organizations listed before that one: 甲大学、乙大学教授


class _Claim(NamedTuple):
    person: int
    title: int
    organization: int | None
    spread: bool  # from an earlier person of the list


@dataclass(slots=True)
class _Phrase:
    """What is being read: persons, titles that wait, an organization directly before what comes."""

    last: str = ""  # kind of the entity read last
    people: list[int] = field(default_factory=list)
    shared: list[_Post] = field(default_factory=list)  # what the listed persons hold together
    posts: list[_Post] = field(default_factory=list)  # these wait
    left: Link | None = None  # how they hang on `people`: JOIN, COMMA, HOLDS, or not at all
    organization: int | None = None
    link: Link | None = None  # from what stood before the organization
    also: tuple[int, ...] = ()  # those listed before it
    before: str = ""  # the words that stand before it, which tell a venue from a body that one visits or learns at
    is_line: bool = False  # a name, a colon, and what may be the post
    is_column: bool = False  # nothing but space stands before it
    of_person: bool = False  # it stands behind a person: 王强，某某医院
    entrusted: bool = False  # a colon, or 由, stands between the title of the persons and them
    below: bool = False  # the persons stand after a colon or below their title
    met: bool = False  # the title that waits is an object: 晋见总统，某院院长王强
    as_such: bool = False  # 作为 stands before the titles that wait: they are those of who comes
    in_turn: bool = False  # the posts that wait are shared out among the persons: 甲、乙分别任会长、秘书长
    turns: list[list[_Post]] = field(default_factory=list)  # those of the persons to come: 会长、秘书长分别由甲、乙担任


@dataclass(slots=True)
class _Sentence:
    """What the sentence has named so far."""

    named: tuple[int, ...] = ()  # the last organizations
    free: int | None = None  # the last organization that neither a title nor a person followed
    is_venue: bool = False  # that one is where something takes place
    visited: int | None = None  # the last one to which somebody came
    chain: int | None = None  # the organization of the last title before a person
    taken: int | None = None  # the organization of the last title that somebody took
    posts: tuple[_Post, ...] = ()  # the last ones of an organization
    subject: list[int] = field(default_factory=list)


class _Reader:
    def __init__(self, text: str, entities: Sequence[Entity]) -> None:
        self.text, self.entities = text, entities
        self.phrase, self.sentence = _Phrase(), _Sentence()
        self.claims: list[_Claim] = []
        self.titled: set[int] = set()  # persons who hold a post
        self.own: set[int] = set()  # persons whose title stands after their name, and is all that they have
        self.ranked: set[int] = set()  # persons with a rank after their name
        self.styled: set[int] = set()  # persons with 老师 or 先生 after their name
        self.joined: set[int] = set()  # persons behind 和, 及 and the like
        self.at: dict[int, int] = {}  # the organization directly before a person
        self.of: dict[int, int] = {}  # the organization of a person, by any way
        self.outer: list[tuple[_Phrase, _Sentence]] = []  # around the brackets that are open
        self.borne: dict[str, set[str]] = {}  # the titles of each name
        self.first = ""  # what the lines since words or an empty line began with; PP: with one name behind another
        self.named: int | None = None  # the person with whom a line began last
        self.vita = False  # their curriculum vitae goes on
        self.speaks = False  # or it is they who speak: 王强：我当过会长
        self.followed = ""  # the words behind the title read last
        self.receives = False  # the last persons are given something
        self.told_of: int | None = None  # who is told of where another comes by the way
        self.instead: dict[int, int] = {}  # for the other, the one who is told of
        self.bare = False  # since the line began, no person and nothing else was said

    def stop(self) -> None:
        """The sentence ends, and with it all brackets."""
        while self.outer:
            self.close()
        self.settle()
        self.phrase, self.sentence = _Phrase(), _Sentence()

    def read(self, index: int, gap: str) -> None:
        """The next entity, and the words between it and the one before."""
        kind = _KINDS[self.entities[index].label]
        if self.phrase.last == "P":
            last = self.instead.get(self.phrase.people[-1], self.phrase.people[-1])
            is_life = _LIFE_BEGINS.match(gap) is not None
            begins = is_life or (last == self.named and not self.vita and _BEGINS_VITA.match(gap))
            if begins and last not in self.instead:
                self.named, self.vita = last, True
                self.speaks = gap.startswith("：") and not is_life
        tail = self.brackets(gap)
        link = _link(tail, self.phrase.last, kind)
        if "（" in gap and gap.endswith("（" + tail) and link is Link.JOIN and self.phrase.last == "P":
            link = Link.HOLDS  # 王强（会长）
        if tail == "：" and link is Link.WORDS and self.phrase.last == "P" and self.phrase.people[-1] == self.named:
            link, self.phrase.is_line = Link.HOLDS, True  # 王强：会长
        if link is Link.HOLDS and not self.receives and _LETTER.fullmatch(tail):
            link = Link.WORDS  # who gives the letter gets nothing
        if link in (Link.HOLDS, Link.GOES_ON, Link.COLON) and _FOR.fullmatch(tail) and self.is_given(index):
            link = Link.WORDS  # 为某院党委书记、院长王强颁发聘书: 为 says for whom
        if link is Link.STOP or not self.phrase.last or (link is Link.WORDS and _NEXT_ROW.search(gap)):
            self.stop()
        elif link is Link.WORDS or (
            link in (Link.CLAUSE, Link.LINE) and not self.goes_over(link, kind, is_parted="\n\n" in gap)
        ):
            self.settle()
            before_it = self.phrase
            self.phrase = _Phrase(
                before_it.last,
                organization=before_it.organization,
                before=before_it.before,
            )
        if "后者" in gap and self.phrase.people:
            self.instead.pop(self.phrase.people[-1], None)
        if _BY_THE_WAY.search(tail):
            self.told_of = next(iter(self.sentence.subject), self.named if self.vita else None)
        elif link in (Link.WORDS, Link.STOP):
            self.told_of = None
        self.line(index, kind, gap, is_said=link is Link.WORDS)
        phrase = self.phrase
        in_turn = _IN_TURN.search(tail) is not None
        if phrase.last == "P" or (phrase.left is Link.JOIN and in_turn):
            phrase.in_turn = in_turn
        beside, before, also, near = None, phrase.organization, phrase.also, link
        if before is not None:
            heads = phrase.link is not Link.JOIN and not phrase.of_person
            is_taken_up = link is Link.GOES_ON and _TAKEN_UP.fullmatch(tail) and _MOVED.search(phrase.before)
            if link is Link.JOIN or (kind == "T" and ((link is Link.LINE and heads) or is_taken_up)):
                beside = before
            elif phrase.link is not Link.JOIN:
                self.pass_by(before, gap)
            if link in (Link.JOIN, Link.LIST) or (link is Link.LINE and not phrase.of_person):
                link = phrase.link or link
        phrase.organization, phrase.link, phrase.also = None, None, ()
        if kind != "P" and _AS_SUCH.search(tail):
            phrase.as_such = True
        if kind == "O":
            self.sentence.named = (*self.sentence.named[1 - _MOST_POSTS :], index)
            phrase.before = tail[-_LONGEST_LINK:]
            phrase.organization, phrase.link = index, link if phrase.last else None
            phrase.is_column = not tail.strip()
            phrase.of_person = phrase.last == "P" and link in (Link.COMMA, Link.JOIN)
            if (
                before is not None
                and "、" in tail
                and near is Link.LIST
                and len(also) < _MOST_LISTED
                and self.are_alike(before, index)
            ):
                phrase.also = (*also, before)
        elif kind == "T":
            self.title(index, link, beside, tail[-_LONGEST_LINK:], also if near is Link.JOIN else ())
        else:
            self.person(index, link, beside, tail)
        phrase.last = kind

    def pass_by(self, organization: int, gap: str) -> None:
        """Keep an organization that no title and no person follows at once, for the posts to come; `gap` stands behind it."""
        sentence, before = self.sentence, self.phrase.before
        if _VISITS.search(before):
            sentence.visited = organization
        is_venue = _AT.search(before) is not None
        is_school = _STUDIES.search(before) and _SCHOOL.fullmatch(self.entities[organization].text)
        if (is_school or _STUDIED.match(gap)) and "留校" not in gap:
            sentence.free = None
        elif not is_venue or sentence.free is None:
            sentence.free, sentence.is_venue = organization, is_venue

    def is_given(self, index: int) -> bool:
        """Whether the clause that goes on with this entity gives somebody something."""
        read = [entity for entity in self.entities[index : index + 2 * _MOST_POSTS] if entity.label in _KINDS]
        for entity, start in zip(read, [*(entity.start for entity in read[1:]), len(self.text)], strict=True):
            gap = self.text[entity.end : min(start, entity.end + _LONGEST_LINK)]
            if entity.label != "ORG" and _GIVES.match(gap):
                return True
            if _ENDS_OF_CLAUSE.search(gap):
                break
        return False

    def are_alike(self, one: int, other: int) -> bool:
        """Whether two organizations may share a post: 甲大学、乙大学 or 市委、市政府, and not 农会、乙大学."""
        ends = {self.entities[one].text[-1:], self.entities[other].text[-1:]}
        return len(ends) == 1 or ends <= set("学校") or self.are_of_one_place(one, other)

    def are_of_one_place(self, one: int, other: int) -> bool:
        """Whether these are the party's committee and the government of one place: 市委、市政府."""
        places = [_PLACE_OF.fullmatch(self.entities[body].text) for body in (one, other)]
        return all(places) and len({place[1] for place in places if place}) == 1

    def line(self, index: int, kind: str, gap: str, *, is_said: bool) -> None:
        """Keep who may hold the posts of a line that names nobody, and whether this is one."""
        begins = _BEGINS_LINE.search(gap) is not None
        if "\n\n" in gap and not _GOES_ON_VITA.search(gap[-_PARAGRAPH:]):
            self.vita = False
        if "\n\n" in gap or is_said:
            self.first = ""
        if begins:
            self.first = "PP" if self.first + self.phrase.last + kind == "PPP" else self.first or kind
        if kind == "P":
            self.bare = False
            if begins:
                self.named, self.vita = index, False
        elif begins:
            self.bare = True
        elif is_said:
            self.bare = False

    def goes_over(self, link: Link, kind: str, *, is_parted: bool) -> bool:
        """Whether a phrase goes on behind a semicolon or in the next line: a list below its title does."""
        if link is Link.CLAUSE:
            return self.phrase.below and kind != "T"
        if self.phrase.last + kind == "TP":
            # 某院院长 on a line below a name, and after an empty line the next name.
            waits = any(post.organization is not None for post in self.phrase.posts)
            is_row = (is_parted and self.bare) or (self.first == "P" and (self.bare or not self.phrase.below))
            return not (is_row and waits and self.named is not None)
        return self.phrase.below or self.phrase.last == "O"

    def row(self, gap: str) -> None:
        """An organization that ends a line behind a name and its titles is theirs: 王强　教授　某某大学."""
        phrase = self.phrase
        behind = phrase.last == "O" and phrase.left is Link.JOIN and phrase.is_column and _ENDS_LINE.match(gap)
        if behind and all(post.organization is None for post in phrase.posts):
            phrase.posts = [post._replace(organization=phrase.organization) for post in phrase.posts]
            phrase.organization, phrase.last = None, "T"

    def finish(self, gap: str) -> list[_Claim]:
        self.brackets(gap)
        self.stop()
        return [claim for claim in self.claims if not (claim.spread and claim.person in self.own)]

    # Brackets: what they hold is read by itself; after them the sentence goes on where it was.

    def brackets(self, gap: str) -> str:
        """Enter and leave the brackets of a gap; the words after the last one."""
        self.row(gap)
        if self.phrase.last == "T":
            self.followed = gap
        says = self.phrase.is_line and self.phrase.last == "T" and not _ENDS_POST.match(gap)  # 王强：会长曾提到
        if says:
            self.phrase.left = None
        if self.phrase.last == "T":
            self.phrase.is_line = False
        posts = self.phrase.posts
        if posts and ((posts[-1].link is Link.COMMA and _GROUP.match(gap)) or _GROUP_BEHIND.match(gap)):
            while posts.pop().link is Link.LIST and len(posts) > 1:  # 立委、议员们: with those listed before it
                pass
        if "（" not in gap and "）" not in gap:
            return gap
        *pieces, tail = _BRACKET.split(_REMARK.sub("", gap))
        for words, bracket in zip(pieces[::2], pieces[1::2], strict=True):
            if _STOP.search(words):
                self.stop()
            if bracket == "（":
                if _DATELINE.fullmatch(words):
                    self.stop()
                self.open()
            elif self.outer:
                self.close()
        return tail

    def open(self) -> None:
        phrase = self.phrase
        self.outer.append((phrase, self.sentence))
        self.sentence = replace(self.sentence)
        borne = phrase.last == "T" and phrase.left is Link.JOIN  # 王强教授（某院院长）
        self.phrase = _Phrase(
            last="P" if borne else phrase.last,
            people=phrase.people[-1:] if phrase.last == "P" or borne else [],
            organization=phrase.organization if phrase.last == "O" else None,
        )

    def close(self) -> None:
        self.settle()
        inner = self.phrase
        self.phrase, self.sentence = self.outer.pop()
        phrase = self.phrase
        if inner.last == "O" and phrase.last == "T" and phrase.posts and phrase.posts[-1].organization is None:
            # 某某教授（某大学）
            phrase.posts[-1] = phrase.posts[-1]._replace(organization=inner.organization)

    # The three kinds of entity.

    def title(self, index: int, link: Link, organization: int | None, gap: str, also: tuple[int, ...]) -> None:
        phrase, name = self.phrase, self.entities[index].text
        heads_place = _OF_ITSELF.fullmatch(name) or _HEADS_PLACE.search(name)
        also = () if heads_place else tuple(b for b in also if _heads(name, self.entities[b].text) is not False)
        if link in (Link.STOP, Link.WORDS) and self.is_told_of() and _TURN.fullmatch(gap):
            link = Link.GOES_ON  # 1970年任副厂长
        # 师从李明院士，现任某院院长
        is_others = phrase.left is Link.JOIN and not self.outer and phrase.people[-1] in self.instead
        is_object = link is Link.COMMA and (phrase.met or is_others)
        if link is Link.COLON and phrase.left is Link.JOIN:
            link = Link.GOES_ON  # 王强教授为会长
        if phrase.posts and link in _CHAINS and not is_object and len(phrase.posts) < _MOST_POSTS:
            if organization is None and link is not Link.COLON and not self.stands_alone(index, gap):
                organization = self.handed_on(name, link, gap)
                also = also if organization is None else phrase.posts[-1].also
            phrase.posts.append(_Post(index, organization, link, also))
            return
        if link is Link.GOES_ON and phrase.posts and phrase.left is None:
            phrase.people = []  # 会长任 … : the title before was nobody's
        is_nobodys = bool(phrase.posts) and phrase.left is None and "，" not in gap
        self.settle()
        if link is Link.GOES_ON:
            phrase.people = phrase.people or self.sentence.subject
            if not phrase.people and self.is_told_of() and not is_nobodys:
                phrase.people = [self.named] if self.named is not None else []
        if link in (Link.GOES_ON, Link.HOLDS, Link.COMMA) and not self.outer and not _TOGETHER.fullmatch(gap):
            phrase.people = list(dict.fromkeys(self.instead.get(person, person) for person in phrase.people))
        phrase.left = _TO_LAST.get(link) if phrase.people else None
        if organization is None:
            organization = self.inherited(index, link, gap)
        phrase.posts = [_Post(index, organization, link, also)]
        phrase.met = _MEETS.search(gap) is not None

    def is_told_of(self) -> bool:
        """Whether a curriculum vitae goes on, in words of others."""
        return self.vita and not self.speaks and self.named is not None

    def handed_on(self, title: str, link: Link, gap: str) -> int | None:
        """The organization of the titles that wait, for one that waits with them."""
        phrase, bare = self.phrase, _AFTER_BARE.fullmatch(gap)
        before = phrase.posts[-1].organization
        if before is None and phrase.left is Link.JOIN:
            before = self.beyond_rank(title)
        if before is None:
            return None
        body = self.entities[before].text
        if phrase.left is Link.HOLDS and _heads(title, body) is False and not _OF_A_PART.fullmatch(title):
            # 院长王强当选某会会长，副院长李明…: whoever comes has a post of another body; 任内科主任、副院长
            return None
        if _has_no_party(body, title):
            return None  # 驻校纪检监察组组长、党委副书记: those of the school
        if "，" in gap and _OF_SOCIETY.fullmatch(title) and _NO_SOCIETY.fullmatch(body):
            return None  # 王强，市总工会副主席，会长: a society's list says where its officers work
        return before if bare is None or body.endswith(bare[1]) else None

    def beyond_rank(self, title: str) -> int | None:
        """The organization of the title before the last person, who bears a rank: 某会会长王强教授、副会长李明."""
        chain = self.sentence.chain
        if chain is None or _RANK.fullmatch(title) or not self.are_ranks(self.phrase.posts):
            return None
        return None if _heads(title, self.entities[chain].text) is False else chain

    def names(self, posts: Iterable[_Post]) -> list[str]:
        """The titles of posts, as the text has them."""
        return [self.entities[post.title].text for post in posts]

    def are_ranks(self, posts: Iterable[_Post]) -> bool:
        return all(map(_RANK.fullmatch, self.names(posts)))

    def person(self, index: int, link: Link, organization: int | None, tail: str) -> None:
        phrase = self.phrase
        if link is Link.LIST and self.told_of is None and phrase.people:
            self.told_of = self.instead.get(phrase.people[-1])
        if organization is not None:
            if tail == "由":
                self.sentence.free = organization  # 省学会由王强任会长
            self.of[index] = self.at[index] = organization
            hangs = phrase.left is Link.HOLDS or (phrase.left is Link.JOIN and len(phrase.posts) == 1)
            if phrase.posts and link is Link.LIST and not hangs:
                link = Link.JOIN  # 省学会会长、某大学某某: a title, and where its holder comes from
        if phrase.posts and link is Link.COMMA and phrase.left is None and phrase.as_such:
            link = Link.JOIN  # 作为某院院长，王强…
        if phrase.posts and link in _TO_NEXT and not (link is Link.LINE and phrase.left):
            self.take(index, link, comes_from=organization, tail=tail)
        else:
            have_theirs = bool(phrase.posts) and phrase.left is Link.HOLDS
            self.settle()
            if have_theirs:
                phrase.people = []  # 甲任会长、乙任秘书长: a list begins
            if phrase.people and _STYLED.match(tail):
                self.styled.add(phrase.people[-1])
            if "、" not in tail:
                self.joined.add(index)
            is_ours = organization is None and _AFTER_OURS.fullmatch(tail)  # 某院研究员王强和我校李明
            self.enlist(index, Link.WORDS if is_ours else link, comes_from=organization)
        if self.told_of is not None:
            self.instead[index] = self.told_of
        self.told_of, self.sentence.subject = None, [self.instead.get(index, index)]
        if link is not Link.LIST:
            self.receives = _RECEIVES.search(tail) is not None

    def take(self, person: int, link: Link, comes_from: int | None, *, tail: str) -> None:
        """A person takes the titles that wait; `tail` stands between."""
        phrase = self.phrase
        had_theirs = phrase.left is Link.HOLDS
        posts = self.split(are_next="：" in tail)
        phrase.posts, phrase.left = [], None
        phrase.as_such = False
        listed = bool(posts) and posts[0].link is Link.LIST and not had_theirs
        phrase.people = phrase.people if listed else []
        phrase.people.append(person)
        if listed and phrase.below and link is Link.JOIN and comes_from is not None:
            self.give([person], phrase.shared)  # 董事：甲、某会主席乙
        elif phrase.entrusted and link is Link.JOIN and self.have_own(posts, phrase.people[:-1]):
            self.give([person], phrase.shared)  # 副会长由某银行行长甲、某集团总经理乙担任
        else:
            # 会长：某院院长甲、乙: what the list shares is the office before the colon.
            office = next((i for i, post in enumerate(posts) if i and post.link is Link.COLON), 0)
            phrase.shared = posts[:office] or posts
            phrase.entrusted = bool(office) or link is Link.COLON
            phrase.below = bool(office) or link is not Link.JOIN
            turns = _in_turn(phrase.shared) if link is Link.COLON and _IN_TURN.search(tail) else []
            if len(turns) > 1:
                posts, phrase.shared = turns[0], []
            phrase.turns = turns[1:]
        if posts:
            self.sentence.chain = _main(posts)
            if link is Link.COLON:
                self.sentence.taken = self.sentence.chain  # 某会会长由王强担任，李明任…
            if posts[-1].organization is not None:
                self.of[person] = posts[-1].organization
        self.give([person], posts)

    def have_own(self, posts: Sequence[_Post], listed: Sequence[int]) -> bool:
        """Whether these posts, of an organization named behind those listed, are held beside what the list shares."""
        shared = self.names(self.phrase.shared)
        if not all(_SEVERAL.fullmatch(title) and not _OF_ITSELF.fullmatch(title) for title in shared):
            return False  # 副总统由某某议长王强陪同
        return bool(listed) and posts[0].organization is not None and posts[0].organization > listed[-1]

    def enlist(self, person: int, link: Link, comes_from: int | None) -> None:
        """A person without a title before the name goes on with a list, or begins one."""
        phrase = self.phrase
        below = phrase.below and link in (Link.JOIN, Link.LINE, Link.COMMA, Link.CLAUSE)
        if not phrase.people or not (below or link is Link.LIST):
            phrase.people, phrase.shared, phrase.turns = [person], [], []
            phrase.below = phrase.entrusted = False
            return
        if comes_from is None and phrase.people[-1] in self.of:
            self.of[person] = self.of[phrase.people[-1]]
        if phrase.turns:
            self.give([person], phrase.turns.pop(0))
        elif comes_from is None or phrase.below:
            self.give([person], phrase.shared, spread=not phrase.below)
        phrase.people.append(person)

    def stands_alone(self, title: int, gap: str) -> bool:
        return bool(_OF_ITSELF.fullmatch(self.entities[title].text) or _AFTER_OURS.fullmatch(gap))

    def inherited(self, title: int, link: Link, gap: str) -> int | None:
        """The organization of a title that has none directly before it."""
        phrase, sentence = self.phrase, self.sentence
        if phrase.left is Link.JOIN:
            return self.of_name(phrase.people[-1], title)
        if self.stands_alone(title, gap):
            return None
        if phrase.people[-1:] and phrase.people[-1] in self.at and (phrase.left is Link.COMMA or self.outer):
            return self.at[phrase.people[-1]]  # 某大学王强，教授; 某大学王强（教授）
        bare = _AFTER_BARE.fullmatch(gap)
        if link is Link.GOES_ON and _OF_ISSUER.fullmatch(gap):
            return None
        if phrase.left is Link.HOLDS:
            if bare is None and _AFTER_OTHERS.fullmatch(gap):
                sentence.taken = sentence.free = None  # 担任考评组组长: from here on that group is meant
            taken, free = candidates = sentence.taken, sentence.free
            if taken is not None and free is not None and free > taken and not sentence.is_venue:
                candidates = (free, taken)  # 甲会选举王强为会长，乙会选举李明为会长
        elif bare or link in (Link.LIST, Link.COMMA):
            candidates = (sentence.chain, sentence.free)
        elif _AFTER_COMMA.fullmatch(gap):
            sought = (find(title) for find in (self.of_host, self.beside_head, self.of_its_head))
            return next((body for body in sought if body is not None), None)
        else:
            return None
        name = self.entities[title].text
        bodies = [(candidate, self.entities[candidate].text) for candidate in candidates if candidate is not None]
        if bodies and _has_no_party(bodies[0][1], name):
            return None
        fits = (c for c, body in bodies if _heads(name, body) is not False and (bare is None or body.endswith(bare[1])))
        found = next(fits, None)
        return self.beside_head(title) if found is None and phrase.left is not Link.HOLDS and bare is None else found

    def beside_head(self, title: int) -> int | None:
        """The organization whose head the sentence has named, of a deputy: 某会主任王强主持会议，副主任李明…"""
        name = self.entities[title].text
        head = _DEPUTY.sub("", name)
        posts = [(post.organization, self.entities[post.title].text) for post in reversed(self.sentence.posts)]
        found = next((body for body, other in posts if head != name and other == head), None)
        if found is None:
            found = next(
                (body for body, _ in posts if body is not None and _heads(name, self.entities[body].text)), None
            )
        if found is None and _OFFICERS.fullmatch(name):
            found = next((body for body, other in posts if body is not None and _CHIEFS.fullmatch(other)), None)
        return found

    def of_host(self, title: int) -> int | None:
        """The organization to which somebody came, if such a body has such a head: 王强一行到某医院调研，院长李明陪同."""
        visited = self.sentence.visited
        name = self.entities[title].text
        if visited is None or _EVERYWHERE.search(name) or not _heads(name, self.entities[visited].text):
            return None
        return visited

    def of_its_head(self, title: int) -> int | None:
        """The organization that the sentence has named, if such a body has such a head: 某协会组队参赛，理事长王强…"""
        free, name = self.sentence.free, self.entities[title].text
        named = {self.entities[body].text for body in self.sentence.named}
        fit = named if _EVERYWHERE.search(name) else {body for body in named if _heads(name, body)}
        if free is None or fit != {self.entities[free].text} or not _heads(name, self.entities[free].text):
            return None
        return free

    def of_name(self, person: int, title: int) -> int | None:
        """The organization of a title borne after the name."""
        if person in self.at:
            return self.at[person]
        name = self.entities[title].text
        for claim in self.claims[-_MOST_POSTS:]:
            if claim.person == person and self.entities[claim.title].text == name:
                return claim.organization  # 某院院士王强院士
        organization = self.of.get(person)
        if organization is None or _OF_ITSELF.fullmatch(name):
            return None
        body = self.entities[organization].text
        if person in self.titled and not (_CONFERS.fullmatch(body) and _CONFERRED.fullmatch(name)):
            return None
        return organization

    # Titles find their persons.

    def split(self, *, are_next: bool) -> list[_Post]:
        """The waiting posts of the person to come; those that hang on the persons before are given to these."""
        phrase = self.phrase
        posts, cut = phrase.posts, 0
        if phrase.left is Link.JOIN and not are_next:  # but 监制：王强 主编：李明
            last = phrase.people[-1]
            borne = (
                len(posts) > 1
                or len(self.entities[last].text) == 1  # a surname is not said without its title
                or last not in self.titled
                or _RANK.fullmatch(self.entities[posts[0].title].text)
            )
            cut = self.phrase_end(posts) if borne else 0
        elif phrase.left is Link.HOLDS and len(posts) > 1:
            cut = self.phrase_end(posts)
        while 0 < cut < len(posts) and posts[cut].link is Link.BOTH:
            cut += 1
        phrase.posts = posts[:cut]
        self.settle()
        return posts[cut:]

    def phrase_end(self, posts: Sequence[_Post]) -> int:
        """Where the posts of the person before end: at a comma; after a name, at another organization too."""
        after_name, first = self.phrase.left is Link.JOIN, posts[0].organization
        ends = (
            i
            for i, post in enumerate(posts[1:], 1)
            if post.link is Link.COMMA or (after_name and post.organization not in (None, first))
        )
        return next(ends, 1)

    def settle(self) -> None:
        """The waiting posts go to the persons before them, if they hang on them."""
        phrase = self.phrase
        posts, left, people = phrase.posts, phrase.left, phrase.people
        phrase.posts, phrase.left = [], None
        if not posts:
            return
        if left is None:
            self.sentence.chain = _main(posts)
            # A subject is followed by what it does (院长致辞), a post by the end of its line or, in a curriculum vitae, a sign.
            ends = (self.bare and _ENDS_LINE.match(self.followed)) or (self.vita and _ENDS_CLAUSE.match(self.followed))
            if self.named is not None and ends:
                told = any(post.organization is not None for post in posts)
                self.give([self.named], posts if told else [post for post in posts if self.are_ranks([post])])
        elif left is Link.HOLDS:
            self.sentence.taken = posts[-1].organization
            turns = _in_turn(posts) if phrase.in_turn else []
            if len(turns) == len(people):
                for person, post in zip(people, turns, strict=True):
                    self.give([person], post)
            else:
                self.give(people, posts)
        elif (
            left is Link.JOIN
            and people[-1] not in self.at
            and (bearers := self.untitled(people))
            and not self.known_otherwise(bearers, posts)
        ):
            self.give(bearers, posts)  # 甲、乙、丙教授
            self.bear(bearers, posts)
        else:
            self.give(people[-1:], posts)
            if left is Link.JOIN:
                self.bear(people[-1:], posts)

    def bear(self, people: Sequence[int], posts: Sequence[_Post]) -> None:
        """Titles behind names are all that these have, but a rank beside what several hold: 副会长王强教授、李明教授."""
        first = self.phrase.people[0]
        alike = (first in self.ranked or first == people[0]) and self.joined.isdisjoint(people[1:])
        if self.are_ranks(posts) and alike and all(map(_SEVERAL.fullmatch, self.names(self.phrase.shared))):
            self.ranked.update(people)
        else:
            self.own.update(people)

    def untitled(self, people: Sequence[int]) -> list[int]:
        """Those behind the last one who holds a post."""
        bare = itertools.takewhile(lambda p: p not in self.titled and p not in self.styled, reversed(people))
        return list(bare)[::-1]

    def known_otherwise(self, people: Sequence[int], posts: Sequence[_Post]) -> bool:
        """Whether there are two, and the text has named the first before, with another title."""
        if len(people) != 2:
            return False
        borne = self.borne.get(self.entities[people[0]].text)
        return borne is not None and borne.isdisjoint(self.names(posts))

    def give(self, people: Iterable[int], posts: Sequence[_Post], *, spread: bool = False) -> None:
        named = (post for post in posts if post.organization is not None)
        self.sentence.posts = (*self.sentence.posts, *named)[-_MOST_POSTS:]
        for person in people:
            if posts:
                self.titled.add(person)
                self.borne.setdefault(self.entities[person].text, set()).update(self.names(posts))
            self.claims += (
                _Claim(person, post.title, organization, spread)
                for post in posts
                for organization in (*post.also, post.organization)
            )


def _in_turn(posts: Sequence[_Post]) -> list[list[_Post]]:
    """The posts of one person each, where a list of posts is shared out: what is held beside another (兼) stays with it."""
    turns: list[list[_Post]] = []
    for post in posts:
        if turns and post.link is Link.BOTH:
            turns[-1].append(post)
        else:
            turns.append([post])
    return turns


def _main(posts: Sequence[_Post]) -> int | None:
    """The organization of a row of posts: that of the last one which is not held beside others (兼)."""
    return next((post.organization for post in reversed(posts) if post.link is not Link.BOTH), posts[0].organization)


@cache
def _rows(left: str, right: str) -> list[tuple[Link, re.Pattern[str]]]:
    """The rows of `LINKS` for two kinds, compiled at the first use."""
    return [
        (link, re.compile(pattern))
        for link, pairs, pattern in LINKS
        if any(pair[0] in (left, ".") and pair[1] in (right, ".") for pair in pairs)
    ]


@lru_cache(maxsize=4096)  # most gaps are a handful of strings
def _link(gap: str, left: str, right: str) -> Link:
    if len(gap) <= _LONGEST_LINK:
        for link, pattern in _rows(left, right):
            if pattern.fullmatch(gap):
                return link
    return Link.STOP if _STOP.search(gap) else Link.CLAUSE if "；" in gap else Link.WORDS


def find_roles(
    text: str, entities: Sequence[Entity], surfaces: Sequence[str] | None = None
) -> tuple[list[Role], list[Roster]]:
    """The roles that a normalized text states, and the lists that say how long they are.

    Args:
        text: Normalized (`renshi.text.normalize`): Simplified, full-width punctuation, no spaces inside words.
        entities: Its entities, sorted, none over another, offsets into `text`; gold or predicted. Others than persons,
            titles and organizations are passed over.
        surfaces: What stands for each entity in the document itself, on one line: 臺南市 and 台南市 are one text when they
            are normalized. None: what `entities` say.

    Returns:
        One role for each distinct triple of surface strings, in text order, its parts the indices of the first mention
        and its score that of its least certain part; and a roster for each title whose holders the text counts.
    """
    reader = _Reader(text, entities)
    gaps: dict[int, str] = {}  # before each entity
    end = 0
    for index, entity in enumerate(entities):
        if entity.label in _KINDS:
            gaps[index] = text[end : entity.start]
            reader.read(index, gaps[index] if len(gaps) > 1 else "\n" + gaps[index])  # the text begins a line
            end = max(end, entity.end)
    gaps[len(entities)] = text[end:]
    claims = reader.finish(text[end:])
    surfaces = [entity.text for entity in entities] if surfaces is None else surfaces
    return _roles(entities, surfaces, claims), list(_rosters(entities, gaps, claims))


def _roles(entities: Sequence[Entity], surfaces: Sequence[str], claims: Iterable[_Claim]) -> list[Role]:
    roles: dict[tuple[str, ...], Role] = {}
    for person, title, organization, _ in sorted(claims, key=lambda claim: claim[:2]):
        parts = [part for part in (person, title, organization) if part is not None]
        role = Role(person, title, organization, min(entities[part].score for part in parts))
        roles.setdefault(tuple(surfaces[part] for part in parts), role)
    return list(roles.values())


# Where a sentence counts. About forty (四十余名) is no number to compare with, so it is left out.
_COUNT_BEFORE = re.compile(f"(?:^|.*(?:等|共|计))(?P<count>{_NUMBER})(?:名|位|人)[^。！？]*")
_COUNT_AFTER = re.compile(f"（?[共计]*(?P<count>{_NUMBER})(?:名|位|人)")
_ELECTS = re.compile("产生|选举|推选|选出|增补|增选|聘任|聘请|设立?")


def _rosters(entities: Sequence[Entity], gaps: dict[int, str], claims: Iterable[_Claim]) -> Iterator[Roster]:
    found: dict[int, set[str]] = {}
    for claim in claims:
        found.setdefault(claim.title, set()).add(entities[claim.person].text)
    indices, counted = list(gaps), False
    for before, index, after in zip([-1, *indices], indices, indices[1:], strict=False):
        if entities[index].label != "TITLE":
            counted = False
            continue
        gap, holders = gaps[index], len(found.get(index, ()))
        elects = _ELECTS.search(gap[-_LONGEST_LINK:]) or (counted and _STOP.search(gap) is None)
        match = _COUNT_AFTER.match(gaps[after]) if holders or elects else None
        after_person = before >= 0 and entities[before].label == "PER" and len(gap) <= _LONGEST_LINK
        if match is None and holders and after_person:
            match = _COUNT_BEFORE.fullmatch(_REMARK.sub("", gap))
        counted = match is not None
        if match:
            yield Roster(index, _number(match["count"]), holders)


def _number(digits: str) -> int:
    """The value of Arabic or Chinese digits: 12, 十二, 一百零八, 一二八."""
    if digits.isascii():
        return int(digits)
    value = {"〇": 0, "零": 0, "两": 2} | {char: i for i, char in enumerate("一二三四五六七八九", 1)}
    if not set(digits) & {"十", "百"}:
        return int("".join(str(value[char]) for char in digits))
    total, digit = 0, 0
    for char in digits:
        if char in value:
            digit = value[char]
        else:
            total += max(digit, 1) * {"十": 10, "百": 100}[char]
            digit = 0
    return total + digit
