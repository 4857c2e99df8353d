"""Spaces that part names become the signs of running text; all others are inside of something, or between its halves."""

import pytest

from renshi.rosters import is_name
from renshi.text import normalize


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("董元 梁瑞澤 羅月天 何群", "董元、梁瑞泽、罗月天、何群"),
        ("李明　张伟　王强", "李明、张伟、王强"),
        ("副会长：\n王  强  李四光\n欧阳 娜  张伟", "副会长：\n王强、李四光\n欧阳娜、张伟"),
        ("王 宁 牛 津 石 磊 时 光", "王宁、牛津、石磊、时光"),
        ("卢 伟  欧阳 楠  马 骏 陈大山", "卢伟、欧阳楠、马骏、陈大山"),
        ("田長(zhǎng)青 余凱建 顧軒瑩 唐鵬", "田长青、余凯建、顾轩莹、唐鹏"),
        # One in four may be no name by its form; at the ends it is a title or another word.
        ("王强 那日松 李明 张伟", "王强、那日松、李明、张伟"),
        ("王强 田长 李宇长 张伟", "王强、田长、李宇长、张伟"),
        ("阿迪力·买买提 王强 李明", "阿迪力·买买提、王强、李明"),
        ("主任 范一舟 王强 李明 摄影", "主任范一舟、王强、李明摄影"),
        ("俞强 王岐 张高分别看望", "俞强、王岐、张高分别看望"),  # the last with what follows
        # Widths tell what belongs together.
        ("王 小 强  李 明 华  张 大 山", "王小强、李明华、张大山"),
        ("王 强  李 明", "王强、李明"),
        ("郑国强 许　诺 黄　河 陈玉", "郑国强、许诺、黄河、陈玉"),
        ("（记者 林建杨　史洁明）", "（记者林建杨、史洁明）"),
        # Names set as names are, whatever they spell; two of them before one whose given name is not spaced out.
        ("王  强  易　县  李明　边　院 张伟", "王强、易县、李明、边院、张伟"),
        ("何清  徐  霞  高  岭  曾  巩固  谢罗", "何清、徐霞、高岭、曾巩固、谢罗"),
        ("刘  海  庄  周梦  姜太白", "刘海、庄周梦、姜太白"),
        ("仝　欣　水　静　贯云石　回　音　明　月　姬　敏", "仝欣、水静、贯云石、回音、明月、姬敏"),
        # The columns of a table.
        ("1 招远航 男 理事长\n2 冼 星 女 副理事长", "1 招远航，男，理事长\n2 冼星，女，副理事长"),
        ("欧阳水\t男\t社工站站长", "欧阳水，男，社工站站长"),
        ("4 黎 氏玉 女 理事", "4 黎氏玉，女，理事"),
        ("马 小 军 男 院长", "马小军，男，院长"),
        # A line of one.
        ("理事长\n毕竟成  津门口腔医院院长", "理事长\n毕竟成，津门口腔医院院长"),
        (
            "成  员:花满城  生产运行部部长\n        司空曙光　科技创新部部长",
            "成员：花满城，生产运行部部长\n        司空曙光，科技创新部部长",
        ),
        ("出席：闵行之  解明远", "出席：闵行之、解明远"),
        # Two offices in columns of a table.
        ("2　　万人美　　市文明办副主任　　副会长", "2  万人美，市文明办副主任，副会长"),
        ("11　　何　欣　　江北律师事务所专职律师　　监　事", "11  何欣，江北律师事务所专职律师，监事"),
        ("王夷民　云中省地方病研究所原所长　研究员", "王夷民，云中省地方病研究所原所长，研究员"),
    ],
)
def test_parts_names(raw: str, text: str) -> None:
    assert normalize(raw).text == text


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("财　政　王　强\n总　务　李　明", "财政王强\n总务李明"),
        ("张 胜 男 李 小 明", "张胜男李小明"),
        ("院长 王强 副院长 李明 主任 张伟", "院长王强副院长李明主任张伟"),
        ("董事长 周强 总工程师 潘国良", "董事长周强总工程师潘国良"),
        ("记者施宇 通讯员 方英", "记者施宇通讯员方英"),
        ("编辑 贠　和 初审 古适 终审 潘察", "编辑贠和初审古适终审潘察"),
        ("安徽省　人民医院", "安徽省人民医院"),
        ("安 徽 水 利 水 电 职 业 技 术 学 院", "安徽水利水电职业技术学院"),
        ("•中国医学科学院  肿瘤医院", "·中国医学科学院肿瘤医院"),
        ("首页 医院概况 新闻动态 专家介绍", "首页医院概况新闻动态专家介绍"),
        ("中国 医学 科学 院", "中国医学科学院"),
        ("会长廖 有根、惠  民说", "会长廖有根、惠民说"),
        ("符 海 涛", "符海涛"),
        ("王强 李明", "王强李明"),
        ("王强 院长", "王强院长"),  # one space alone says nothing
        ("会上，王强  作工作报告", "会上，王强作工作报告"),  # no beginning of a line
        ("王强\n李明\n张伟", "王强\n李明\n张伟"),
        ("副主任　委员：王强", "副主任委员：王强"),  # one office, broken
        ("麻醉科主任　医师", "麻醉科主任医师"),
        ("理  事  长", "理事长"),
        ("院长 书记", "院长书记"),
        ("任命邸　妍同志为会员科科长", "任命邸妍同志为会员科科长"),
        ("兽医学系系主任　　蔺德芳副教授", "兽医学系系主任蔺德芳副教授"),
        ("王强 A 李明 B 张伟", "王强 A 李明 B 张伟"),
    ],
)
def test_leaves_the_rest(raw: str, text: str) -> None:
    assert normalize(raw).text == text


def test_what_stands_for_the_spaces_is_the_first_of_them() -> None:
    normalized = normalize("董元   梁瑞澤 何群")
    assert normalized.text == "董元、梁瑞泽、何群"
    assert normalized.to_raw(2, 3) == (2, 3)
    assert normalized.to_raw(3, 6) == (5, 8)


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("王强", True),
        ("欧阳娜", True),
        ("司马相如", True),
        ("王", False),
        ("欧阳", True),
        ("王小二强", False),
        ("院长", False),
        ("单位", False),  # 单 is a surname, and this heads a column
        ("陈马玉珍", True),
    ],
)
def test_knows_the_form_of_a_name(cell: str, expected: bool) -> None:
    assert is_name(cell) is expected


@pytest.mark.parametrize("piece", [" ", "王强 ", "王 ", "王\n ", " \n", "·· ", "欧阳 ", "中", "中·"])
def test_long_runs_end(piece: str) -> None:
    """In a second: its work is linear. Were it quadratic, it took many minutes."""
    raw = piece * 80_000 + "，王 强"
    normalized = normalize(raw)
    assert normalized.text.endswith("，王强")
    assert normalized.to_raw(len(normalized.text) - 2, len(normalized.text)) == (len(raw) - 3, len(raw))
