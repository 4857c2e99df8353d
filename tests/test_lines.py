"""Line breaks inside of sentences go; those of lists, headlines and paragraphs stay."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from renshi.text import normalize

_BROKEN = """\
泸水江县红十字会召开第
六次会员代表大会

12月1日，泸水江县红
十字会第六次会员代表大
会召开。怒江边州红
十字会专职副会
长褚来
四到会祝贺，县委常
委、宣
传部部长蜂
玉程讲话。报告说，五年间募
集款物五百三十七万
元
，修了十一座便
桥。大会选
举阿普
文华为会
长，和
金花为常
务副会长。
会后，
他们走访。
"""
_MENDED = """\
泸水江县红十字会召开第
六次会员代表大会

12月1日，泸水江县红十字会第六次会员代表大会召开。怒江边州红十字会专职副会长褚来四到会祝贺，县委常委、宣传部部长蜂玉程讲话。报告说，五年间募集款物五百三十七万元，修了十一座便桥。大会选举阿普文华为会长，和金花为常务副会长。
会后，他们走访。
"""


def test_breaks_in_sentences_go() -> None:
    normalized = normalize(_BROKEN)
    assert normalized.text == _MENDED
    at = normalized.text.index("褚来四")
    assert _BROKEN[slice(*normalized.to_raw(at, at + 3))] == "褚来\n四"


def test_signs_of_half_width_and_spaces_around_breaks() -> None:
    broken = _BROKEN.replace("，", ",").replace("。", ".").replace("\n", " \n")
    assert normalize(broken).text.rstrip() == _MENDED.replace("。", ".").replace("\n", " \n").rstrip()


def test_lists_of_such_a_page_stay() -> None:
    page = _BROKEN + "名单如下：\n" + "阿普文\n和金花\n余新民\n" * 5 + "\n附件：\n会长\n阿普文华\n"
    assert (
        normalize(page).text == _MENDED + "名单如下：\n" + "阿普文\n和金花\n余新民\n" * 5 + "\n附件：\n会长\n阿普文华\n"
    )


def test_a_single_line_that_is_broken_off() -> None:
    page = (
        "学会成立\n会议在京召开。水利\n水电学院院长曹迎、王\n强到会。\n会长：\n李毅，男，某院院长\n他来。我们\n2、李明"
    )
    mended = "学会成立\n会议在京召开。水利水电学院院长曹迎、王强到会。\n会长：\n李毅，男，某院院长\n他来。我们\n2、李明"
    assert normalize(page).text == mended
    assert normalize("他来。刊于 Chemical\nLetters 上。").text == "他来。刊于 Chemical Letters 上。"


def test_a_page_of_paragraphs_and_lists_stays() -> None:
    page = (
        "学会成立\n1月24日，学会成立大会召开。会长王进龙致辞。张双平作表态发言。\n新当选的负责人\n会长：王进龙\n"
        "李毅，男，1963年生，某院院长\n马海霞，女，某院主任，现任委员\n会议结束。下午举行了论坛。\n摄影：李毅。编辑：马全林\n"
    )
    assert normalize(page).text == page


def test_a_line_that_runs_on() -> None:
    """It is long, has a sign and no end, and what follows ends with a sentence: no headline, caption or list does so."""
    page = (
        "凝心聚力，共谋发展，泸水江县红十字会召开第六次会员代表大会并选举产生新一届理事会\n"  # a headline stays
        "县委常委、宣传部部长蜂玉程，怒江边州红十字会专职副会长褚来四，以及和金\n花等到会祝贺。\n"
        "大会分别听取了工作报告，审议通过了章程修正案，并选举产生了第六届理事会，由阿普\n"
        "文华任会长，和金花、余新民任常务副会长，另有三十七名同志当选为理事，任期自即日起算\n至二〇二九年。\n"
        "会后，蜂\n玉程一行走访了两个村。\n"
        "出席会议的有会长阿普文华，副会长和金花，副会长余新民，以及来自各乡镇的代表\n理事：李毅、马海霞\n"  # a list
        "图为蜂玉程，右\n"
    )
    mended = page.replace("和金\n花", "和金花").replace("阿普\n文华", "阿普文华").replace("起算\n至", "起算至")
    assert normalize(page).text == mended.replace("蜂\n玉程一行", "蜂玉程一行")


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("举办“请党放心\n强国有我”演讲比赛。", "举办“请党放心强国有我”演讲比赛。"),
        ("主讲人（Alexander\nPinskiy）致辞。", "主讲人（Alexander Pinskiy）致辞。"),
        ("南开大学-\n沧州研究院成立", "南开大学-\n沧州研究院成立"),  # may be a headline of two lines
        ("与会者（李明\n王强）到场。", "与会者（李明\n王强）到场。"),
        ("“好\n\n不好”，他说。", "“好\n\n不好”，他说。"),
        ("“好\n“不好”，他说。", "“好\n“不好”，他说。"),
    ],
)
def test_breaks_between_marks(raw: str, text: str) -> None:
    assert normalize(raw).text == text


_LINES = st.lists(
    st.sampled_from(
        [
            "当选为会",
            "长",
            "，和",
            "。大会选",
            "A1",
            ".会",
            "“,",
            "：",
            "？",
            "、李明",
            "Li",
            "12",
            "2、",
            "（一）",
            "（",
            "(xié)",
            "。”他",
            "“我",
            "会后，蜂",
            "会长阿普文华，副会长和金花，副会长余新民，以及来自各乡镇的代表",
            "和金花、余新民任常务副会长，另有三十七名同志当选为理事，任期三年。",
            "和金花任常务副会长。另有三十七名同志当选为理事，任",
        ]
    )
    | st.sampled_from(["", "  ", "王强 ", "李 明 张伟"])
)


@given(_LINES, st.sampled_from(["\n", " \n", "\n ", "\r\n"]))
def test_normalizing_twice_changes_nothing_more(pieces: list[str], feed: str) -> None:
    raw = feed.join(pieces)
    normalized = normalize(raw)
    assert normalize(normalized.text).text == normalized.text
    kept = "".join(raw[start:end] for start, end in zip(normalized.starts, normalized.ends, strict=True))
    assert "".join(kept.split()) == "".join(raw.split())  # white space alone is taken away
