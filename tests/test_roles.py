"""Who holds which post where, without a model: invented sentences with their entities marked, and the roles they state."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from renshi import roles as grammar
from renshi.labels import LABELS
from renshi.markup import AnnotatedDocument, parse_markup, read_markup
from renshi.records import Entity, Role, Roster
from renshi.roles import LINKS, find_roles
from renshi.text import normalize

ORIGINAL = Path(__file__).parents[1] / "data" / "original"
LETTERS = {"P": "PER", "T": "TITLE", "O": "ORG", "E": "EVENT.ELECTION", "F": "EVENT.FOUNDING"}


def parse(marked: str) -> AnnotatedDocument:
    """Markup with one letter for each kind of entity: {王进龙|P}任{会长|T}."""
    for letter, label in LETTERS.items():
        marked = marked.replace(f"|{letter}}}", f"|{label}}}")
    return parse_markup(marked)


def read(document: AnnotatedDocument) -> tuple[list[Role], list[Roster]]:
    """Find the roles of a raw document with gold entities; the indices hold for its own entities too."""
    normalized = normalize(document.text)
    entities = []
    for entity in document.entities:
        start, end = normalized.from_raw(entity.start, entity.end)
        entities.append(Entity(start, end, normalized.text[start:end], entity.label, entity.score))
    return find_roles(normalized.text, entities)


def surface(document: AnnotatedDocument, roles: list[Role]) -> list[tuple[str, str, str | None]]:
    text = [entity.text.replace("\n", "") for entity in document.entities]
    return [
        (text[role.person], text[role.title], None if role.organization is None else text[role.organization])
        for role in roles
    ]


# A construction, and the roles it states: person title organization, - for none.
CASES = {
    # Before the name.
    "organization, title, person": ("{省学会|O}{会长|T}{王进龙|P}出席。", "王进龙 会长 省学会"),
    "title, person": ("{院长|T}{王进龙|P}致辞。", "王进龙 院长 -"),
    "titles of one organization": (
        "{县卫健委|O}{党委书记|T}、{主任|T}{薛静|P}到会。",
        "薛静 党委书记 县卫健委; 薛静 主任 县卫健委",
    ),
    "titles of several organizations": (
        "{骨科|O}{主任|T}、{创伤中心|O}{副主任|T}{何一鸣|P}主持。",
        "何一鸣 主任 骨科; 何一鸣 副主任 创伤中心",
    ),
    "a body that is not named": (
        "{人事处|O}、工会及用人单位负责人组成考评组，{庄辰|P}担任考评组{组长|T}，{郑佑|P}任{副组长|T}。",
        "庄辰 组长 -; 郑佑 副组长 -",
    ),
    "whom somebody meets": (
        "由{外交部|O}{次长|T}{林永和|P}陪同，前来晋见{总统|T}，{国家安全会议|O}{咨询委员|T}{杨咏|P}也在座。",
        "林永和 次长 外交部; 杨咏 咨询委员 国家安全会议",
    ),
    "an office that names its body": ("{市政府|O}与{勞工局長|T}{王金|P}到场。", "王金 勞工局長 -"),
    "at once": ("{甲公司|O}{总经理|T}兼{乙公司|O}{董事|T}{石磊|P}。", "石磊 总经理 甲公司; 石磊 董事 乙公司"),
    "former, incumbent, of a term": (
        "原{甲院|O}前{院长|T}{石磊|P}、{乙会|O}第三届{理事长|T}{白敏|P}。",
        "石磊 院长 甲院; 白敏 理事长 乙会",
    ),
    "of": ("来自{甲院|O}的{院长|T}{石磊|P}说。", "石磊 院长 甲院"),
    "the one outside the brackets": ("{抗癌协会|O}（{CACA|O}）{秘书长|T}{石磊|P}。", "石磊 秘书长 抗癌协会"),
    "brackets that say nothing": ("{甲院|O}{副院长|T}（主持工作）{石磊|P}。", "石磊 副院长 甲院"),
    "a list under one title": (
        "{甲院|O}{副院长|T}{石磊|P}、{白敏|P}和{李毅|P}出席。",
        "石磊 副院长 甲院; 白敏 副院长 甲院; 李毅 副院长 甲院",
    ),
    "each with a title, one organization": (
        "{甲院|O}{院长|T}{石磊|P}，{副院长|T}{白敏|P}、{李毅|P}出席。",
        "石磊 院长 甲院; 白敏 副院长 甲院; 李毅 副院长 甲院",
    ),
    "an office that names its place": (
        "{甲院|O}{院长|T}{石磊|P}、{盐河市副市长|T}{白敏|P}出席。",
        "石磊 院长 甲院; 白敏 盐河市副市长 -",
    ),
    "our own": ("{甲院|O}{院长|T}{石磊|P}、我校{副校长|T}{白敏|P}出席。", "石磊 院长 甲院; 白敏 副校长 -"),
    "a bare noun for an organization named": ("{抗癌协会|O}来访，协会{会长|T}{石磊|P}介绍。", "石磊 会长 抗癌协会"),
    "a bare noun for none": ("{甲院|O}来访，协会{会长|T}{石磊|P}介绍。", "石磊 会长 -"),
    "a title, and where its holder comes from": (
        "{力学学会|O}{副理事长|T}、{海岳大学|O}{石磊|P}{教授|T}到会。",
        "石磊 副理事长 力学学会; 石磊 教授 海岳大学",
    ),
    "a description before the name": ("{果树所|O}育种专家{石磊|P}{研究员|T}授课。", "石磊 研究员 果树所"),
    # After the name.
    "title after the name": ("{白静慧|P}{教授|T}主讲。", "白静慧 教授 -"),
    "surname and title": ("{谢|P}{书记|T}说。", "谢 书记 -"),
    "organization, person, title": ("{甲院|O}{石磊|P}{教授|T}主讲。", "石磊 教授 甲院"),
    "a rank conferred by another": ("{甲会|O}{理事长|T}{石磊|P}{院士|T}。", "石磊 理事长 甲会; 石磊 院士 -"),
    "a rank conferred by the same": (
        "{数学学院|O}{院长|T}{石磊|P}{教授|T}。",
        "石磊 院长 数学学院; 石磊 教授 数学学院",
    ),
    "a list before one title": ("{石磊|P}、{白敏|P}、{李毅|P}{教授|T}。", "石磊 教授 -; 白敏 教授 -; 李毅 教授 -"),
    "titles on both sides, none between": (
        "{院长|T}{石磊|P}{教授|T}{副院长|T}{白敏|P}",
        "石磊 院长 -; 石磊 教授 -; 白敏 副院长 -",
    ),
    "in brackets": ("{石磊|P}（{甲院|O}{院长|T}）、{白敏|P}（{董事|T}）", "石磊 院长 甲院; 白敏 董事 -"),
    "in brackets behind a title": (
        "{石磊|P}{教授|T}（{甲院|O}{副院长|T}）、{白敏|P}{教授|T}（{乙院|O}）连线。",
        "石磊 教授 -; 石磊 副院长 甲院; 白敏 教授 乙院",
    ),
    "the organization in brackets": ("{石磊|P}{教授|T}（{海岳大学|O}）连线。", "石磊 教授 海岳大学"),
    "apposition": (
        "{石磊|P}，{甲院|O}{院长|T}、{乙会|O}{会长|T}。",
        "石磊 院长 甲院; 石磊 会长 乙会",
    ),
    "curriculum vitae": (
        "{石磊|P}，男，汉族，1979年11月生，工学博士，{高级工程师|T}。2004年起任{甲厂|O}{室主任|T}，现任{乙厂|O}{厂长|T}。",
        "石磊 高级工程师 -; 石磊 室主任 甲厂; 石磊 厂长 乙厂",
    ),
    # Beside others, and in several sentences.
    "a rank behind a name, and the next officers": (
        "{甲会|O}{理事长|T}{石磊|P}{院士|T}、{副理事长|T}{白敏|P}{教授|T}，{秘书长|T}{李毅|P}到会。",
        "石磊 理事长 甲会; 石磊 院士 -; 白敏 副理事长 甲会; 白敏 教授 -; 李毅 秘书长 甲会",
    ),
    "what several hold, with their ranks": (
        "{副主任委员|T}{石磊|P}{教授|T}、{白敏|P}{教授|T}、{李毅|P}{主任医师|T}主持。",
        "石磊 副主任委员 -; 石磊 教授 -; 白敏 副主任委员 -; 白敏 教授 -; 李毅 副主任委员 -; 李毅 主任医师 -",
    ),
    "what one holds, and others with their ranks": (
        "{院长|T}{石磊|P}{教授|T}、{白敏|P}{教授|T}出席。",
        "石磊 院长 -; 石磊 教授 -; 白敏 教授 -",
    ),
    "persons with ranks, elected": (
        "选举{石磊|P}{教授|T}为{甲会|O}{主任委员|T}，{白敏|P}{教授|T}、{李毅|P}{教授|T}为{副主任委员|T}。",
        "石磊 教授 -; 石磊 主任委员 甲会; 白敏 教授 -; 白敏 副主任委员 甲会; 李毅 教授 -; 李毅 副主任委员 甲会",
    ),
    "persons with ranks, in turn": (
        "{石磊|P}{院士|T}、{白敏|P}{院士|T}分别为{会长|T}、{副会长|T}。",
        "石磊 院士 -; 石磊 会长 -; 白敏 院士 -; 白敏 副会长 -",
    ),
    "who appoints": (
        "{甲院|O}聘请{石磊|P}{教授|T}为{名誉院长|T}。",
        "石磊 教授 -; 石磊 名誉院长 甲院",
    ),
    "at the same time": (
        "{石磊|P}兼{甲会|O}{副会长|T}，{白敏|P}当选{理事长|T}并兼{秘书长|T}。",
        "石磊 副会长 甲会; 白敏 理事长 甲会; 白敏 秘书长 甲会",
    ),
    "what the elected do": ("{石磊|P}以全票当选{主任委员|T}发表讲话。", "石磊 主任委员 -"),
    "what the listed do": ("{石磊|P}、{白敏|P}两位{教授|T}授课。", "石磊 教授 -; 白敏 教授 -"),
    "a gift to officers": ("{石磊|P}为新当选的{会长|T}颁发聘书。", ""),
    "posts of others": (
        "{石磊|P}祝贺新当选的{会长|T}，感谢历任{会长|T}，勉励新任{护士长|T}；{白敏|P}宣读了关于聘任{副秘书长|T}的决定。",
        "",
    ),
    "each body elects": (
        "{甲会|O}选举{石磊|P}为{主任委员|T}，{乙会|O}选举{白敏|P}为{主任委员|T}，{李毅|P}为{副主任委员|T}。",
        "石磊 主任委员 甲会; 白敏 主任委员 乙会; 李毅 副主任委员 乙会",
    ),
    "an executive officer": (
        "{甲基金会|O}{董事长|T}{石磊|P}与{执行长|T}{白敏|P}到场。",
        "石磊 董事长 甲基金会; 白敏 执行长 甲基金会",
    ),
    "who receives a visit": (
        "{甲院|O}{院长|T}{石磊|P}一行赴{乙医院|O}考察，受到{院长|T}{白敏|P}、{副院长|T}{李毅|P}接待。",
        "石磊 院长 甲院; 白敏 院长 乙医院; 李毅 副院长 乙医院",
    ),
    "who receives a plaque": (
        "{红会|O}{副会长|T}{石磊|P}向{甲医院|O}授牌，{院长|T}{白敏|P}接牌。",
        "石磊 副会长 红会; 白敏 院长 甲医院",
    ),
    "officers beside a chief": (
        "{甲院|O}{院长|T}{石磊|P}讲话，{党委书记|T}{白敏|P}主持会议。",
        "石磊 院长 甲院; 白敏 党委书记 甲院",
    ),
    "a body and a colon": (
        "{甲会|O}：{会长|T}{石磊|P}；{乙会|O}：{会长|T}{白敏|P}。",
        "石磊 会长 甲会; 白敏 会长 乙会",
    ),
    "a post of another body, behind a comma": (
        "{院长|T}{石磊|P}当选{甲会|O}{会长|T}，{副院长|T}{白敏|P}当选{秘书长|T}。",
        "石磊 院长 -; 石磊 会长 甲会; 白敏 副院长 -; 白敏 秘书长 甲会",
    ),
    "a letter of appointment": (
        "{校长|T}{石磊|P}为{白敏|P}{教授|T}颁发{甲大学|O}{兼职教授|T}聘书。",
        "石磊 校长 -; 白敏 教授 -; 白敏 兼职教授 甲大学",
    ),
    "who gives a letter": ("{石磊|P}颁发{顾问|T}聘书。", ""),
    "a comma, and the new one": (
        "{甲会|O}{秘书长|T}{石磊|P}主持会议，新当选的第八届{会长|T}{白敏|P}发言。",
        "石磊 秘书长 甲会; 白敏 会长 甲会",
    ),
    "the one who leaves, in the next sentence": (
        "{石磊|P}当选{甲会|O}{会长|T}。卸任{会长|T}{白敏|P}表示祝贺。",
        "石磊 会长 甲会; 白敏 会长 -",
    ),
    "in brackets, a woman": ("{石磊|P}（女，{甲院|O}{院长|T}）当选{委员|T}。", "石磊 院长 甲院; 石磊 委员 -"),
    "takes over and lays down": (
        "{石磊|P}卸下{甲会|O}{理事长|T}职务，{白敏|P}接下{理事长|T}一职。",
        "石磊 理事长 甲会; 白敏 理事长 甲会",
    ),
    "is relieved of another": (
        "{石磊|P}任{甲院|O}{院长|T}，免去{乙院|O}{院长|T}职务。",
        "石磊 院长 甲院; 石磊 院长 乙院",
    ),
    "entrusted to holders of other posts": (
        "{副会长|T}由{甲银行|O}{行长|T}{石磊|P}、{乙集团|O}{总经理|T}{白敏|P}担任。",
        "石磊 副会长 -; 石磊 行长 甲银行; 白敏 副会长 -; 白敏 总经理 乙集团",
    ),
    "as such": ("作为{甲院|O}{院长|T}，{石磊|P}深知责任重大。", "石磊 院长 甲院"),
    "a life, without signs": (
        "{石磊|P}毕业于{甲大学|O}，现任{乙院|O}{院长|T}、{丙会|O}{理事长|T}。",
        "石磊 院长 乙院; 石磊 理事长 丙会",
    ),
    "a list in which the last ones share": (
        "{石磊|P}{书记|T}、{白敏|P}、{李毅|P}{副院长|T}出席。",
        "石磊 书记 -; 白敏 副院长 -; 李毅 副院长 -",
    ),
    "the old one": ("{甲院|O}老{院长|T}{石磊|P}回忆。", "石磊 院长 甲院"),
    "is": ("{石磊|P}系{甲大学|O}{教授|T}、{博士生导师|T}。", "石磊 教授 甲大学; 石磊 博士生导师 甲大学"),
    "two become, each having a post": (
        "由{院长|T}{石磊|P}任{组长|T}、{副院长|T}{白敏|P}任{副组长|T}。",
        "石磊 院长 -; 石磊 组长 -; 白敏 副院长 -; 白敏 副组长 -",
    ),
    "one behind the other with colons": (
        "监制：{石磊|P} {主编|T}：{白敏|P} {责任编辑|T}：{李毅|P}",
        "白敏 主编 -; 李毅 责任编辑 -",
    ),
    "a line for the name and one for the post": (
        "{石磊|P}\n{甲院|O}{院长|T}\n{白敏|P}\n{乙院|O}{副院长|T}\n",
        "石磊 院长 甲院; 白敏 副院长 乙院",
    ),
    "a line for the post and one for the name, the first post not recognized": (
        "{石磊|P}\n{副会长|T}\n{白敏|P}\n{秘书长|T}\n{李毅|P}\n",
        "白敏 副会长 -; 李毅 秘书长 -",
    ),
    "a line for the post and one for each name": (
        "{会长|T}\n{石磊|P}\n{副会长|T}\n{白敏|P}\n{李毅|P}\n",
        "石磊 会长 -; 白敏 副会长 -; 李毅 副会长 -",
    ),
    "below a heading": (
        "【讲者简介】{石磊|P}，{甲院|O}{主任|T}。{乙会|O}{理事|T}，{丙会|O}{会长|T}。",
        "石磊 主任 甲院; 石磊 理事 乙会; 石磊 会长 丙会",
    ),
    "a form": (
        "姓名：{石磊|P}\n职称：{主任医师|T}\n职务：{心内科|O}{主任|T}\n",
        "石磊 主任医师 -; 石磊 主任 心内科",
    ),
    "a line of speech": ("{石磊|P}：{总统|T}曾经提到。\n", ""),
    "lines of a name, a colon and a post": (
        "{石磊|P}：{院长|T}\n{白敏|P}：{甲院|O}{副院长|T}，博士\n",
        "石磊 院长 -; 白敏 副院长 甲院",
    ),
    "columns of names, titles and organizations": (
        "{石磊|P}　{教授|T}　{甲院|O}\n{白敏|P}　{主任|T}　{乙院|O}\n",
        "石磊 教授 甲院; 白敏 主任 乙院",
    ),
    "columns of a society's list: who works where, and is what in the society": (
        "理事会\n1　　{姬长河|P}　　{市总工会|O}{副主席|T}　　{会　长|T}\n2　　{奚流|P}　　{市医院|O}{院长|T}　　{监　事|T}\n",
        "姬长河 副主席 市总工会; 姬长河 会　长 -; 奚流 院长 市医院; 奚流 监　事 -",
    ),
    # By a verb.
    "becomes": ("{石磊|P}同志任{甲院|O}{院长|T}。", "石磊 院长 甲院"),
    "is elected, the event between": (
        "{石磊|P}{当选|E}{会长|T}，{白敏|P}被{聘任|E}为{顾问|T}。",
        "石磊 会长 -; 白敏 顾问 -",
    ),
    "is elected, having a post": (
        "{甲院|O}{院长|T}{石磊|P}{当选|E}为{乙会|O}{会长|T}。",
        "石磊 院长 甲院; 石磊 会长 乙会",
    ),
    "of what the sentence founds": (
        "会议同意{成立|F}{标准工作组|O}，由{石磊|P}任{组长|T}。",
        "石磊 组长 标准工作组",
    ),
    "one becomes this, the next that": (
        "经{甲支部|O}批准，{石磊|P}任{乙会|O}{支部书记|T}、{白敏|P}任{组织委员|T}、{李毅|P}、{叶辉|P}任{纪检委员|T}。",
        "石磊 支部书记 乙会; 白敏 组织委员 乙会; 李毅 纪检委员 乙会; 叶辉 纪检委员 乙会",
    ),
    "in turn": (
        "{石磊|P}、{白敏|P}、{李毅|P}分别{当选|E}为{甲会|O}{会长|T}、{副会长|T}兼{秘书长|T}和{监事长|T}。",
        "石磊 会长 甲会; 白敏 副会长 甲会; 白敏 秘书长 甲会; 李毅 监事长 甲会",
    ),
    "in turn, of several organizations": (
        "{石磊|P}和{白敏|P}分别担任{甲会|O}{会长|T}和{乙会|O}{会长|T}。",
        "石磊 会长 甲会; 白敏 会长 乙会",
    ),
    "in turn, one post": ("{石磊|P}、{白敏|P}分别任{组长|T}。", "石磊 组长 -; 白敏 组长 -"),
    "in turn, the posts before": (
        "{甲会|O}{会长|T}、{秘书长|T}分别由{石磊|P}、{白敏|P}担任，{李毅|P}任{监事长|T}。",
        "石磊 会长 甲会; 白敏 秘书长 甲会; 李毅 监事长 甲会",
    ),
    "a list with its number": (
        "{白敏|P}、{李毅|P}等12名同志任{副主任委员|T}。",
        "白敏 副主任委员 -; 李毅 副主任委员 -",
    ),
    "a list of titled persons": (
        "{甲院|O}{院长|T}{石磊|P}、{乙院|O}{院长|T}{白敏|P}为{理事|T}。",
        "石磊 院长 甲院; 石磊 理事 -; 白敏 院长 乙院; 白敏 理事 -",
    ),
    "resumption": (
        "{石磊|P}为{主任委员|T}，{白敏|P}、{李毅|P}为{副主任委员|T}。",
        "石磊 主任委员 -; 白敏 副主任委员 -; 李毅 副主任委员 -",
    ),
    "one after the other": ("{石磊|P}任{秘书长|T}兼{会计|T}。", "石磊 秘书长 -; 石磊 会计 -"),
    "for others": ("{石磊|P}为新任{会长|T}颁发聘书。", ""),
    "the next one's post": ("{石磊|P}任{会长|T}，{副会长|T}{白敏|P}致辞。", "石磊 会长 -; 白敏 副会长 -"),
    # Lists, captions, tables.
    "colons": (
        "{会长|T}：{石磊|P}；{副会长|T}：{白敏|P}、{李毅|P}",
        "石磊 会长 -; 白敏 副会长 -; 李毅 副会长 -",
    ),
    "colons in lines, with where they come from": (
        "{学术委员会|O}\n{主任委员|T}：{石磊|P}（{甲院|O}）\n{委员|T}（2名）：\n{白敏|P} {李毅|P}",
        "石磊 主任委员 学术委员会; 白敏 委员 -; 李毅 委员 -",
    ),
    "entrusted": ("{会长|T}由{甲院|O}{院长|T}{石磊|P}担任。", "石磊 会长 -; 石磊 院长 甲院"),
    "caption": ("图1 {甲院|O}{院长|T}{石磊|P}致辞\n图2 {白敏|P}{教授|T}授课", "石磊 院长 甲院; 白敏 教授 -"),
    "a table of names": (
        "{石磊|P}  {甲院|O}{院长|T}\n{白敏|P}  {乙院|O}{书记|T}",
        "石磊 院长 甲院; 白敏 书记 乙院",
    ),
    "a table with bars": (
        "{石磊|P}\\|{甲院|O}\\|{院长|T}\n{白敏|P}\\|{乙院|O}\\|{书记|T}",
        "石磊 院长 甲院; 白敏 书记 乙院",
    ),
    "a numbered table": (
        "1 {石磊|P} 男 {理事长|T} {甲院|O}{院长|T} 否\n2 {白敏|P} 女 {理事|T} {乙院|O}{书记|T} 是",
        "石磊 理事长 -; 石磊 院长 甲院; 白敏 理事 -; 白敏 书记 乙院",
    ),
    "a list under its number": ("{理事|T}42名\n{石磊|P}、{白敏|P}\n\n{李毅|P}致辞。", "石磊 理事 -; 白敏 理事 -"),
    "a list under its heading": ("{理事|T}名单（部分）\n\n{石磊|P}、{白敏|P}", "石磊 理事 -; 白敏 理事 -"),
    "posts below a name": (
        "{石磊|P}\n{甲院|O}{院长|T}\n{乙会|O}{理事|T}\n\n{白敏|P}到会。",
        "石磊 院长 甲院; 石磊 理事 乙会",
    ),
    "posts below the one who holds another": ("{会长|T}\n{石磊|P}\n{副会长|T}\n{白敏|P}", "石磊 会长 -; 白敏 副会长 -"),
    "the career in a curriculum vitae": (
        "{石磊|P}，男，1970年生，{甲院|O}{院长|T}。师从{乙大学|O}{白敏|P}{教授|T}。兼{丙会|O}{理事|T}、《{丁刊|O}》{编委|T}。\n"
        "【工作经历】\n1992.07—1999.05  {甲院外科|O}  {主治医师|T}\n",
        "石磊 院长 甲院; 石磊 理事 丙会; 石磊 编委 丁刊; 石磊 主治医师 甲院外科; 白敏 教授 乙大学",
    ),
    "what is said after a curriculum vitae": (
        "{石磊|P}，男，{甲院|O}{院长|T}。\n{乙院|O}{院长|T}致辞。会上，{丙校|O}{校长|T}和{丁局|O}{局长|T}先后讲话。",
        "石磊 院长 甲院",
    ),
    "lists of members, where they come from beside them": (
        "{主任委员|T}（1人）\n{石磊|P}  {甲院|O}\n{副主任委员|T}（2人）\n{白敏|P} {乙院|O}\n{李毅|P} {丙院|O}",
        "石磊 主任委员 -; 白敏 副主任委员 -; 李毅 副主任委员 -",
    ),
    "an actor on a line of its own": (
        "{石磊|P}指出。\n{甲院|O}{院长|T}、职工代表参加会议。\n{乙院|O}{院长|T}（左一）为获奖者颁奖",
        "",
    ),
    "whom somebody brings along": ("{甲会|O}{会长|T}{石磊|P}率{副会长|T}、{秘书长|T}一行到访。", "石磊 会长 甲会"),
    "by whom": ("{石磊|P}，由{甲院|O}{院长|T}陪同参观。", ""),
    "a heading that is no lost name": ("{组长|T}：{石磊|P}\n成员\n{白敏|P}、{李毅|P}", "石磊 组长 -"),
    "one who taught": (
        "{石磊|P}，男，1970年生，师从{白敏|P}，毕业后留校。\n1992.07—1999.05 {甲院|O}{主治医师|T}",
        "石磊 主治医师 甲院",
    ),
    # Whose post it is.
    "organizations listed before a title": (
        "{甲大学|O}、{乙大学|O}{教授|T}{石磊|P}。",
        "石磊 教授 甲大学; 石磊 教授 乙大学",
    ),
    "one that has no such head before it": ("{甲大学|O}、{甲大学医学院|O}{院长|T}{石磊|P}。", "石磊 院长 甲大学医学院"),
    "organizations of other kinds before it": (
        "感谢{区农会|O}、{乙大学|O}{教授|T}{石磊|P}。",
        "石磊 教授 乙大学",
    ),
    "a body that has no such head": (
        "{甲院|O}{院长|T}{石磊|P}、{甲院护理部|O}{主任|T}{白敏|P}、{副院长|T}{李毅|P}到会。",
        "石磊 院长 甲院; 白敏 主任 甲院护理部; 李毅 副院长 甲院",
    ),
    "held beside another post": (
        "{甲公司|O}{总裁|T}兼{中央研究所|O}{所长|T}{石磊|P}，{财务总监|T}{白敏|P}到会。",
        "石磊 总裁 甲公司; 石磊 所长 中央研究所; 白敏 财务总监 甲公司",
    ),
    "a deputy, after other words": (
        "{县人大常委会|O}{主任|T}{石磊|P}主持会议，{副主任|T}{白敏|P}、{李毅|P}出席。",
        "石磊 主任 县人大常委会; 白敏 副主任 县人大常委会; 李毅 副主任 县人大常委会",
    ),
    "a head of what the sentence is about": (
        "{甲协会|O}代表队夺冠，{理事长|T}{石磊|P}领奖。{乙中心|O}组队参赛，{理事长|T}{白敏|P}领奖。",
        "石磊 理事长 甲协会; 白敏 理事长 -",
    ),
    "where it takes place": (
        "{丝路中心|O}在{政法学院|O}{成立|F}，{石磊|P}任{主任|T}。",
        "石磊 主任 丝路中心",
    ),
    "who provides for it": ("{产业学院|O}由{石磊|P}任{理事长|T}。", "石磊 理事长 产业学院"),
    "who comes along": ("{甲会|O}{会长|T}{石磊|P}率同{副会长|T}{白敏|P}到访。", "石磊 会长 甲会; 白敏 副会长 甲会"),
    "where one comes from, a comma between": ("{甲院|O}{石磊|P}，{护士长|T}；", "石磊 护士长 甲院"),
    "where one comes from, brackets between": ("{甲院|O}{石磊|P}（{护士长|T}）", "石磊 护士长 甲院"),
    "a bare noun in a chain": ("{甲院|O}{书记|T}、专委会首任{主任委员|T}{石磊|P}。", "石磊 书记 甲院; 石磊 主任委员 -"),
    "candidates": ("提名{石磊|P}为{董事|T}候选人。", ""),
    "two names, one with another title": (
        "{甲会|O}{会长|T}{石磊|P}到场。{石磊|P}与{白敏|P}{董事长|T}揭牌。",
        "石磊 会长 甲会; 白敏 董事长 -",
    ),
    "a full stop of half width": ("{甲公司|O}开会.{石磊|P}任{董事|T}.", "石磊 董事 -"),
    "a list with names that were not recognized": (
        "{会长|T}：{石磊|P}、辛弃疾、{白敏|P}孝\n{李毅|P}\n\n辛弃疾、{郑佑|P}致辞。",
        "石磊 会长 -; 白敏 会长 -; 李毅 会长 -",
    ),
    # Damaged and Traditional.
    "Traditional": ("{省學會|O}{會長|T}{王進龍|P}與{秘書長|T}{白靜慧|P}。", "王進龍 會長 省學會; 白靜慧 秘書長 省學會"),
    "pinyin in brackets": ("{抗癌協(xié)會|O}{會(huì)長|T}{王進龍|P}", "王進龍 會(huì)長 抗癌協(xié)會"),
    "half-width commas": ("{石磊|P}任{會長|T},{白敏|P}任{顧問|T}", "石磊 會長 -; 白敏 顧問 -"),
    "names spaced out": ("{会 长|T}:{石 磊|P} {白 敏|P}", "石 磊|会 长|-; 白 敏|会 长|-"),
    "broken lines": ("{甲院|O}\n{院长|T}{石磊|P}、\n{副院长|T}{白敏|P}", "石磊 院长 甲院; 白敏 副院长 甲院"),
    # None.
    "a person without a title": ("{石磊|P}到{甲院|O}看望患者。", ""),
    "a title without a person": ("应到{理事|T}9人，{甲院|O}{院长|T}致辞。{石磊|P}出席。", ""),
    "another sentence": ("{甲院|O}召开会议。{院长|T}{石磊|P}致辞。", "石磊 院长 -"),
    "who is given something": (
        "{甲医大|O}{校长|T}{王进龙|P}为{甲医院|O}{党委书记|T}、{院长|T}{石磊|P}颁发聘书。",
        "王进龙 校长 甲医大; 石磊 党委书记 甲医院; 石磊 院长 甲医院",
    ),
    "who is given something, of two bodies": (
        "{王进龙|P}为{救援队|O}{队长|T}、{甲院|O}{副院长|T}{石磊|P}授旗。",
        "石磊 队长 救援队; 石磊 副院长 甲院",
    ),
    "posts that are given something": ("{王进龙|P}{会长|T}为{主任委员|T}、{秘书|T}颁发聘书。", "王进龙 会长 -"),
    "what several become, for comparison": (
        "{王进龙|P}为{甲会|O}{会长|T}、{石磊|P}为{秘书长|T}，{白敏|P}发言。",
        "王进龙 会长 甲会; 石磊 秘书长 甲会",
    ),
    "somebody by the way: a teacher": (
        "{王进龙|P}，1990年考取研究生，师从{石磊|P}{院士|T}，获博士学位。2001年起任{甲院|O}{副院长|T}。",
        "王进龙 副院长 甲院; 石磊 院士 -",
    ),
    "somebody by the way: two teachers": (
        "{王进龙|P}，2019级硕士研究生，师从{石磊|P}{副教授|T}、{白敏|P}{博士|T}，曾担任{研究生会|O}{副主席|T}。",
        "王进龙 副主席 研究生会; 石磊 副教授 -; 白敏 博士 -",
    ),
    "somebody by the way: who was it before": ("{王进龙|P}接替{石磊|P}出任{会长|T}。", "王进龙 会长 -"),
    "another name": (
        "{王进龙|P}（1902—1979），谱名{王家鼎|P}，字{慎之|P}，浙江义乌人，水利工程师。民国十五年毕业，到{甲委员会|O}任{测量员|T}。",
        "王进龙 测量员 甲委员会",
    ),
    "a curriculum vitae in paragraphs": (
        "{王进龙|P}，男，1968年9月生，{甲大学|O}{教授|T}。\n\n1986年考入{乙大学|O}，师从{石磊|P}{研究员|T}。2001年进入{甲大学|O}，历任{讲师|T}、"
        "{教授|T}，2014年任{甲学院|O}{院长|T}。\n\n现兼任{甲会|O}{理事|T}、{乙会|O}{副会长|T}。",
        "王进龙 教授 甲大学; 王进龙 讲师 甲大学; 王进龙 院长 甲学院; 王进龙 理事 甲会; 王进龙 副会长 乙会; 石磊 研究员 -",
    ),
    "a curriculum vitae that begins with the birth": (
        "{王进龙|P}同志一九二二年生于安徽六安。抗日战争时期，任{甲团|O}{卫生员|T}、{医助|T}，负过伤。",
        "王进龙 卫生员 甲团; 王进龙 医助 甲团",
    ),
    "a curriculum vitae behind a colon": (
        "{石磊|P}：医学博士，{主任医师|T}、{副教授|T}，{甲科|O}{主任|T}。",
        "石磊 主任医师 -; 石磊 副教授 -; 石磊 主任 甲科",
    ),
    "posts in a table of years": (
        "{石磊|P}简历\n1998.07—2003.05 {甲局|O}{科员|T}、{副科长|T}（其间：1999年在{甲学院|O}学习）\n2003.05— {甲县委|O}{副书记|T}、{县长|T}\n",
        "石磊 科员 甲局; 石磊 副科长 甲局; 石磊 副书记 甲县委; 石磊 县长 -",
    ),
    "a form with two posts in a row": (
        "姓　　名：{白鸽|P}\n职　　称：{教授|T}\n行政职务：{甲部|O}{副部长|T}、{甲所|O}{所长|T}\n社会兼职：{甲会|O}{理事|T}；{乙会|O}{顾问|T}\n",
        "白鸽 教授 -; 白鸽 副部长 甲部; 白鸽 所长 甲所; 白鸽 理事 甲会; 白鸽 顾问 乙会",
    ),
    "a people in brackets": (
        "{石磊|P}（瑶族，{甲校|O}{校长|T}）　{白敏|P}（女，回族，{乙校|O}{教师|T}）",
        "石磊 校长 甲校; 白敏 教师 乙校",
    ),
    "this body, which is not named": (
        "{石磊|P}任{甲大学|O}{副教授|T}，{白敏|P}留校任教，现为本教研室{副主任|T}。",
        "石磊 副教授 甲大学; 白敏 副主任 -",
    ),
    "a subsidiary": (
        "{石磊|P}先生，兼任全资子公司{甲公司|O}{执行董事|T}。",
        "石磊 执行董事 甲公司",
    ),
    "those who are elected come": (
        "{甲馆|O}{馆长|T}{石磊|P}、{副馆长|T}{白敏|P}以及受聘{委员|T}参加。",
        "石磊 馆长 甲馆; 白敏 副馆长 甲馆",
    ),
    "the last of a list alone has an office": (
        "邀请{石磊|P}、{白敏|P}及本所{政风室|O}{李毅|P}{主任|T}挥毫。",
        "李毅 主任 政风室",
    ),
    "deputies behind a semicolon": (
        "{甲组|O}{组长|T}：{石磊|P}（兼）；{副组长|T}：{白敏|P}、{李毅|P}",
        "石磊 组长 甲组; 白敏 副组长 甲组; 李毅 副组长 甲组",
    ),
    "no post where one learnt": (
        "{石磊|P}，男，1970年生。1990年毕业于{甲大学|O}，历任{住院医师|T}、{主治医师|T}。",
        "石磊 住院医师 -; 石磊 主治医师 -",
    ),
    "a post where one was sent": (
        "{石磊|P}，男，1970年生。1990年毕业于{甲大学|O}，同年分配到{乙厂|O}任{技术员|T}，后任{车间主任|T}。",
        "石磊 技术员 乙厂; 石磊 车间主任 乙厂",
    ),
    "posts here and there": (
        "{石磊|P}，男，1970年生。2001年起在{甲大学|O}任{讲师|T}，2005年起在{乙大学|O}任{教授|T}。",
        "石磊 讲师 甲大学; 石磊 教授 乙大学",
    ),
    "the company whose report it is": (
        "{石磊|P}，男，1970年生，历任{甲公司|O}{工程师|T}，{乙公司|O}{总经理|T}；现任公司{董事|T}、{副总经理|T}。",
        "石磊 工程师 甲公司; 石磊 总经理 乙公司; 石磊 董事 -; 石磊 副总经理 -",
    ),
    "and others, elected": (
        "{石磊|P}、{白敏|P}和其他5位同志当选为{常务理事|T}。",
        "石磊 常务理事 -; 白敏 常务理事 -",
    ),
    "no post of two places": (
        "{团市委|O}、{区政府|O}{副区长|T}{石磊|P}致辞。",
        "石磊 副区长 区政府",
    ),
    "a caption and the next name": (
        "{石磊|P}讲话。\n\n活动在京举行。\n\n图为{甲院|O}{院长|T}\n\n{白敏|P}讲话。",
        "白敏 院长 甲院",
    ),
    "others in a curriculum vitae are asked": (
        "{石磊|P}，男，1970年生，{甲院|O}{院长|T}。为加强管理，医院聘请{乙院|O}{教授|T}担任{顾问|T}。",
        "石磊 院长 甲院",
    ),
    "an interview is no curriculum vitae": (
        "{石磊|P}：{白敏|P}{会长|T}。他当了十一年{会长|T}，按规矩，应该担任{名誉会长|T}。",
        "白敏 会长 -",
    ),
    "behind an empty line, of others": (
        "{石磊|P}，男，1970年生，{甲院|O}{院长|T}。\n\n2015年，他拜访了{乙大学|O}{校长|T}，商谈合作。",
        "石磊 院长 甲院",
    ),
    "a teacher's post in brackets": (
        "{石磊|P}师从{白敏|P}（{甲大学|O}{教授|T}），现任{乙院|O}{院长|T}。",
        "石磊 院长 乙院; 白敏 教授 甲大学",
    ),
    "the latter": (
        "{石磊|P}师从{白敏|P}，后者是{甲大学|O}{教授|T}。",
        "白敏 教授 甲大学",
    ),
    "a secretary behind another body": (
        "{甲会|O}{副会长|T}{石磊|P}作报告；{监事会|O}{主席|T}{白敏|P}作报告；{秘书长|T}{李毅|P}作说明。",
        "石磊 副会长 甲会; 白敏 主席 监事会; 李毅 秘书长 甲会",
    ),
    "the first post of a sentence in a curriculum vitae": (
        "{石磊|P}，男，1940年生。1970年任{副厂长|T}，1980年任{厂长|T}。",
        "石磊 副厂长 -; 石磊 厂长 -",
    ),
    "a teacher with posts": (
        "{石磊|P}师从{甲大学|O}{校长|T}{李毅|P}{院士|T}，现任{乙大学|O}{讲师|T}。",
        "石磊 讲师 乙大学; 李毅 校长 甲大学; 李毅 院士 -",
    ),
    "another name without a comma": (
        "{石磊|P}原名{石小磊|P}，1930年3月生于甲县。1950年任{乙校|O}{教员|T}。",
        "石磊 教员 乙校",
    ),
    "who stays where they learnt": (
        "{石磊|P}毕业于{甲大学|O}并留校任教，历任{助教|T}、{讲师|T}。",
        "石磊 助教 甲大学; 石磊 讲师 甲大学",
    ),
    "posts of a part, then of the whole": (
        "{石磊|P}2001年任{内科|O}{主任|T}、{副院长|T}。{白敏|P}先后任{甲局|O}{科员|T}、{科长|T}。",
        "石磊 主任 内科; 石磊 副院长 -; 白敏 科员 甲局; 白敏 科长 甲局",
    ),
    "a post of two bodies": (
        "{石磊|P}任{市委|O}、{市政府|O}{督查专员|T}。",
        "石磊 督查专员 市委; 石磊 督查专员 市政府",
    ),
    "several by the way, and their rank": (
        "{王进龙|P}跟随{石磊|P}和{白敏|P}2位{教授|T}普查。",
        "石磊 教授 -; 白敏 教授 -",
    ),
    "a group in a list is nobody's title": (
        "{石磊|P}{副秘书长|T}、{农业局|O}及{立委|T}、{议员|T}们见证，{白敏|P}和{省学会|O}{常务理事|T}代表等60人参加。",
        "石磊 副秘书长 -",
    ),
    "members of one house": (
        "{县议会|O}{议员|T}{石磊|P}（Shi Lei）及{议员|T}{白敏|P}到访。",
        "石磊 议员 县议会; 白敏 议员 县议会",
    ),
    "the same rank on both sides": ("{工程院|O}{院士|T}{石磊|P}{院士|T}作报告。", "石磊 院士 工程院"),
    "an office of the gathering": (
        "会议由{光学研究所|O}举办，{石磊|P}担任{会议主席|T}。",
        "石磊 会议主席 -",
    ),
    "a party's officers beside the head of a group": (
        "{驻校纪检监察组|O}{组长|T}、{党委副书记|T}{石磊|P}讲话。",
        "石磊 组长 驻校纪检监察组; 石磊 党委副书记 -",
    ),
    "a party's officer behind the head of a union": (
        "我校{工会|O}{主席|T}{石磊|P}，{党委常委|T}{白敏|P}到会。",
        "石磊 主席 工会; 白敏 党委常委 -",
    ),
    "ours behind another's": (
        "{农科院|O}{石磊|P}{研究员|T}和我校{白敏|P}{教授|T}作报告。",
        "石磊 研究员 农科院; 白敏 教授 -",
    ),
    "a dateline": ("{南开新闻网|O}讯（记者{石磊|P}）{白敏|P}{总理|T}是校友。", "白敏 总理 -"),
    "a post with its place": (
        "{镇社治办|O}{主任|T}{石磊|P}、{铜鼓村党委书记|T}{白敏|P}到会。",
        "石磊 主任 镇社治办; 白敏 铜鼓村党委书记 -",
    ),
    "posts by years in brackets": (
        "{石磊|P}{教授|T}（2000年时任我校{副校长|T}，2002年时任我校{校长|T}）到会。",
        "石磊 教授 -; 石磊 副校长 -; 石磊 校长 -",
    ),
}


@pytest.mark.parametrize(("marked", "expected"), CASES.values(), ids=CASES.keys())
def test_reads(marked: str, expected: str) -> None:
    document = parse(marked)
    roles = []
    for role in filter(None, expected.split("; ")):
        person, title, organization = role.split("|" if "|" in role else " ")
        roles.append((person, title, None if organization == "-" else organization))
    assert surface(document, read(document)[0]) == roles


# A list that counts: title, claimed, found.
ROSTERS = {
    "digits": ("{白敏|P}、{李毅|P}等12名同志任{副主任委员|T}。", [("副主任委员", 12, 2)]),
    "Chinese digits": ("{白敏|P}、{李毅|P}等一百零八人{当选|E}{委员|T}。", [("委员", 108, 2)]),
    "without 等": ("{白敏|P}、{李毅|P}、{石磊|P}三人{当选|E}{理事|T}。", [("理事", 3, 3)]),
    "none named": ("{选举|E}产生{委员|T}51名、{常务委员|T}十七名。", [("委员", 51, 0), ("常务委员", 17, 0)]),
    "under its title": ("{委员|T}（二十名）：{白敏|P}、{李毅|P}", [("委员", 20, 2)]),
    "about": ("{白敏|P}等四十余名同志任{委员|T}。", []),
    "no election": ("应到{理事|T}67人，实到58人。", []),
    "no number": ("{白敏|P}、{李毅|P}任{委员|T}。", []),
}


@pytest.mark.parametrize(("marked", "expected"), ROSTERS.values(), ids=ROSTERS.keys())
def test_counts(marked: str, expected: list[tuple[str, int, int]]) -> None:
    document = parse(marked)
    rosters = read(document)[1]
    assert [(document.entities[r.title].text, r.claimed, r.found) for r in rosters] == expected


@pytest.mark.parametrize(
    ("digits", "number"),
    [
        ("12", 12),
        ("十", 10),
        ("十二", 12),
        ("二十", 20),
        ("两百", 200),
        ("一百零八", 108),
        ("三百二十一", 321),
        ("一二〇", 120),
    ],
)
def test_knows_numbers(digits: str, number: int) -> None:
    assert grammar._number(digits) == number


def test_a_triple_is_given_once_with_the_score_of_its_weakest_part() -> None:
    text = "甲院院长石磊。甲院院长石磊。"
    spans = [(0, 2, "ORG", 0.5), (2, 4, "TITLE", 0.9), (4, 6, "PER", 0.8)]
    spans += [(start + 7, end + 7, label, 0.99) for start, end, label, _ in spans]
    entities = [Entity(start, end, text[start:end], label, score) for start, end, label, score in spans]
    assert find_roles(text, entities) == ([Role(2, 1, 0, 0.5)], [])


def test_what_stands_in_the_document_otherwise_is_another_triple() -> None:
    text = "台南市长石磊。台南市长石磊。"
    spans = [(0, 4, "TITLE"), (4, 6, "PER"), (7, 11, "TITLE"), (11, 13, "PER")]
    entities = [Entity(start, end, text[start:end], label) for start, end, label in spans]
    assert find_roles(text, entities)[0] == [Role(1, 0, None)]
    assert find_roles(text, entities, ["臺南市長", "石磊", "台南市長", "石磊"])[0] == [
        Role(1, 0, None),
        Role(3, 2, None),
    ]


def test_every_row_of_the_table_names_its_link() -> None:
    """No row is dead: some pair of kinds and some words reach it first (hand-written, in the table's order)."""
    words = [
        ("TT", "\n"), ("TP", "42名\n"), ("PP", "\n"), ("PT", "“"), ("OT", "原"), ("OO", "原"), ("PT", "同志"), ("TP", "、著名专家"), ("OP", "青年教师"),
        ("TT", "兼"), ("OT", "："), ("PP", "、"), ("PT", "率同"), ("OO", "，现任"), ("PP", "，"),
        ("PT", "，男，汉族，"), ("TP", "名单："), ("PT", "等12名同志"),
        ("PT", "被推举为"), ("PO", "担任"), ("PT", "兼"), ("PT", "：医学博士，"), ("PT", "女"), ("TO", "颁发了"), ("PO", "，男，1970年生，现任"), ("TT", "并被选为"),
        ("TO", "，2011年起任"),
        ("PP", "孝\n来"),
    ]  # fmt: skip
    assert [grammar._link(gap, *pair) for pair, gap in words] == [link for link, _, _ in LINKS]


ANY_ENTITIES = st.lists(
    st.tuples(st.integers(0, 6), st.integers(0, 5), st.sampled_from(LABELS[:4]), st.floats(0, 1)), max_size=30
)
ANY_WORDS = st.lists(
    st.sampled_from([*"、，。；：（）\n 王李任为兼等人12十名的和由原", "当选", "，现任", "产生", "第三届", "同志"])
    | st.characters(),
    max_size=80,
).map("".join)


@given(ANY_WORDS, ANY_ENTITIES)
def test_any_entities_over_any_text(text: str, drawn: list[tuple[int, int, str, float]]) -> None:
    entities, end = [], 0
    for gap, length, label, score in drawn:
        start = end + gap
        end = start + length
        entities.append(Entity(start, end, text[start:end], label, score))
    roles, rosters = find_roles(text, entities)
    for role in roles:
        assert entities[role.person].label == "PER"
        assert entities[role.title].label == "TITLE"
        assert role.organization is None or entities[role.organization].label == "ORG"
        parts = [role.person, role.title] + ([] if role.organization is None else [role.organization])
        assert role.score == min(entities[part].score for part in parts)
    triples = [
        (entities[r.person].text, entities[r.title].text, r.organization is not None and entities[r.organization].text)
        for r in roles
    ]
    assert len(set(triples)) == len(triples)
    for roster in rosters:
        assert entities[roster.title].label == "TITLE"
        assert 0 <= roster.found <= len(entities)
        assert roster.claimed >= 0


def test_a_long_roster_costs_one_claim_a_person(monkeypatch: pytest.MonkeyPatch) -> None:
    """Linear by structure: each entity is read once, each gap is matched once, each person claimed once."""
    names = ["王" + "".join("甲乙丙丁戊己庚辛壬癸"[int(digit)] for digit in str(i)) for i in range(5000)]
    document = parse("、".join(f"{{{name}|P}}" for name in names) + "等5000名同志任{委员|T}。")
    readers, gaps = [], []

    class Counting(grammar._Reader):
        def __init__(self, text: str, entities: list[Entity]) -> None:
            super().__init__(text, entities)
            readers.append(self)

        def read(self, index: int, gap: str) -> None:
            gaps.append(gap)
            super().read(index, gap)

    monkeypatch.setattr(grammar, "_Reader", Counting)
    roles, rosters = read(document)
    assert len(roles) == len(readers[0].claims) == 5000
    assert rosters == [Roster(5000, 5000, 5000)]
    assert len(gaps) == 5001
    assert sum(map(len, gaps)) < len(document.text)


@pytest.mark.skipif(not ORIGINAL.is_dir(), reason="data/original is not in this checkout")
def test_agrees_with_the_original_corpus() -> None:
    right = found = stated = 0
    for path in sorted(ORIGINAL.rglob("*.txt")):
        document = read_markup(path)
        got = set(surface(document, read(document)[0]))
        gold = {tuple(part and part.replace("\n", "") for part in role) for role in document.roles}
        right, found, stated = right + len(got & gold), found + len(got), stated + len(gold)
    assert 2 * right / (found + stated) >= 0.93
