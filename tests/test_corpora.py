"""Corpora of every form, streamed; what is cached depends on all that the tokens depend on."""

from __future__ import annotations

import lzma
from pathlib import Path

import numpy as np
import pytest

from training.config import ConfigError, load_config
from training.corpora import Corpus, HubDataset, list_corpora, paragraphs, token_arrays, tokenize_corpus
from training.pretrain import PretrainConfig
from training.tokenizer import build_vocabulary, from_vocabulary, load_fast_tokenizer

LINES = ["省學會會長王進龍出席。", "致辭,山西省承辦。", "", "第二天,王進龍講話。"]
TEXT = "\n".join(LINES) + "\n"


@pytest.fixture
def vocabulary(tmp_path: Path) -> str:
    from_vocabulary(build_vocabulary([TEXT])).save_pretrained(tmp_path / "vocabulary")
    return str(tmp_path / "vocabulary")


def decoded(path: Path, vocabulary: str) -> str:
    return "".join(load_fast_tokenizer(vocabulary).convert_ids_to_tokens(np.load(path).tolist()))


def test_reads_every_compression(tmp_path: Path) -> None:
    zstandard = pytest.importorskip("zstandard")
    data = TEXT.encode()
    for name, content in (("a.txt", data), ("a.txt.xz", lzma.compress(data)), ("a.txt.zst", zstandard.compress(data))):
        (tmp_path / name).write_bytes(content)
        assert [line.rstrip("\n") for line in paragraphs(tmp_path / name)] == LINES


@pytest.mark.parametrize("name", ["cut.txt.xz", "cut.txt.zst", "latin.txt"])
def test_a_damaged_file_is_named(tmp_path: Path, name: str) -> None:
    noise = np.random.default_rng(0).integers(0x4E00, 0x9000, size=2000)
    data = "".join(map(chr, noise)).encode()
    content = {"xz": lzma.compress(data)[:2000], "zst": b"not compressed", "txt": b"caf\xe9\n"}[name.rsplit(".", 1)[1]]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"{name}: cannot be read to its end as UTF-8 text \(.*\); fetch or make it"):
        list(paragraphs(tmp_path / name))


def test_tokens_are_made_once_and_anew_for_another_vocabulary_file_or_share(tmp_path: Path, vocabulary: str) -> None:
    (tmp_path / "a.txt").write_text(TEXT, encoding="utf-8")
    corpus = Corpus(tmp_path / "a.txt", 1.0)
    made = tokenize_corpus(corpus, vocabulary, tmp_path / "cache")
    assert decoded(made, vocabulary) == "省学会会长王进龙出席。致辞，山西省承办。[SEP]第二天，王进龙讲话。"
    assert np.load(made).dtype == np.uint16
    stamp = made.stat().st_mtime_ns
    assert tokenize_corpus(corpus, vocabulary, tmp_path / "cache") == made
    assert made.stat().st_mtime_ns == stamp
    other = from_vocabulary(build_vocabulary(["王"]))
    other.save_pretrained(tmp_path / "other/vocabulary")
    assert tokenize_corpus(corpus, str(tmp_path / "other/vocabulary"), tmp_path / "cache") != made
    assert tokenize_corpus(corpus, vocabulary, tmp_path / "cache", 0.5) != made
    (tmp_path / "a.txt").write_text(TEXT + "又\n", encoding="utf-8")
    assert tokenize_corpus(corpus, vocabulary, tmp_path / "cache") != made
    assert not list((tmp_path / "cache").glob("*.partial"))


def test_a_share_of_the_documents_stays_traditional(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("王進龍講話,\n出席。\n\n" * 400, encoding="utf-8")
    from_vocabulary(build_vocabulary([TEXT]) + list("進龍講話")).save_pretrained(tmp_path / "v")
    path = tokenize_corpus(Corpus(tmp_path / "a.txt", 1.0), str(tmp_path / "v"), tmp_path / "cache", 0.25)
    documents = decoded(path, str(tmp_path / "v")).split("[SEP]")
    assert set(documents) == {"王进龙讲话，出席。", "王進龍講話，出席。", ""}
    assert 0.18 < documents.count("王進龍講話，出席。") / 400 < 0.32


def test_a_large_vocabulary_has_larger_numbers(tmp_path: Path) -> None:
    entries = [*build_vocabulary([TEXT]), *(f"x{number}" for number in range(70_000)), "zz"]
    from_vocabulary(entries).save_pretrained(tmp_path / "v")
    (tmp_path / "a.txt").write_text("zz\n", encoding="utf-8")
    array = np.load(tokenize_corpus(Corpus(tmp_path / "a.txt", 1.0), str(tmp_path / "v"), tmp_path / "cache"))
    assert array.tolist() == [len(entries) - 1]


def test_reads_datasets_by_name(tmp_path: Path, vocabulary: str) -> None:
    """A folder of Parquet or JSON lines is read as a dataset of the Hub is."""
    datasets = pytest.importorskip("datasets")
    rows = {"title": ["一", "二", "三"], "body": ["省學會會長\n\n王進龍出席。", None, "致辭"]}
    (tmp_path / "news").mkdir()
    datasets.Dataset.from_dict(rows).to_parquet(tmp_path / "news/train.parquet")
    corpora = list_corpora({}, [HubDataset(name="{data_root}/news", column="body", rows=2, weight=2.0)], str(tmp_path))
    assert list(corpora[0].lines()) == ["省學會會長", "王進龍出席。", "", ""]
    (array,) = token_arrays(corpora, vocabulary, tmp_path / "cache")
    tokens = load_fast_tokenizer(vocabulary).convert_ids_to_tokens(array.tolist())
    assert "".join(tokens) == "省学会会长王进龙出席。[SEP][SEP]"
    wrong = Corpus(HubDataset(name=str(tmp_path / "news")), 1.0)
    with pytest.raises(ValueError, match="has no column 'text'; its columns are title, body: set column = \"title\""):
        list(wrong.lines())


def test_a_dataset_in_a_config(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text(
        'base_model = "models/encoder"\noutput = "y"\n'
        '[[hub]]\nname = "wikimedia/wikipedia"\nconfig = "20231101.zh"\nrows = -1\n[[hub]]\nname = "a/b"\nweight = 0\n',
        encoding="utf-8",
    )
    with pytest.raises(ConfigError) as caught:
        load_config(PretrainConfig, path)
    assert "hub[0].rows: -1 is below 0" in str(caught.value)
    assert "hub[1].weight: 0.0 is not a weight above 0" in str(caught.value)
    path.write_text('base_model = "b"\noutput = "y"\n[[hub]]\nname = "a/b"\n', encoding="utf-8")
    assert load_config(PretrainConfig, path).weights == [1.0]
    path.write_text('base_model = "b"\noutput = "y"\n', encoding="utf-8")
    with pytest.raises(ConfigError, match=r"corpora: name a file with its weight, .*, or add a table \[\[hub\]\]"):
        load_config(PretrainConfig, path)
