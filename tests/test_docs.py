"""What the documents say is so: links lead somewhere, examples run, the site builds and needs no network."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from renshi.labels import EVENT_TYPES, LABEL_NAMES, LABELS
from renshi.markup import parse_markup

ROOT = Path(__file__).parents[1]
PAGES = sorted(ROOT.glob("docs/*.md"))
READMES = [ROOT / "README.md", ROOT / "README.zh.md"]
GENERATED = {"command-line.md"}  # pages of the site that are no files


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", path.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", [*READMES, *PAGES, ROOT / "CHANGELOG.md"], ids=name)
def test_links_lead_to_files(path: Path) -> None:
    targets = [target.split("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8"))]
    local = [target for target in targets if target and "://" not in target and target not in GENERATED]
    assert not [target for target in local if not (path.parent / target).exists()]


@pytest.mark.parametrize("path", [path for path in [READMES[0], *PAGES] if blocks(path, "python")], ids=name)
def test_python_examples_run(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "__example__"}
    for block in blocks(path, "python"):  # in order, each with the names of those before
        if "user/name" in block:  # needs the Hub; tests/test_publish.py has one
            block = "".join(line for line in block.splitlines(True) if "user/name" not in line)
        exec(compile(block, str(path), "exec"), names)
    printed = capsys.readouterr().out
    text = path.read_text(encoding="utf-8")
    for line in re.findall(r"^(?:prints|The second one says) `([^`]+)`", text, re.MULTILINE):
        assert f"{line}\n" in printed


def test_pipes_run(tmp_path: Path) -> None:
    (tmp_path / "page.txt").write_text("省学会会长王进龙出席成立大会。", encoding="utf-8")
    (tmp_path / "pages.jsonl").write_text('{"text": "省学会会长王进龙出席。"}\n{"txt": ""}\n', encoding="utf-8")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    script = "\n".join(blocks(ROOT / "docs/batch.md", "bash"))
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], cwd=tmp_path, env=os.environ | {"PATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, encoding="utf-8", timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines, failures = done.stdout.splitlines()[:2]
    assert (lines.strip(), failures) == ("2", "1")  # one record in the parts, one in the file, is a failure
    assert {path.name for path in (tmp_path / "records").iterdir()} == {"manifest.json", "part-00000.jsonl"}
    assert "会长  王进龙" in done.stdout
    assert "pages.jsonl:2" in (tmp_path / "errors.txt").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_page_on_training_runs(tiny_model: Path, tmp_path: Path) -> None:
    """Every command of the page, in order, as it stands but for the size of the run: from an export of Label Studio (the
    corrected corpus of this repository) to a published folder that extracts."""
    (tmp_path / "pages").mkdir()
    for page in sorted((ROOT / "data/samples").glob("*.txt"))[:2]:
        shutil.copy(page, tmp_path / "pages")
    corpus = tmp_path / "annotated"
    corpus.mkdir()
    for split in ("train", "dev", "test"):  # by their names they go there again
        for page in sorted((ROOT / "data/original" / split).glob("*.txt"))[:4]:
            shutil.copy(page, corpus)
    shutil.copytree(tiny_model, tmp_path / "models/encoder")
    (tmp_path / "tool").mkdir()
    for name, command in (("renshi", f"{sys.executable} -m renshi"), ("python", sys.executable)):
        (tmp_path / "tool" / name).write_text(f'#!/bin/sh\nexec {command} "$@"\n', encoding="utf-8")
        (tmp_path / "tool" / name).chmod(0o755)
    install, *steps = blocks(ROOT / "docs/training.md", "bash")
    assert install.startswith("pip install")
    script = "\n".join(["renshi convert annotated export.json --from markup --to labelstudio", *steps])
    for size, tiny in (("max_length = 256", "max_length = 64"), ("batch_tokens = 3072", "batch_tokens = 512"),
                       ("steps = 1200", "steps = 4"), ("evaluations = 6", "evaluations = 1")):  # fmt: skip
        assert script.count(size) == 1
        script = script.replace(size, tiny)
    path = os.pathsep.join([str(tmp_path / "tool"), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=600,
        env=os.environ | {"PATH": path, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "2"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len((tmp_path / "records.jsonl").read_text(encoding="utf-8").splitlines()) == 2
    assert {"model.safetensors", "README.md", "onnx"} <= {path.name for path in (tmp_path / "published").iterdir()}


def test_the_labels_page_has_every_label() -> None:
    text = (ROOT / "docs/labels.md").read_text(encoding="utf-8")
    for label in LABELS:
        assert f"| `{label}` | {LABEL_NAMES[label]} |" in text
    for key, info in EVENT_TYPES.items():
        assert f"| `EVENT.{key}` | {info.chinese} | {info.english} | {', '.join(info.examples)} |" in text or (
            f"| `EVENT.{key}` | {info.chinese} |" in text and f"| {', '.join(info.examples)} |" in text
        )


def test_the_labels_examples_are_annotated_text_of_the_repository() -> None:
    sources = [ROOT / "docs/guidelines.md", *(ROOT / "data/original").rglob("*.txt")]
    known = "\n".join(path.read_text(encoding="utf-8") for path in sources)
    seen = set()
    for block in blocks(ROOT / "docs/labels.md", "markup"):
        seen |= {entity.label for entity in parse_markup(block).entities}
        assert all(line in known for line in block.splitlines() if not line.startswith("ROLE ")), block
    assert seen == set(LABELS)


def test_the_chinese_readme_has_the_same_parts() -> None:
    english, chinese = (path.read_text(encoding="utf-8") for path in READMES)

    def parts(text: str) -> list[str]:
        return re.findall(r"^(?:#+|```\w*|\| (?:---|`)|<!--)", text, re.MULTILINE)

    def commands(text: str) -> list[str]:
        code = re.findall(r"^```(?:python)?\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
        return [re.sub(r"\s*#.*", "", block) for block in code if "─" not in block]

    def links(text: str) -> list[str]:
        return sorted(set(re.findall(r"\]\(((?!README)[^)]+)\)", text)))

    assert parts(english) == parts(chinese)
    assert commands(english) == commands(chinese)
    assert links(english) == links(chinese)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("mkdocs", reason='mkdocs is not installed: pip install "renshi[docs]"')
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)],
        cwd=ROOT, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_the_site_loads_nothing_from_elsewhere(site: Path) -> None:
    loads = re.compile(
        r"""<(?:script|link|img|iframe|source|video|audio|object|embed)\b[^>]*?\b(?:src|href|data)=["']?(?:https?:)?//"""
    )
    assert (site / "index.html").exists()
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert not loads.search(text), page
        assert "fonts.googleapis" not in text
    for sheet in site.rglob("*.css"):
        assert not re.search(r"(?:url\(|@import )[\"']?(?:https?:)?//", sheet.read_text(encoding="utf-8")), sheet


def test_the_site_has_the_references(site: Path) -> None:
    commands = (site / "command-line.html").read_text(encoding="utf-8")
    assert all(option in commands for option in ("--output", "--format", "--min-score", "--batch-tokens"))
    api = (site / "api.html").read_text(encoding="utf-8")
    assert all(
        f'id="renshi.{place}"' in api
        for place in ("extractor.Extractor.extract", "frames.to_dataframe", "records.Record")
    )
    labels = (site / "labels.html").read_text(encoding="utf-8")
    assert '<mark class="event" data-label="签约合作"' in labels
    assert "```" not in labels


def test_links_of_the_site_stay_in_the_site(site: Path) -> None:
    card = (site / "model-card.html").read_text(encoding="utf-8")
    assert 'href="guidelines.html"' in card
    assert 'href="configs/' not in card  # not in the site: the text stays, the link goes
