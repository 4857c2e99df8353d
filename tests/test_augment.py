"""Augmented copies: whatever is edited, every span is what stands there; what the model reads of damage; who becomes whom."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from renshi.labels import LABELS
from renshi.markup import parse_markup
from renshi.records import Entity
from renshi.text import normalize
from training import augment as module
from training.augment import Augmentation, Edit, Gazetteer, augment, rewrite
from training.config import ConfigError, format_config, load_config
from training.sources import Example, read_source
from training.train import Source, TrainConfig, augment_sources

ROOT = Path(__file__).parents[1]
DOCUMENT = (
    "{王进龙|PER}、{李敏|PER}当选。{省学会|ORG}{会长|TITLE}{王进龙|PER}说：“{山西省肿瘤医院|ORG}承办{成立大会|EVENT.FOUNDING}。”\n"
    "{王|PER}{会长|TITLE}（{进龙|PER}）与{阿不力孜·买买提|PER}、{John Smith|PER}到{太原市中心医院|ORG}。\n\n{副会长|TITLE}{白敏|PER}离开。\n"
)


def example(marked: str = DOCUMENT, id: str = "x") -> Example:
    document = parse_markup(marked)
    return Example(id, document.text, document.entities, [], frozenset(LABELS), document.roles)


@pytest.fixture(scope="module")
def corpus() -> list[Example]:
    return read_source("markup", ROOT / "data/original/dev")[0][:10]


def shown(example: Example) -> list[tuple[str, str]]:
    assert all(example.text[e.start : e.end] == e.text for e in (*example.entities, *example.doubtful))
    assert all(a.end <= b.start for a, b in zip(example.entities, example.entities[1:], strict=False))
    return [(e.text, e.label) for e in example.entities]


PIECES = st.lists(st.tuples(st.text("省学会王ab", min_size=1, max_size=4), st.none() | st.text("新x ", max_size=3)), min_size=1)  # fmt: skip


@settings(max_examples=60)
@given(PIECES, st.data())
def test_spans_follow_every_edit(pieces: list[tuple[str, str | None]], data: st.DataObject) -> None:
    """The text in pieces, of which some become something else: a span of whole pieces is what these became, and one that
    begins or ends inside an edit takes in all of it."""
    text = "".join(old for old, _ in pieces)
    borders = [0]
    for old, _ in pieces:
        borders.append(borders[-1] + len(old))
    edits = [Edit(borders[n], borders[n + 1], new) for n, (_, new) in enumerate(pieces) if new is not None]
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    span = Entity(start, end, text[start:end], "ORG")
    changed = rewrite(Example("x", text, [span], [span], frozenset(LABELS)), edits)
    assert changed.text == "".join(old if new is None else new for old, new in pieces)
    expected = "".join(
        new if new is not None else old[max(0, start - border) : end - border]
        for border, (old, new) in zip(borders, pieces, strict=False)
        if border < end and start < border + len(old)
    )
    assert [e.text for e in changed.entities] == [e.text for e in changed.doubtful] == [expected][: len(expected)]
    for e in changed.entities:
        assert changed.text[e.start : e.end] == expected


@pytest.mark.parametrize("step", ["substitute", "traditional", "damage"])
def test_every_copy_says_where_its_spans_stand(corpus: list[Example], step: str) -> None:
    options, gazetteer = Augmentation(copies=2, **{step: 1.0}), Gazetteer(corpus)
    copies = augment(corpus, gazetteer, options, seed=3)
    assert len(copies) == 2 * len(corpus)
    for original, copy in zip(corpus * 2, copies, strict=True):
        assert [label for _, label in shown(copy)] == [label for _, label in shown(original)]
    assert sum(copy.text != original.text for original, copy in zip(corpus * 2, copies, strict=True)) > len(corpus)
    assert copies[: len(corpus)] != copies[len(corpus) :]
    assert augment(corpus, Gazetteer(corpus), options, seed=3) == copies
    assert augment(corpus[::-1], gazetteer, options, seed=3)[: len(corpus)] == copies[: len(corpus)][::-1]
    assert augment(corpus, gazetteer, options, seed=4) != copies


def test_without_a_share_nothing_changes(corpus: list[Example]) -> None:
    for original, copy in zip(corpus, augment(corpus, Gazetteer(corpus), Augmentation(copies=1), 0), strict=True):
        assert (copy.text, copy.entities, copy.doubtful) == (original.text, original.entities, original.doubtful)


def test_a_person_is_the_same_throughout(corpus: list[Example]) -> None:
    gazetteer = Gazetteer([*corpus, example()])
    seen = set()
    for seed in range(30):
        copy = rewrite(example(), gazetteer.substitutions(example(), 1.0, Random(seed)))
        (first, _), _, _, _, (again, _), _, _, (surname, _), _, (given, _), (dotted, _), *_ = shown(copy)
        assert first == again
        assert first.startswith(surname)
        assert given in (first, first.removeprefix(surname), surname)  # a minority's name is not cut
        assert "·" in dotted
        seen.add(first)
        kept = rewrite(example(), gazetteer.substitutions(example(), 0.5, Random(seed)))
        names = dict(zip([e.text for e in example().entities], [e.text for e in kept.entities], strict=True))
        assert names["王进龙"] != "王进龙" or (names["王"], names["进龙"]) == ("王", "进龙")
    assert len(seen) > 25
    assert any("·" in name for name in seen)


def test_organizations_titles_and_events_become_others_of_their_kind(corpus: list[Example]) -> None:
    gazetteer = Gazetteer([*corpus, example()])
    becomes = {
        text: {gazetteer._other(text, label, Random(seed)) for seed in range(40)}
        for text, label in {
            ("山西省肿瘤医院", "ORG"),
            ("会长", "TITLE"),
            ("成立大会", "EVENT.FOUNDING"),
            ("某某", "ORG"),
        }
    }
    assert "太原市中心医院" in becomes["山西省肿瘤医院"]
    assert all(new.endswith("医院") and len(new) > 4 for new in becomes["山西省肿瘤医院"])
    assert "副会长" in becomes["会长"]
    assert all(new.endswith("会长") for new in becomes["会长"])
    assert all(new.endswith("大会") for new in becomes["成立大会"])
    assert becomes["某某"] == {"某某"}  # the data have none that ends so


def test_what_normalization_takes_back_and_what_it_does_not(corpus: list[Example]) -> None:
    """The model reads the same with pinyin, spaced names and most half-width signs; the rest is what damaged copies are for."""
    for original in [*corpus, example()]:
        read = normalize(original.text).text
        for kind in (module._pinyin, module._space_out):
            assert normalize(rewrite(original, kind(original, Random(1))).text).text == read
        narrow = rewrite(original, module._narrow(original, Random(1)))
        left = {
            (a, b) for a, b in zip(read, normalize(narrow.text).text, strict=True) if a != b and a not in "。、“”《》·"
        }
        assert {a + b for a, b in left} <= {
            "，,",
            "：:",
            "；;",
            "！!",
            "？?",
            "（(",
            "）)",
        }  # between Latin letters or digits
    damaged = rewrite(example(), module._narrow(example(), Random(1)))
    assert normalize(damaged.text).text != normalize(example().text).text


def test_traditional_copies_differ_in_words() -> None:
    texts = {}
    for seed in range(12):
        edits = module.to_traditional(example("{软件学院|ORG}与{网络信息中心|ORG}开会。"), Random(seed))
        copy = rewrite(example("{软件学院|ORG}与{网络信息中心|ORG}开会。"), edits)
        texts[normalize(copy.text).text] = shown(copy)[0][0]
    assert texts == {"软件学院与网络信息中心开会。": "軟件學院", "软体学院与网路资讯中心开会。": "軟體學院"}


def test_a_source_with_copies_is_read_as_often_as_before(tmp_path: Path) -> None:
    sources = [[example(id="a"), example(id="b")], [example(id="c")]]
    config = TrainConfig(
        base_model="random",
        output="x",
        train=(Source(format="markup", path="x", weight=6.0), Source(format="msra", path="y", weight=0.5)),
        dev=(Source(format="markup", path="x"),),
        augment=Augmentation(copies=2, substitute=0.5),
    )
    found, weights = augment_sources(config, sources)
    assert [len(examples) for examples in found] == [6, 1]
    assert found[0][:2] == sources[0]
    assert weights == [2.0, 0.5]
    path = tmp_path / "config.toml"
    path.write_text(format_config(config), encoding="utf-8")
    assert load_config(TrainConfig, path) == config
    with pytest.raises(ConfigError) as error:
        load_config(TrainConfig, path, ['augment={copies = 1, damage = 2.0, formats = ["word"]}'])
    assert "augment.damage: 2.0 is not between 0 and 1" in str(error.value)
    assert "augment.formats: 'word' is unknown; formats are markup, " in str(error.value)
    with pytest.raises(
        ConfigError, match=r"augment\.copies: nothing is changed in them; set substitute, traditional or"
    ):
        load_config(TrainConfig, path, ["augment={copies = 1}"])
