"""A vocabulary without holes: characters over the threshold are tokens, words are pieces, the size is kept."""

from __future__ import annotations

import re
import string
from pathlib import Path

import pytest

from renshi.text import HAN
from training.config import ConfigError, format_config, load_config
from training.pretrain import PretrainConfig
from training.tokenizer import from_vocabulary, load_fast_tokenizer
from training.vocabulary import Counts, VocabularyConfig, choose_entries, count, main, make_vocabulary

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "data/original/dev").glob("*.txt"))
LATIN = ["The cancer centre and the cancer center, Cancer Cell 2024, MRI, DNA, COVID-19 at 36.5℃ on 2024-05-01. "] * 40


@pytest.fixture(scope="module")
def counts() -> Counts:
    found = Counts()
    count((line for page in PAGES for line in page.read_text(encoding="utf-8").splitlines()), found)
    count(LATIN, found)
    return found


def test_every_common_ideograph_is_one_token(counts: Counts) -> None:
    tokenizer = from_vocabulary(choose_entries(counts, 5000, min_count=3))
    common = [char for char, n in counts.characters.items() if n >= 3 and re.match(f"[{HAN}]", char)]
    assert len(common) > 1000
    for char in common:
        assert tokenizer.tokenize(char) == [char]
    rare = next(char for char, n in counts.characters.items() if n < 3 and re.match(f"[{HAN}]", char))
    assert tokenizer.tokenize(rare) == ["[UNK]"]


def test_words_of_known_characters_are_never_unknown(counts: Counts) -> None:
    tokenizer = from_vocabulary(choose_entries(counts, 5000, min_count=3))
    for word in ("qwxzj", "x9y8z7", "37℃以上", string.punctuation, string.digits + string.ascii_letters):
        assert "[UNK]" not in tokenizer.tokenize(word), word
    assert tokenizer.tokenize("Cancer 2024") == ["cancer", "2024"]  # what is frequent is one piece
    assert tokenizer.convert_tokens_to_string(tokenizer.tokenize("cancer cells in qwxzj")) == "cancer cells in qwxzj"


def test_kana_are_read_inside_words() -> None:
    found = Counts()
    count(["プロジェクトを\n"] * 10, found)
    tokenizer = from_vocabulary(choose_entries(found, 500, min_count=5))
    assert "[UNK]" not in tokenizer.tokenize("ジェクトプロ")


def test_the_size_is_kept_and_the_order_is_that_of_frequency(counts: Counts) -> None:
    required = choose_entries(counts, 10**6, min_count=3)
    entries = choose_entries(counts, len(required) - 7, min_count=3)
    assert entries == required[:-7]
    assert len(set(required)) == len(required)
    assert required[:5] == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    assert required.index("的") < required.index("癌")
    with pytest.raises(
        ValueError, match=r"size: 200 has no room for the [\d,]+ entries that characters with min_count = 3"
    ):
        choose_entries(counts, 200, min_count=3)


def test_it_is_the_same_every_time(counts: Counts) -> None:
    backwards = Counts()
    count(reversed(LATIN), backwards)
    for page in reversed(PAGES):
        count(reversed(page.read_text(encoding="utf-8").splitlines()), backwards)
    assert choose_entries(counts, 5000) == choose_entries(backwards, 5000)


def test_traditional_characters_get_entries_where_asked_for() -> None:
    folded, both = Counts(), Counts()
    for found, traditional in ((folded, False), (both, True)):
        count(["國家的會議 cancer"] * 9, found, traditional=traditional)
    assert {"国", "会"} <= folded.characters.keys() & both.characters.keys()
    assert "國" not in folded.characters
    assert both.characters["國"] == 9
    assert both.characters["的"] == folded.characters["的"] == 9
    assert both.words == folded.words == {"cancer": 9}


def test_a_command_writes_a_folder_that_the_rest_loads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "c.txt").write_text("省學會會長王進龍出席 Cancer 2024。\n" * 9, encoding="utf-8")
    path = tmp_path / "v.toml"
    path.write_text(
        f'output = "{tmp_path}/v"\nsize = 300\ndata_root = "{tmp_path}"\ncorpora = {{"c.txt" = 1}}\n', encoding="utf-8"
    )
    assert main([str(path)]) == 0
    assert "0.000% of the characters are unknown to it" in capsys.readouterr().out
    tokenizer = load_fast_tokenizer(str(tmp_path / "v"))
    text = "省学会会长王进龙，cancer2024"
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    assert "".join(text[start:end] for start, end in encoded["offset_mapping"]) == text
    assert tokenizer.unk_token_id not in tokenizer("省学会会长王进龙")["input_ids"]
    assert main([str(path), "size=112"]) == 2
    assert "size: 112 has no room for the" in capsys.readouterr().err


def test_configs_load_and_refuse_nonsense(tmp_path: Path) -> None:
    wanted = load_config(VocabularyConfig, ROOT / "configs/vocabulary.toml")
    encoder = load_config(PretrainConfig, ROOT / "configs/new-encoder.toml")
    assert (encoder.tokenizer, encoder.init, set(encoder.corpora)) == (wanted.output, "ppmi", set(wanted.corpora))
    written = tmp_path / "written.toml"
    written.write_text(format_config(encoder), encoding="utf-8")
    assert load_config(PretrainConfig, written) == encoder
    with pytest.raises(
        ConfigError, match=r"size: 20 has no room for special tokens, letters, digits and punctuation, 109"
    ):
        load_config(VocabularyConfig, ROOT / "configs/vocabulary.toml", ["size=20"])
    with pytest.raises(OSError, match=r"nowhere\.txt"):
        make_vocabulary(VocabularyConfig(output=str(tmp_path), size=500, corpora={"nowhere.txt": 1.0}))
