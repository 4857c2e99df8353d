"""Documents to every format and back; other people's readers as judges where they install."""

from __future__ import annotations

import io
import itertools
import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from renshi.interchange import FORMATS, FittedWriter, InterchangeError, Report, guess_format, read
from renshi.interchange.base import Span, assemble
from renshi.interchange.folder import document_id, file_stem
from renshi.interchange.relations import Relation, to_relations, to_roles
from renshi.labels import EVENT_TYPES, LABELS
from renshi.records import Entity, EventType, Failure, Record, Role, Roster

ROOT = Path(__file__).parent.parent
CORPUS = sorted((ROOT / "data/original").glob("*/*.txt"))
TEXT = "省学会会长王进龙😀出席成立大会。\r\n新任秘书长许　诺。"
RECORD = Record(
    "页/1",
    TEXT,
    [
        Entity(0, 3, "省学会", "ORG", 0.9),
        Entity(3, 5, "会长", "TITLE", 0.8),
        Entity(5, 8, "王进龙", "PER", 0.99),
        Entity(11, 15, "成立大会", "EVENT.FOUNDING", 0.7),
        Entity(20, 23, "秘书长", "TITLE"),
        Entity(23, 26, "许　诺", "PER"),
    ],
    [Role(2, 1, 0, 0.8), Role(5, 4, None, 0.75)],
    [Roster(1, 12, 1)],
    [EventType("FOUNDING", 0.7)],
    "m",
)


def needs(name: str) -> None:
    if name == "docbin":
        pytest.importorskip("spacy", reason='pip install "renshi[spacy]"')


def store(name: str, records: list[Record], path: Path) -> tuple[Path, Report, list[Record | Failure]]:
    """Writes `records` as `name` into `path`; where, what was lost, and the records as the format holds them."""
    format, report = FORMATS[name], Report()
    target = path / f"x{format.suffixes[0]}"
    if format.folder:
        target = path / name
        target.mkdir()
        return target, report, written(FittedWriter(name, target, report), records)
    with target.open("w", encoding="utf-8", newline="") as stream:
        return target, report, written(FittedWriter(name, stream, report), records)


def written(writer: FittedWriter, records: list[Record]) -> list[Record | Failure]:
    items = [writer.write(record) for record in records]
    writer.end()
    return items


def by_id(records: Iterable[Record | Failure]) -> list[dict]:
    return sorted((record.to_dict() for record in records), key=lambda item: item["id"])


# Distinct for a file system that ignores case, and without suffix, as names of files are.
ids = st.text(st.sampled_from("页aé😀%./\\:* \n-_"), max_size=8).filter(lambda id: not id.endswith(".txt"))
characters = st.sampled_from("王会😀𠮷é́\u200d👨‍👩‍👧ﬁ{|}\\#_-T1 \t\r\n\u3000\u2028\x85\x1c\ufeff\0") | st.characters(
    exclude_categories=["Cs"]
)


