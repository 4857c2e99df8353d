"""The committed corpus is split as the rule says, and what is written about it is true."""

import re
from pathlib import Path

import pytest

from renshi.markup import read_markup
from training.splits import SPLITS, assign, count_table, group_near_duplicates, main, read_folder

DATA = Path(__file__).parents[1] / "data"
SAMPLES = dict(
    re.findall(r"\| `([\w-]+\.txt)` \| ([\w-]+) \|", (DATA / "samples/README.md").read_text(encoding="utf-8"))
)


def test_the_folders_agree_with_the_rule() -> None:
    documents = read_folder(DATA / "original")
    groups = group_near_duplicates({name: document.text for name, document in documents.items()})
    where = {path.stem: path.parent.name for path in (DATA / "original").rglob("*.txt")}
    assert where == assign(groups)
    assert len(documents) == 383
    assert all(len({where[name] for name in group}) == 1 for group in groups)


def test_near_duplicates_stay_together() -> None:
    page = "湘西南疼痛专科联盟成立大会暨慢性疼痛规范化诊疗学习班在邵阳举办，来自四市州三十八家医院的同道参加。"
    texts = {
        "b": page,
        "a": "转载：" + page[:30],
        "c": "云江师范学院党委研究决定任命成小川同志为外国语学院院长，试用期一年。",
        "d": page + "完",
    }
    assert group_near_duplicates(texts) == [["a", "b", "d"], ["c"]]
    split = assign([["a", "b", "d"], ["c"]])
    assert split["a"] == split["b"] == split["d"]


def test_an_added_document_moves_no_other() -> None:
    assert assign([["x"], ["y"]])["y"] == assign([["w"], ["y"], ["z"]])["y"]
    assert set(assign([[str(number)] for number in range(100)]).values()) == set(SPLITS)


@pytest.mark.parametrize("corpus", ["original", "written", "measure"])
def test_the_datasheets_table_is_counted(
    corpus: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["splits", "table", str(DATA / corpus)])
    main()
    table = capsys.readouterr().out.strip()
    assert table == count_table(DATA / corpus)
    assert table in (DATA / "README.md").read_text(encoding="utf-8")


def test_pages_to_learn_from_are_like_none_that_is_measured_on() -> None:
    def texts(*folders: str) -> dict[str, str]:
        return {name: page.text for folder in folders for name, page in read_folder(DATA / folder).items()}

    learnt = texts("written", "original/train")
    measured = texts("original/dev", "original/test", "measure")
    assert not learnt.keys() & measured.keys()
    groups = group_near_duplicates(learnt | measured)
    assert all(len({name in learnt for name in group}) == 1 for group in groups)


@pytest.mark.parametrize(("sample", "document"), SAMPLES.items())
def test_samples_are_pages_of_the_test_split(sample: str, document: str) -> None:
    source = read_markup(DATA / "original/test" / f"{document}.txt")
    assert (DATA / "samples" / sample).read_bytes().decode("utf-8") == source.text


def test_there_are_eight_samples() -> None:
    assert set(SAMPLES) == {path.name for path in (DATA / "samples").glob("*.txt")}
    assert len(SAMPLES) == 8
