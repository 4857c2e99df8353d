"""Readers of the official formats, on files of a few invented lines; seqeval judges the tag readers."""

from __future__ import annotations

import functools
import json
import operator
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval.scheme import IOB2, IOBES, Entities

from renshi.labels import LABELS
from training.sources import FORMATS, SOURCES, Example, SourceError, _tag_spans, read_native, read_source


def spans(example: Example) -> list[tuple[str, str]]:
    assert all(example.text[e.start : e.end] == e.text for e in (*example.entities, *example.doubtful))
    return [(entity.text, entity.label) for entity in example.entities]


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "data.txt"
    path.write_text(text, encoding="utf-8")
    return path


def columns(text: str, tags: str, separator: str = " ") -> str:
    return "".join(f"{c}{separator}{t}\n" for c, t in zip(text, tags.split(), strict=True)) + "\n"


def test_cluener_has_inclusive_ends(tmp_path: Path) -> None:
    label = {
        "name": {"龙应雄": [[6, 8]]},
        "organization": {"云溪商会": [[0, 3]]},
        "position": {"会长": [[4, 5]], "记者": [[9, 10]]},
        "address": {"云溪": [[0, 1]]},
    }
    path = write(tmp_path, json.dumps({"text": "云溪商会会长龙应雄记者", "label": label}) + "\n")
    (example,), report = read_source("cluener", path)
    assert spans(example) == [("云溪商会", "ORG"), ("会长", "TITLE"), ("龙应雄", "PER")]
    assert [(e.text, e.label) for e in example.doubtful] == [("记者", "TITLE")]  # a plain occupation: O or TITLE
    assert example.annotated == {"PER", "ORG", "TITLE"}
    assert (report.examples, report.spans) == (1, 3)


def test_cluener_says_what_it_could_not_read(tmp_path: Path) -> None:
    good = {"text": "王强说", "label": {"name": {"王强": [[0, 1]], "李明": [[1, 2]]}}}
    nested = {"text": "江海大学医院", "label": {"organization": {"江海大学医院": [[0, 5]], "江海大学": [[0, 3]]}}}
    path = write(tmp_path, f'{json.dumps(good)}\nnot json\n{{"label": {{}}}}\n\n{json.dumps(nested)}\n')
    examples, report = read_source("cluener", path)
    assert [spans(example) for example in examples] == [[("王强", "PER")], [("江海大学医院", "ORG")]]
    assert str(report).split("\n") == [
        "cluener data.txt: 2 examples, 2 spans",
        "  2 lines that are not CLUENER's JSON (data.txt:2, data.txt:3 …)",
        "  1 mentions that are not what stands there (data.txt:1 …)",
        "  1 spans inside or across another one (data.txt:5 …)",
    ]


def test_resume_knows_what_is_no_title(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        columns("龙应雄中共党员", "B-NAME M-NAME E-NAME B-TITLE M-TITLE M-TITLE E-TITLE")
        + columns("任财务部经理兼董事", "O B-TITLE M-TITLE M-TITLE M-TITLE E-TITLE O B-TITLE E-TITLE")
        + columns("王甲", "S-NAME M-RACE"),
    )
    (first, second, third), report = read_source("resume", path)
    assert spans(first) == [("龙应雄", "PER")]
    assert not first.doubtful  # 中共党员 is certainly no title
    assert spans(second) == [("董事", "TITLE")]
    assert {(e.text, e.label) for e in second.doubtful} == {("财务部经理", "TITLE"), ("财务部经理", "ORG")}
    assert spans(third) == [("王", "PER")]
    assert report.skipped == {"tags that may not follow the one before": 1}


@pytest.mark.parametrize("separator", ["\t", " "])
def test_msra_with_tab_or_space(tmp_path: Path, separator: str) -> None:
    path = write(tmp_path, columns("云溪人龙应雄４", "B-LOC I-LOC O B-PER I-PER I-PER O", separator) + "坏行没有标签\n")
    (example,), report = read_source("msra", path)
    assert spans(example) == [("龙应雄", "PER")]
    assert example.text.endswith("４")  # full-width digits stay raw
    assert example.annotated == {"PER", "ORG"}
    assert report.places["lines that are not a character and its tag"] == ["data.txt:9"]


