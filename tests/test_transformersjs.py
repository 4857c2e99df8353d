"""transformers.js reads a published folder as Python does: same tokens, same tag for each (`python3 dev.py javascript`)."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from renshi.labels import TAGS
from renshi.markup import read_markup
from renshi.model import PACKAGED_MODEL
from renshi.onnx_model import OnnxTokenClassifier
from renshi.text import normalize
from training.export import export

ROOT = Path(__file__).parents[1]
PROJECT = ROOT / "tests/transformersjs"

pytestmark = [
    pytest.mark.skipif(shutil.which("node") is None, reason="there is no node"),
    pytest.mark.skipif(
        not (PROJECT / "node_modules/@huggingface/transformers").is_dir(),
        reason="needs npm install in tests/transformersjs (python3 dev.py javascript)",
    ),
]


def sentences() -> list[str]:
    """One short sentence of each page of the test split, as the model reads it: normalized."""
    found = []
    for path in sorted((ROOT / "data/original/test").glob("*.txt"))[:40]:
        lines = (normalize(line).text for line in re.split("(?<=。)|\n", read_markup(path).text))
        found += [line for line in lines if 20 < len(line) < 120][:1]
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("published") / "model"
    shutil.copytree(PACKAGED_MODEL, target)
    export(PACKAGED_MODEL, target)
    return target


@pytest.mark.parametrize(("dtype", "name"), [("float32", "fp32"), ("int8", "q8")])
def test_the_same_tags(folder: Path, dtype: str, name: str) -> None:
    texts = sentences()
    assert len(texts) > 30
    command = ["node", "tags.mjs", str(folder), name]
    result = subprocess.run(
        command, input=json.dumps(texts), capture_output=True, encoding="utf-8", cwd=PROJECT, check=False
    )
    assert result.returncode == 0, result.stderr
    model = OnnxTokenClassifier(folder, "x", dtype=dtype)
    unknown = model.tokenizer.token_to_id("[UNK]")
    different = 0
    for text, answer in zip(texts, json.loads(result.stdout), strict=True):
        ids = model.tokenizer.encode(text).ids
        assert answer["ids"] == ids, text
        # The pipeline of transformers.js leaves out special tokens, and takes [UNK] for one.
        named = [
            [i, tag]
            for i, tag in enumerate(answer["tags"])
            if tag != "O" and ids[i] not in (*ids[:: len(ids) - 1], unknown)
        ]
        assert answer["pipeline"] == named, text
        different += answer["tags"] != [TAGS[index] for index in model.logits([np.array(ids)], 0).argmax(-1)]
    # int8: the kernels of another version of ONNX Runtime may round otherwise.
    assert different <= (0 if dtype == "float32" else len(texts) // 10)
