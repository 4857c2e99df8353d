"""What mkdocs does besides its own for the site (`hooks` in mkdocs.yml): pages made of files that live elsewhere in the
repository, the command-line reference from the commands themselves, and annotated text in colours."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

import typer.main
from mkdocs.structure.files import File
from typer.cli import get_docs_for_click

from renshi.cli import app
from renshi.markup import parse_markup
from renshi.writers import marked_text

ROOT = Path(__file__).parents[1]

PAGES: dict[str, str] = {
    "zh.md": "README.zh.md",
    "model-card.md": "model_card.md",
    "corpus.md": "data/README.md",
    "training-package.md": "training/README.md",
    "changelog.md": "CHANGELOG.md",
}
"""Pages of the site that are files outside docs/."""

_PLACES = {source: page for page, source in PAGES.items()} | {"README.md": "index.md"}
_HEAD = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)  # the YAML of the model card, which is for the Hub
_LINK = re.compile(r"(?<!!)\[(?P<text>[^\[\]]*(?:\[[^\]]*\][^\[\]]*)*)\]\((?P<target>[^)\s]+)\)")
_MARKUP = re.compile(r"^```markup\n(?P<marked>.*?)^```$", re.DOTALL | re.MULTILINE)
_CODE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)


def on_files(files: Any, config: Any) -> Any:
    """Adds the pages of `PAGES`, and the command-line reference."""
    for page, source in PAGES.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=_HEAD.sub("", text)))
    files.append(File.generated(config, "command-line.md", content=command_line()))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Colours annotated text, and turns links to files of the repository into links of the site."""
    return relink(_MARKUP.sub(lambda match: coloured(match["marked"]), markdown), page.file.src_uri)


def command_line() -> str:
    """The reference of the commands, as Markdown; of what `renshi COMMAND --help` shows."""
    command = typer.main.get_command(app)
    return get_docs_for_click(obj=command, ctx=typer.Context(command), name="renshi", title="Command line")


def coloured(marked: str) -> str:
    """Annotated lines as HTML, as the format html shows them, with the labels written out."""
    document = parse_markup(marked)
    roles = "".join(
        f"<li>{person} · {title} · {organization or '—'}</li>" for person, title, organization in document.roles
    )
    html = marked_text(document.text.rstrip("\n"), document.entities)
    return html.rstrip("\n") + (f'\n<ul class="roles">{roles}</ul>\n' if roles else "\n")


def relink(markdown: str, page: str) -> str:
    """A link to a file of the repository leads to its page in the site; if it has none, its text alone stays."""
    folder = posixpath.dirname(PAGES.get(page, f"docs/{page}"))

    def replace(match: re.Match[str]) -> str:
        target, _, anchor = match["target"].partition("#")
        if not target or "://" in target or target.startswith("mailto:"):
            return match[0]
        path = posixpath.normpath(posixpath.join(folder, target))
        place = _PLACES.get(path) or (path.removeprefix("docs/") if path.startswith("docs/") else None)
        if place is None:
            return match["text"] if (ROOT / path).exists() else match[0]
        return f"[{match['text']}]({place}{'#' + anchor if anchor else ''})"

    parts, last = [], 0
    for code in _CODE.finditer(markdown):
        parts += [_LINK.sub(replace, markdown[last : code.start()]), code[0]]
        last = code.end()
    return "".join([*parts, _LINK.sub(replace, markdown[last:])])