def test_weibo_takes_off_the_position_digit(tmp_path: Path) -> None:
    path = write(tmp_path, "王0\tB-PER.NAM\n强1\tI-PER.NAM\n10\tO\n他0\tB-PER.NOM\n\n")
    (example,), _ = read_source("weibo", path)
    assert example.text == "王强1他"
    assert spans(example) == [("王强", "PER")]
    assert read_native("weibo", path)[0] == [("王强1他", [(0, 2, "PER.NAM"), (3, 4, "PER.NOM")])]


def test_markup_keeps_roles_and_goes_on_after_a_broken_file(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(
        "{省学会|ORG}{会长|TITLE}{王强|PER}说\nROLE 王强 || 会长 || 省学会\n", encoding="utf-8"
    )
    (tmp_path / "b.txt").write_text("好\n{坏|PERSON}\n", encoding="utf-8")
    (example,), report = read_source("markup", tmp_path)
    assert (example.id, example.roles) == ("a", [("王强", "会长", "省学会")])
    assert example.annotated == frozenset(LABELS)
    assert "b.txt, line 2: unknown label 'PERSON'; labels are PER, TITLE, ORG, EVENT.FOUNDING" in str(report)


def test_errors_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(
        SourceError, match="format 'conll' is unknown; formats are markup, cluener, resume, msra, weibo"
    ):
        read_source("conll", tmp_path)
    with pytest.raises(
        SourceError, match=r"there is no such file or folder; data/README.md says where the sets come from"
    ):
        read_source("msra", tmp_path / "train.bio")
    with pytest.raises(SourceError, match="holds nothing that reads as resume; ResumeNER, "):
        read_source("resume", write(tmp_path, "\n\n"))
    (tmp_path / "gbk.txt").write_bytes("王 O\n".encode("gbk"))
    with pytest.raises(SourceError, match=r"is not a UTF-8 file .* give the set's official file"):
        read_source("msra", tmp_path / "gbk.txt")


@pytest.mark.parametrize("name", FORMATS)
def test_the_table_maps_onto_our_labels(name: str) -> None:
    info = SOURCES[name]
    assert set(info.labels.values()) <= info.annotated <= set(LABELS)
    assert info.remark


LEGAL_BIO = st.lists(st.sampled_from([["O"], ["B-A"], ["B-A", "I-A"], ["B-B", "I-B", "I-B"]])).map(
    lambda parts: functools.reduce(operator.iadd, parts, [])
)
LEGAL_BMES = st.lists(st.sampled_from([["O"], ["S-A"], ["B-A", "E-A"], ["B-B", "M-B", "E-B"]])).map(
    lambda parts: functools.reduce(operator.iadd, parts, [])
)


@given(LEGAL_BIO)
def test_reads_bio_as_seqeval_does(tags: list[str]) -> None:
    problems: list[str] = []
    expected = [(e.start, e.end, e.tag) for e in Entities([tags], IOB2).entities[0]] if tags else []
    assert list(_tag_spans(tags, problems.append)) == expected
    assert not problems


@given(LEGAL_BMES)
def test_reads_bmes_as_seqeval_does(tags: list[str]) -> None:
    problems: list[str] = []
    judged = [tag.replace("M-", "I-") for tag in tags]
    expected = [(e.start, e.end, e.tag) for e in Entities([judged], IOBES).entities[0]] if tags else []
    assert list(_tag_spans(tags, problems.append)) == expected
    assert not problems


OFFICIAL = {
    ("cluener", "cluener/train.json"): 10_748,
    ("cluener", "cluener/dev.json"): 1_343,
    ("resume", "resume/train.char.bmes"): 3_821,
    ("resume", "resume/dev.char.bmes"): 463,
    ("resume", "resume/test.char.bmes"): 477,
    ("msra", "msra/test.bio"): 4_365,
    ("weibo", "weibo/weiboNER_2nd_conll.train"): 1_350,
    ("weibo", "weibo/weiboNER_2nd_conll.dev"): 270,
    ("weibo", "weibo/weiboNER_2nd_conll.test"): 270,
}


@pytest.mark.skipif("RENSHI_DATA_ROOT" not in os.environ, reason="RENSHI_DATA_ROOT does not name the official files")
@pytest.mark.parametrize(
    ("source", "count"), OFFICIAL.items(), ids=lambda value: value[1] if isinstance(value, tuple) else ""
)
def test_official_files_have_their_published_sizes(source: tuple[str, str], count: int) -> None:
    examples, _ = read_source(source[0], Path(os.environ["RENSHI_DATA_ROOT"], "public", source[1]))
    assert len(examples) == count