@st.composite
def records(draw: st.DrawFn, overlaps: bool = False) -> Record:
    """Any record that a model or an annotator may make: sorted entities, roles between such as have the labels."""
    text = draw(st.text(characters, max_size=40))
    cuts = sorted(draw(st.sets(st.integers(0, len(text)), max_size=10)))
    spans = [pair for pair in itertools.pairwise(cuts) if draw(st.booleans())]
    if overlaps and len(cuts) > 2:
        spans = sorted({*spans, (cuts[0], cuts[2])}, key=lambda span: (span[0], -span[1]))
    score = st.floats(0, 1)
    labels = st.sampled_from(["PER", "TITLE", "ORG", "PER", "TITLE", "ORG", *LABELS[3:5]])
    entities = [Entity(a, b, text[a:b], draw(labels), draw(score)) for a, b in spans]
    of = {label: [i for i, e in enumerate(entities) if e.label == label] for label in ("PER", "TITLE", "ORG")}
    triples = list(itertools.product(of["PER"], of["TITLE"], [None, *of["ORG"]]))
    chosen = draw(st.lists(st.sampled_from(triples), max_size=8)) if triples else []
    rosters = [Roster(of["TITLE"][0], 3, 1)] if of["TITLE"] and draw(st.booleans()) else []
    events = draw(st.lists(st.builds(EventType, st.sampled_from(list(EVENT_TYPES)), score), max_size=2))
    return Record(
        draw(ids),
        text,
        entities,
        [Role(*t, draw(score)) for t in chosen],
        rosters,
        events,
        draw(st.sampled_from(["", "m"])),
    )


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_what_a_format_holds_comes_back(
    name: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    needs(name)
    documents = data.draw(st.lists(records(overlaps=True), max_size=3))
    path, _, held = store(name, documents, tmp_path_factory.mktemp("held"))
    assert len(held) == len(documents)
    for document, kept in zip(documents, held, strict=True):
        assert kept.id == document.id
        if isinstance(kept, Record):
            assert kept.text == document.text
    back = Report()
    found = [item for item in read(path, name, back) if isinstance(item, Record)]
    good = [item for item in held if isinstance(item, Record)]
    assert not back.lost
    assert set(back.wrong) <= {"tasks without annotation; they are read as texts without entities"}
    if name == "markup":  # roles by their words: the same words on the nearest mentions
        assert [words(r) for r in sorted(found, key=id_of)] == [words(r) for r in sorted(good, key=id_of)]
    else:
        assert by_id(found) == by_id(good)


def id_of(record: Record) -> str:
    return record.id


def words(record: Record) -> tuple:
    entities = [(e.start, e.end, e.label) for e in record.entities]
    parts = [(r.person, r.title, r.organization) for r in record.roles]
    return record.id, record.text, entities, [[p if p is None else record.entities[p].text for p in r] for r in parts]


@pytest.fixture(scope="module")
def gold() -> list[Record]:
    return list(read(ROOT / "data/original", "markup", Report()))


@pytest.mark.parametrize("name", FORMATS)
def test_the_corpus_goes_through_every_format(name: str, gold: list[Record], tmp_path: Path) -> None:
    needs(name)
    path, report, held = store(name, gold, tmp_path)
    assert len(held) == len(CORPUS)
    assert set(report.lost) == ({"roles"} if name == "conll" else set())
    expected = [replace(record, roles=[]) for record in gold] if name == "conll" else gold
    assert by_id(read(path, name, Report())) == by_id(expected)
    if name == "markup":
        for file in CORPUS:
            assert (path / file.relative_to(ROOT / "data/original")).read_bytes() == file.read_bytes()


def test_what_is_lost_is_counted(tmp_path: Path) -> None:
    expected = {
        "records": {},
        "labelstudio": {"rosters": 1, "event types": 1, "scores of roles": 2},
        "doccano": {"scores of entities": 4, "marks that a model, not a person, made the annotation": 1},
        "conll": {"roles": 2},
    }
    for name, lost in expected.items():
        _, report, _ = store(name, [RECORD], tmp_path)
        assert lost.items() <= report.lost.items()
        assert bool(lost) == bool(report.lost)
    assert "left out: 2 roles (页/1)" in list(report.sentences())


def test_nested_entities_stay_where_they_can(tmp_path: Path) -> None:
    nested = replace(
        RECORD,
        entities=[*RECORD.entities[:1], Entity(0, 1, "省", "ORG"), Entity(3, 5, "会长", "TITLE")],
        roles=[],
        rosters=[],
    )
    for name, kept in (("brat", 3), ("doccano", 3), ("labelstudio", 3), ("conll", 2), ("markup", 2)):
        (tmp_path / name[0]).mkdir()
        _, report, held = store(name, [nested], tmp_path / name[0])
        assert len(held[0].entities) == kept
        assert report.lost["entities inside or across another one"] == 3 - kept


# Relations.

PARTS = [Entity(i, i + 1, "x", label) for i, label in enumerate(["PER", "PER", "TITLE", "TITLE", "ORG", "ORG"])]
TRIPLES = list(itertools.product((0, 1), (2, 3), (None, 4, 5)))


def fail(reason: str) -> None:
    raise AssertionError(reason)


def test_roles_become_relations_and_the_same_roles() -> None:
    one_title = [Role(*t) for t in TRIPLES if t[1] == 2]
    for number in range(len(one_title) + 1):
        for roles in itertools.permutations(one_title, number):
            assert to_roles(to_relations(roles), PARTS, fail) == list(roles)


@settings(max_examples=300)
@given(st.lists(st.sampled_from(TRIPLES), unique=True))
def test_roles_of_several_titles_too(triples: list[tuple[int, int, int | None]]) -> None:
    roles = [Role(*t) for t in triples]
    assert to_roles(to_relations(roles), PARTS, fail) == roles


@pytest.mark.parametrize(
    ("roles", "relations"),
    [
        ([(0, 2, 4)], ["holds 2 0", "at 2 4"]),
        ([(0, 2, None)], ["holds 2 0"]),
        ([(0, 2, 4), (1, 2, 4)], ["holds 2 0", "at 2 4", "holds 2 1"]),
        ([(0, 2, 4), (0, 2, 5)], ["holds 2 0", "at 2 4", "at 2 5"]),
        ([(0, 2, 4), (1, 2, 5)], ["holds 2 0", "at 2 4", "holds-2 2 1", "at-2 2 5"]),
        ([(0, 2, None), (1, 2, 5)], ["holds 2 0", "holds-2 2 1", "at-2 2 5"]),
    ],
)
def test_relations_are_those_that_one_would_draw(roles: list[tuple], relations: list[str]) -> None:
    assert [" ".join(map(str, relation)) for relation in to_relations([Role(*r) for r in roles])] == relations


def test_relations_are_read_in_either_direction_and_without_a_type() -> None:
    assert to_roles([Relation("", 0, 2), Relation("at", 4, 2)], PARTS, fail) == [Role(0, 2, 4)]
    reasons: list[str] = []
    bad = [Relation("holds", 0, 4), Relation("spouse", 0, 1), Relation("at", 2, 4), Relation("", 0, 0)]
    assert to_roles(bad, PARTS, reasons.append) == []
    assert reasons == [
        "relations holds between PER and ORG; holds joins TITLE and PER, at TITLE and ORG",
        "relations of type 'spouse', where types are holds and at (holds-2, at-2 …)",
        "relations without type between PER and PER; holds joins TITLE and PER, at TITLE and ORG",
        "titles with an organization but no person; draw holds from the title to a person",
    ]


# Names of files.


@given(st.text(st.characters(exclude_categories=["Cs"])) | ids)
def test_a_file_name_gives_the_id_back(id: str) -> None:
    stem = file_stem(id)
    assert not Path(stem).is_absolute()
    assert ".." not in Path(stem).parts
    assert document_id(Path("d") / (stem + ".ann"), Path("d")) == (id.removesuffix(".txt") or id)


def test_names_that_collide_are_refused(tmp_path: Path) -> None:
    _, _, held = store("brat", [replace(RECORD, id="a"), replace(RECORD, id="A.txt")], tmp_path)
    assert isinstance(held[1], Failure)
    assert "another document bears this name" in held[1].message


# Files of others.


def read_text(name: str, text: str, path: Path) -> tuple[list[Record | Failure], Report]:
    report = Report()
    file = path / f"x{FORMATS[name].suffixes[0]}"
    file.write_bytes(text.encode("utf-8"))
    return list(read(file, name, report)), report


def region(start: int, end: int, text: str, label: str = "PER", **more: object) -> dict:
    return {
        "id": f"r{start}",
        "type": "labels",
        "value": {"start": start, "end": end, "text": text, "labels": [label]},
    } | more


def test_label_studio_units(tmp_path: Path) -> None:
    """Code points by its source and documentation; UTF-16 units before 2021, told by the span's own text."""
    for start in (1, 2):  # 😀 is one code point, two UTF-16 units
        task = {"data": {"text": "😀王进龙来"}, "annotations": [{"result": [region(start, start + 3, "王进龙")]}]}
        (record,), _ = read_text("labelstudio", json.dumps([task]), tmp_path)
        assert [(e.start, e.end, e.text) for e in record.entities] == [(1, 4, "王进龙")]
    task["annotations"][0]["result"] = [region(0, 3, "王进龙")]
    (record,), _ = read_text("labelstudio", json.dumps([task]), tmp_path)
    assert isinstance(record, Failure)
    assert "task 1: is no task (its span [0, 3) says '王进龙', but '😀王进' stands there)" in record.message


def test_label_studio_export(tmp_path: Path) -> None:
    """What an export has besides: cancelled annotations, several of them, other results, unknown labels."""
    title = region(3, 5, "会长", "TITLE")
    relation = {"type": "relation", "from_id": "r0", "to_id": "r3", "direction": "right"}
    result = [relation, title, region(0, 3, "王进龙"), region(0, 2, "王进", "LOC"), {"type": "choices", "value": {}}]
    late, early = {"result": result, "updated_at": "2026-02"}, {"result": [], "updated_at": "2026-01"}
    task = {
        "id": 7,
        "data": {"text": "王进龙会长"},
        "annotations": [late, early, {"was_cancelled": True, "result": []}],
    }
    (record,), report = read_text("labelstudio", json.dumps([task]), tmp_path)
    assert record.id == "7"
    assert record.roles == [Role(0, 1, None)]
    assert sum(report.wrong.values()) == 2
    assert "not read: 1 results of type 'choices'" in "\n".join(report.sentences())
    assert "annotations of tasks with several" in "\n".join(report.lost)


def test_predictions_are_for_models_and_annotations_for_people(tmp_path: Path) -> None:
    path, _, _ = store("labelstudio", [RECORD, replace(RECORD, model="")], tmp_path)
    by_model, by_person = json.loads(path.read_text(encoding="utf-8"))
    assert by_model["predictions"][0]["model_version"] == "m"
    assert "annotations" not in by_model
    assert "predictions" not in by_person
    by_model["annotations"] = [{"was_cancelled": True, "result": []}]  # somebody skipped it
    path.write_text(json.dumps([by_model]), encoding="utf-8")
    (record,) = read(path, "labelstudio", Report())
    assert record.entities == []


def test_brat_fragments(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_bytes("王\n进龙，来".encode())
    ann = tmp_path / "x.ann"
    ann.write_bytes("T1\tPER 0 1;2 4\t王 进龙\n#1\tAnnotatorNotes T1\thm\n".encode())
    (record,) = read(tmp_path, "brat", Report())
    assert [(e.start, e.end, e.text) for e in record.entities] == [(0, 4, "王\n进龙")]
    ann.write_bytes("T1\tPER 0 1;5 6\t王 来\n".encode())
    (failure,) = read(tmp_path, "brat", Report())
    assert "x.ann:1: a discontinuous span (0 1;5 6)" in failure.message
    ann.write_bytes("T1\tPER 2 4\t王进\n".encode())
    (failure,) = read(ann, "brat", Report())
    assert "x.ann:1: T1 says '王进', but '进龙' stands at [2, 4)" in failure.message


def test_columns_of_others(tmp_path: Path) -> None:
    """MSRA's two columns, ResumeNER's BMES; a tag out of place is reported, a line that is none fails its block."""
    found, report = read_text("conll", "王 B-PER\n强 E-PER\n来 O\n\n学会\tNN\tS-ORG\n长\tNN\tI-ORG\n\nx\n", tmp_path)
    assert [(e.start, e.end, e.label) for r in found[:2] for e in r.entities] == [
        (0, 2, "PER"),
        (0, 2, "ORG"),
        (2, 3, "ORG"),
    ]
    assert sum(report.wrong.values()) == 1
    assert "x.tsv:8: 'x' is no token with its tag" in found[2].message


def test_doccano_without_relations(tmp_path: Path) -> None:
    found, _ = read_text(
        "doccano", '{"id": 3, "text": "王强来", "label": [[0, 2, "PER"]]}\n{"text": 5}\n[]\nx\n', tmp_path
    )
    assert found[0] == Record("3", "王强来", [Entity(0, 2, "王强", "PER")], [])
    assert [f.message.split("(")[0].strip() for f in found[1:3]] == [
        f"{tmp_path}/x.jsonl:2: is no document of doccano",
        f'{tmp_path}/x.jsonl:3: is a JSON list; a line is an object, {{"text": …, "entities": [{{"id", "label", "start_offset", "end_offset"}}], "relations": [{{"from_id", "to_id", "type"}}]}}',
    ]
    assert "x.jsonl:4: is not JSON" in found[3].message


PERSON = {"start": 0, "end": 1, "text": "王", "label": "PER"}


@pytest.mark.parametrize(
    ("item", "problem"),
    [
        ({"id": "a"}, "has no 'text'"),
        (
            {"text": "王", "entities": [{"start": 0, "end": 1, "text": "x", "label": "PER"}]},
            "is 'x', but '王' stands there",
        ),
        ({"text": "王", "entities": [{"start": 0, "end": 2, "text": "王", "label": "PER"}]}, "not in the text of 1"),
        ({"text": "王", "entities": [{"start": 0, "end": 1, "text": "王", "label": "LOC"}]}, "label 'LOC' is unknown"),
        ({"text": "王", "roles": [{"person": 0, "title": 1, "organization": None}]}, "a role names entity 0"),
        ({"text": "王", "schema": 9}, "its schema is 9"),
        ({"text": "王", "id": None}, "its id is null; an id is a string or a number"),
        ({"text": "王", "entities": [PERSON | {"score": "high"}]}, 'a score in its entities is "high", where a number'),
        (
            {"text": "王", "entities": [PERSON | {"score": float("nan")}]},
            "a score in its entities is nan; scores are 0 to 1",
        ),
        (
            {"text": "王", "event_types": [{"type": "AWARD", "score": 2}]},
            "a score in its event_types is 2; scores are 0",
        ),
        (
            {"text": "王", "rosters": [{"title": 0, "claimed": "many", "found": 1}]},
            'claimed in its rosters is "many", where',
        ),
        ({"id": "a", "error": {"type": "X", "message": "gone"}}, "is a document that failed (gone)"),
    ],
)
def test_records_that_do_not_fit_together(item: dict, problem: str, tmp_path: Path) -> None:
    (failure,), _ = read_text("records", json.dumps(item) + "\n", tmp_path)
    assert isinstance(failure, Failure)
    assert f"{tmp_path}/x.jsonl:1" in failure.message
    assert problem in failure.message


def test_spans_outside_the_text_fail_the_document() -> None:
    failure = assemble("x:1", "a", "王", [Span(0, 0, 2, "PER")], [], Report())
    assert isinstance(failure, Failure)
    assert failure.message == (
        "x:1: its span [0, 2) PER is not in its text, which has 1 characters; spans are half-open and count Unicode code points"
    )


def test_formats_are_guessed_where_one_fits(tmp_path: Path) -> None:
    assert [guess_format(f"x{suffix}") for suffix in (".json", ".tsv", ".spacy")] == ["labelstudio", "conll", "docbin"]
    assert guess_format(str(ROOT / "data/original")) == "markup"
    (tmp_path / "a.ann").touch()
    (tmp_path / "a.txt").touch()
    assert guess_format(str(tmp_path)) == "brat"
    with pytest.raises(InterchangeError, match=r"x\.jsonl: \.jsonl may be records or doccano; say which"):
        guess_format("x.jsonl")


# Oracles: readers that others wrote.


def test_spacy_reads_the_columns_as_we_mean_them(tmp_path: Path) -> None:
    pytest.importorskip("spacy", reason='pip install "renshi[spacy]"')
    from spacy.training.converters import conll_ner_to_docs

    path, _, held = store("conll", [RECORD, replace(RECORD, id="2")], tmp_path)
    docs = list(conll_ner_to_docs(path.read_text(encoding="utf-8"), no_print=True))
    got = [("".join(token.text for token in ent), ent.label_) for doc in docs for ent in doc.ents]
    assert got == [("".join(e.text.split()), e.label) for record in held for e in record.entities]


def test_seqeval_reads_the_tags_as_we_mean_them(gold: list[Record], tmp_path: Path) -> None:
    from seqeval.scheme import IOB2, Entities

    path, _, held = store("conll", gold[:20], tmp_path)
    lines = [line.split("\t") for line in path.read_text(encoding="utf-8").split("\n") if line]
    documents = [
        list(g) for is_start, g in itertools.groupby(lines, lambda line: line[0] == "-DOCSTART-") if not is_start
    ]
    for document, record in zip(documents, held, strict=True):
        entities = Entities([[line[2] for line in document]], IOB2).entities[0]
        found = [("".join(line[0] for line in document[e.start : e.end]), e.tag) for e in entities]
        assert found == [("".join(e.text.split()), e.label) for e in record.entities]


def test_bioc_reads_our_brat_files(tmp_path: Path) -> None:
    brat = pytest.importorskip("bioc.brat", reason="pip install bioc")
    path, _, (held,) = store("brat", [RECORD], tmp_path)
    with (
        (path / "页/1.txt").open(encoding="utf-8", newline="") as text,
        (path / "页/1.ann").open(encoding="utf-8") as ann,
    ):
        document = brat.load(text, ann)
    assert document.text == TEXT
    assert [(e.type, *e.total_span, e.text) for e in document.entities] == [
        (e.label.replace(".", "-"), e.start, e.end, e.text) for e in held.entities
    ]
    relations = [(r.type, r.arguments["Arg1"], r.arguments["Arg2"]) for r in document.relations]
    assert relations == [("holds", "T2", "T3"), ("at", "T2", "T1"), ("holds", "T5", "T6")]


def test_label_studio_accepts_our_tasks(tmp_path: Path) -> None:
    """Its own checks of a task against the labeling interface that we give; heavy, so not in the extras."""
    interface = pytest.importorskip("label_studio_sdk.label_interface", reason="pip install label-studio-sdk")
    from renshi.interchange.labelstudio import label_config

    path, _, _ = store("labelstudio", [RECORD, replace(RECORD, model="")], tmp_path)
    checker = interface.LabelInterface(label_config())
    for task in json.loads(path.read_text(encoding="utf-8")):
        for key in ("annotations", "predictions"):
            for item in task.get(key, []):
                spans = [part for part in item["result"] if part["type"] != "relation"]
                assert checker.validate_prediction({"result": spans, "score": 0.5, "model_version": "m"})
        assert checker.validate_task(task)


def test_docbin_holds_no_pickle_and_spacy_shows_the_entities(tmp_path: Path) -> None:
    spacy = pytest.importorskip("spacy", reason='pip install "renshi[spacy]"')
    path, _, _ = store("docbin", [RECORD], tmp_path)
    (doc,) = spacy.tokens.DocBin().from_disk(path).get_docs(spacy.blank("zh").vocab)
    assert doc.text == TEXT
    assert [(e.start_char, e.end_char, e.text, e.label_) for e in doc.ents] == [
        (e.start, e.end, e.text, e.label) for e in RECORD.entities
    ]
    assert json.loads(doc.user_data["renshi"])["roles"] == RECORD.to_dict()["roles"]
    doc.ents = doc.ents[:2]  # somebody corrects it
    spacy.tokens.DocBin(docs=[doc], store_user_data=True).to_disk(path)
    report = Report()
    (record,) = read(path, "docbin", report)
    assert len(record.entities) == 2
    assert record.roles == ()
    assert "documents whose entities were changed in spaCy" in next(iter(report.wrong))


def test_docbin_without_spacy_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "spacy", None)
    with pytest.raises(InterchangeError, match=r'pip install "renshi\[spacy\]"'):
        FORMATS["docbin"].writer(io.StringIO())
