"""Line breaks inside of sentences go; those of lists, headlines and paragraphs stay."""

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
