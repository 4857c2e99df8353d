#!/usr/bin/env python3
"""Everything a checkout is asked to do, each with its own set-up: needs only Python 3.10 or newer and git.

    python3 dev.py extract [ARGUMENTS]   renshi extract on the pages in data/samples/ (or on your ARGUMENTS)
    python3 dev.py test [ARGUMENTS]      the tests (ARGUMENTS go to pytest)
    python3 dev.py lint | types          ruff | mypy
    python3 dev.py docs                  the documentation site, build/site/index.html; any warning is an error
    python3 dev.py wheel                 build the wheel, install it in an empty environment elsewhere, extract one page
    python3 dev.py javascript            a published folder read by transformers.js (needs node and npm; skipped without)
    python3 dev.py slow                  the tests that take longer than ten seconds each
    python3 dev.py ci                    lint, types, test, slow, javascript, wheel

The virtual environment is .venv/ beside this file. pip's own settings are respected: with the address of PyTorch's CPU
index in PIP_EXTRA_INDEX_URL, no CUDA packages are downloaded.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
LINTED = ["renshi", "training", "scripts", "tests", "dev.py", "app.py"]


def python_of(environment: Path) -> Path:
    return environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def set_up(extra: str) -> str:
    """The environment's Python, with renshi and an extra installed in place; nothing is done twice for one
    pyproject.toml."""
    python = python_of(VENV)
    if not python.exists():
        print(f"making {VENV} …", file=sys.stderr)
        venv.create(VENV, with_pip=True)
    stamp = VENV / f"installed-{extra or 'renshi'}"
    wanted = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != wanted:
        print("installing renshi and what it needs …", file=sys.stderr)
        target = f"{ROOT}[{extra}]" if extra else str(ROOT)
        run([str(python), "-m", "pip", "install", "--quiet", "--editable", target])
        stamp.write_text(wanted, encoding="utf-8")
    return str(python)


def run(command: Sequence[str], cwd: Path = ROOT) -> None:
    status = subprocess.run(command, cwd=cwd, stdout=sys.stdout).returncode
    if status:
        raise SystemExit(status)


def extract(arguments: Sequence[str]) -> None:
    samples = [str(path.relative_to(ROOT)) for path in sorted((ROOT / "data/samples").glob("*.txt"))]
    run([set_up(""), "-m", "renshi", "extract", *(arguments or ["--format", "text", *samples])])


def test(arguments: Sequence[str]) -> None:
    run([set_up("dev"), "-m", "pytest", *arguments])


def slow(_: Sequence[str]) -> None:
    run([set_up("dev"), "-m", "pytest", "-m", "slow"])


def lint(_: Sequence[str]) -> None:
    python = set_up("dev")
    run([python, "-m", "ruff", "check", *LINTED])
    run([python, "-m", "ruff", "format", "--check", *LINTED])


def types(_: Sequence[str]) -> None:
    run([set_up("dev"), "-m", "mypy"])


def docs(arguments: Sequence[str]) -> None:
    os.environ["NO_MKDOCS_2_WARNING"] = "1"  # the theme's advertisement of its successor
    run([set_up("docs"), "-m", "mkdocs", "build", "--strict", "--quiet", *arguments])
    print(f"{ROOT / 'build/site/index.html'}")


def wheel(_: Sequence[str]) -> None:
    python = set_up("dev")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run([python, "-m", "build", "--wheel", "--outdir", name, str(ROOT)])
        built = next(folder.glob("*.whl"))
        venv.create(folder / "empty", with_pip=True)
        fresh = str(python_of(folder / "empty"))
        run([fresh, "-m", "pip", "install", "--quiet", str(built)], cwd=folder)
        page = folder / "page.txt"
        page.write_text("省学会会长王进龙出席肺转移瘤专业委员会成立大会并致辞。", encoding="utf-8")
        run([fresh, "-m", "renshi", "extract", str(page), "-o", str(folder / "out.jsonl")], cwd=folder)
        record = (folder / "out.jsonl").read_text(encoding="utf-8")
        if '"PER"' not in record:
            raise SystemExit(f"the installed wheel found no person in its page: {record}")
        print(f"wheel: {built.name}, {built.stat().st_size / 1e6:.1f} MB, installed and used outside the checkout")


def javascript(_: Sequence[str]) -> None:
    folder = ROOT / "tests/transformersjs"
    npm = shutil.which("npm")
    if npm is None or subprocess.run([npm, "install", "--silent"], cwd=folder, stdout=sys.stderr).returncode:
        print(f"skipped: {'there is no npm' if npm is None else 'npm install failed in tests/transformersjs'}")
        return
    run([set_up("dev"), "-m", "pytest", "tests/test_transformersjs.py"])


def ci(_: Sequence[str]) -> None:
    for step in (lint, types, test, slow, javascript, wheel):
        print(f"== {step.__name__}", flush=True)
        step([])


COMMANDS: dict[str, Callable[[Sequence[str]], None]] = {
    "extract": extract, "test": test, "slow": slow, "lint": lint, "types": types, "docs": docs, "wheel": wheel,
    "javascript": javascript, "ci": ci,
}  # fmt: skip


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in COMMANDS:
        print(__doc__, file=sys.stderr)
        raise SystemExit(2)
    COMMANDS[sys.argv[1]](sys.argv[2:])
