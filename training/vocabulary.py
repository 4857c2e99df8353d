"""A vocabulary for a new encoder, from the corpora that it will read.

    python -m training.vocabulary configs/vocabulary.toml

Small, because the embedding table is most of a small model, and without a hole where it matters:

1. BERT's special tokens;
2. letters, digits and ASCII punctuation, whatever the corpora have of them;
3. every character that occurs `min_count` times, an ideograph as one token; what may stand inside a word (letters,
   digits, kana, signs such as ℃) also as a piece (``##℃``), so that no word made of such characters is unknown;
4. word pieces of Latin words and numbers, learned by the WordPiece trainer of `tokenizers`, up to the `size` wanted.

The text is normalized as at inference. The output is a tokenizer folder: `tokenizer` in a pretraining config.
"""

from __future__ import annotations

import itertools
import re
import string
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

from renshi.text import normalize
from training.config import main_config
from training.corpora import HubDataset, corpora_problems, list_corpora
from training.tokenizer import SPECIAL_TOKENS, from_vocabulary

__all__ = ["Counts", "VocabularyConfig", "choose_entries", "count", "make_vocabulary"]

_ASCII = string.digits + string.ascii_lowercase + string.punctuation
_BERT = normalizers.BertNormalizer(lowercase=True)
_WORD = re.compile("[a-z0-9]{2,}")
_SPLIT = pre_tokenizers.BertPreTokenizer()
# Words that occur less often teach no piece: mostly names and noise, and there are a great many of them.
_RARE_WORD = 5


@dataclass(frozen=True, kw_only=True)
class VocabularyConfig:
    """What a vocabulary is made from, and how large it gets."""

    output: str
    size: int
    """Entries in all. A multiple of 64 suits matrix units."""
    min_count: int = 8
    """Characters that occur less often become ``[UNK]``."""
    corpora: dict[str, float] = field(default_factory=dict)
    hub: tuple[HubDataset, ...] = ()
    data_root: str = "."
    traditional: bool = False
    """Count the text as it came as well as folded: Traditional characters get entries of their own, for an encoder with a
    `traditional_share`."""

    def problems(self) -> Iterator[str]:
        yield from corpora_problems(self.corpora, self.hub)
        if self.min_count < 1:
            yield f"min_count: {self.min_count} is less than 1"
        if self.size < len(SPECIAL_TOKENS) + len(_required_pieces(())):
            least = len(SPECIAL_TOKENS) + len(_required_pieces(()))
            yield f"size: {self.size} has no room for special tokens, letters, digits and punctuation, {least} in all"


@dataclass(frozen=True)
class Counts:
    """How often each character occurs, and each word of Latin letters and digits; lower-cased, without accents."""

    characters: Counter[str] = field(default_factory=Counter)
    words: Counter[str] = field(default_factory=Counter)


def count(lines: Iterable[str], counts: Counts, *, traditional: bool = False) -> None:
    """Add lines of raw text to `counts`, a few thousand at a time."""
    lines = iter(lines)
    while chunk := list(itertools.islice(lines, 5000)):
        for fold in (True, False) if traditional else (True,):
            text = _BERT.normalize_str("\n".join(normalize(line, fold=fold).text for line in chunk))
            characters = Counter(text)
            if not fold:  # the rest was counted folded
                characters = Counter({char: n for char, n in characters.items() if normalize(char).text != char})
            counts.characters.update({char: n for char, n in characters.items() if not char.isspace()})
            if fold:
                counts.words.update(_WORD.findall(text))


def _inside_words(char: str) -> bool:
    """Whether BERT's tokenization leaves `char` inside a word: it splits at punctuation and around (most) ideographs."""
    return len(_SPLIT.pre_tokenize_str(_BERT.normalize_str(f"a{char}a"))) == 1


def _required_pieces(characters: Iterable[str]) -> list[str]:
    """ASCII and the characters, each with the piece that it needs inside words."""
    alphabet = list(dict.fromkeys([*_ASCII, *characters]))
    return [*alphabet, *(f"##{char}" for char in alphabet if _inside_words(char))]


def choose_entries(counts: Counts, size: int, min_count: int = 1) -> list[str]:
    """The vocabulary: what is required, then word pieces up to `size` (fewer where the words have no more).

    Raises `ValueError` where `size` has no room for what is required."""
    ranked = sorted(counts.characters.items(), key=lambda item: (-item[1], item[0]))
    required = [*SPECIAL_TOKENS.values(), *_required_pieces(char for char, n in ranked if n >= min_count)]
    if len(required) > size:
        raise ValueError(
            f"size: {size:,} has no room for the {len(required):,} entries that characters with min_count = {min_count} "
            "need; raise size or min_count"
        )
    known = set(required)
    words = [piece for piece in _word_pieces(counts.words, size) if piece not in known]
    return [*required, *words[: size - len(required)]]


def _word_pieces(words: Counter[str], size: int) -> list[str]:
    """Pieces of Latin words, the earliest learned first."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    # Single characters as "special" tokens have their numbers before training. Else they get them in the order of a hash
    # table, and what is learned from equal counts differs from run to run.
    alphabet = sorted({char for word in words for char in word})
    single = [piece for char in alphabet for piece in (char, f"##{char}")]
    trainer = trainers.WordPieceTrainer(
        vocab_size=size + len(single), min_frequency=_RARE_WORD, special_tokens=single, show_progress=False
    )
    repeated = (" ".join([word] * n) for word, n in sorted(words.items()) if n >= _RARE_WORD)
    tokenizer.train_from_iterator(repeated, trainer)
    learned: dict[str, int] = tokenizer.get_vocab()
    return sorted(learned.keys() - set(single), key=learned.__getitem__)


def make_vocabulary(config: VocabularyConfig) -> Path:
    """Count the corpora, choose, write; returns the tokenizer's folder."""
    counts = Counts()
    for corpus in list_corpora(config.corpora, config.hub, config.data_root):
        count(corpus.lines(), counts, traditional=config.traditional)
        print(f"{corpus.name}: {counts.characters.total():,} characters so far", file=sys.stderr, flush=True)
    entries = choose_entries(counts, config.size, config.min_count)
    known = set(entries)
    missed = sum(n for char, n in counts.characters.items() if char not in known)
    from_vocabulary(entries).save_pretrained(config.output)
    print(
        f"{len(entries):,} entries in {config.output}; "
        f"{missed / max(counts.characters.total(), 1):.3%} of the characters are unknown to it"
    )
    return Path(config.output)


def main(arguments: Sequence[str] | None = None) -> int:
    config = main_config(VocabularyConfig, __doc__, arguments)
    try:
        make_vocabulary(config)
    except (OSError, ValueError) as error:  # a corpus that is not there, or a size that has no room
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
