"""`python -m renshi` before the command has begun."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import heeds


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_interrupted_while_it_loads_it_says_so(tmp_path: Path) -> None:
    # The first thing that the command imports, in its place: ^C comes from the terminal while it is loaded.
    (tmp_path / "typer.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n", encoding="utf-8")
    result = subprocess.run(
        [sys.executable, "-m", "renshi", "extract", "page.txt"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, timeout=60,
        preexec_fn=heeds(signal.SIGINT),
    )  # fmt: skip
    assert (result.returncode, result.stdout, result.stderr) == (130, "", "renshi: interrupted\n")
