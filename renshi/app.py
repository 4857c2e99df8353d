"""A page to look at: paste a text or drop files, see spans, roles, rosters and events, take the records away.

Gradio (extra ``renshi[app]``). `serve` is what ``renshi serve`` runs; a Hub Space launches what `build_app` gives.
Nothing leaves the machine: no telemetry, no fonts or scripts from elsewhere, and a link in a text stays text.
"""

from __future__ import annotations

import re
import tempfile
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from renshi.documents import SUFFIXES, read_documents
from renshi.events import document_event_types
from renshi.labels import EVENT_TYPES, LABEL_NAMES, event_type
from renshi.records import Document, Entity, EventType, Failure, Record
from renshi.writers import FORMATS, MARK_STYLE, by_organization, escaped, mark_entity, marked_text

if TYPE_CHECKING:
    import gradio as gr

    from renshi.extractor import Extractor

__all__ = ["DOWNLOADS", "KINDS", "LANGUAGES", "MAX_MB", "build_app", "launch_options", "select", "serve"]

MAX_MB = 20
DOWNLOADS = ("jsonl", "csv", "xlsx", "html")
KINDS = ("PER", "TITLE", "ORG", "EVENT")
"""What can be shown or hidden: the labels, all events as one."""
ENCODINGS = ("auto", "utf-8", "gb18030", "big5")
_GROUP = 8  # documents between two steps of the progress bar

# ---- words ----

LANGUAGES = ("中文繁體", "中文简体", "English")

_WORDS: dict[str, tuple[str, str, str]] = {
    "tagline": ("誰在哪裡擔任什麼職務，發生了什麼事", "谁在哪里担任什么职务，发生了什么事", "Who holds which post where, and what took place"),
    "language": ("介面語言", "界面语言", "Language"),
    "paste": ("貼上文字", "粘贴文字", "Paste a text"),
    "placeholder": ("把新聞全文貼在這裡（網址不會被讀取）", "把新闻全文粘贴在这里（网址不会被读取）", "The news itself; a link is not fetched"),
    "files": ("或選擇檔案（每個不超過 {mb} MB）", "或选择文件（每个不超过 {mb} MB）", "Or choose files (at most {mb} MB each)"),
    "encoding": ("純文字檔的編碼", "纯文本文件的编码", "Encoding of text files"),
    "read": ("讀取", "读取", "Read"),
    "clear": ("清除", "清除", "Clear"),
    "document": ("文件", "文档", "Document"),
    "threshold": ("最低信心分數", "最低置信度", "Least score"),
    "labels": ("顯示", "显示", "Show"),
    "download": ("下載（依目前的篩選）", "下载（按当前的筛选）", "Download (as filtered)"),
    "roles": ("職務", "任职", "Roles"),
    "rosters": ("名單", "名单", "Rosters"),
    "claimed": ("文中稱 {claimed} 人，讀出 {found} 人", "文中称 {claimed} 人，读出 {found} 人", "{claimed} claimed, {found} found"),
    "events": ("事件", "事件", "Events"),
    "text": ("原文", "原文", "Text"),
    "no_roles": ("未讀出職務。", "未读出任职。", "No role was found."),
    "ORG": ("機構", "机构", "Organization"),
    "TITLE": ("職務", "职务", "Title"),
    "PER": ("人物", "人物", "Person"),
    "EVENT": ("事件", "事件", "Event"),
    "score": ("分數", "分数", "Score"),
    "summary": ("{records} 份文件：{entities} 處標註，{roles} 項職務", "{records} 份文档：{entities} 处标注，{roles} 项任职", "{records} read: {entities} mentions, {roles} roles"),
    "failed": ("{count} 份未能讀取：", "{count} 份未能读取：", "{count} could not be read:"),
    "nothing": ("請先貼上文字或選擇檔案。", "请先粘贴文字或选择文件。", "Paste a text or choose a file first."),
    "link": ("這是一個網址，本程式不會連網讀取；請貼上網頁的文字，或存成 .html 檔後上傳。", "这是一个网址，本程序不会联网读取；请粘贴网页的文字，或存成 .html 文件后上传。", "This is a link, and links are not fetched: paste the page's text, or save the page as .html and drop it here."),
    "start": ("結果會顯示在這裡。", "结果会显示在这里。", "What is read will stand here."),
    "reading": ("讀取中", "读取中", "Reading"),
}  # fmt: skip
"""What the page says, in the order of `LANGUAGES`."""

_TRADITIONAL_EVENTS: dict[str, str] = {
    "FOUNDING": "成立", "UNVEILING": "揭牌授牌", "ELECTION": "換屆任命", "MEETING": "會議", "FORUM": "學術論壇", "TRAINING": "培訓",
    "LAUNCH": "啟動", "SIGNING": "簽約合作", "AWARD": "表彰獲獎", "OUTREACH": "義診公益", "VISIT": "調研來訪", "CONTEST": "競賽",
}  # fmt: skip


def _word(key: str, language: str, **values: object) -> str:
    return _WORDS[key][LANGUAGES.index(language)].format(**values)


def label_name(label: str, language: str) -> str:
    """A label's display name: 職務, 职务 or Title for ``TITLE``; 會議, 会议 or Meeting for ``EVENT.MEETING``."""
    event = event_type(label)
    if event is None:
        return _word(label, language)
    return (_TRADITIONAL_EVENTS[event], LABEL_NAMES[label], event.capitalize())[LANGUAGES.index(language)]


def _event_name(event: str, language: str) -> str:
    """The same, in English in full: a chip has more room than a span."""
    return EVENT_TYPES[event].english if language == LANGUAGES[2] else label_name(f"EVENT.{event}", language)


def preferred_language(tag: str) -> str:
    """The interface language for a browser's language, such as ``zh-TW`` (BCP 47)."""
    if not tag.lower().startswith("zh"):
        return LANGUAGES[2]
    return LANGUAGES[0 if re.search(r"-(hant|tw|hk|mo)\b", tag.lower()) else 1]


# ---- records ----


def select(record: Record, min_score: float, kinds: Sequence[str] = KINDS) -> Record:
    """The record with the entities of these `KINDS` that score at least `min_score`, and what hangs on them.

    A role goes with its person or its title; without its organization it stays. Nothing is read anew: what the extractor
    would have joined otherwise, had it never seen the weaker entities, it does not join here.
    """
    kept = [
        index
        for index, entity in enumerate(record.entities)
        if entity.score >= min_score and entity.label.partition(".")[0] in kinds
    ]
    if len(kept) == len(record.entities):
        return record
    place: Mapping[int | None, int] = {index: number for number, index in enumerate(kept)}
    entities = [record.entities[index] for index in kept]
    events = [EventType(e.type, round(e.score, 4)) for e in document_event_types(record.text, entities)]
    return replace(
        record,
        entities=entities,
        roles=[
            replace(r, person=place[r.person], title=place[r.title], organization=place.get(r.organization))
            for r in record.roles
            if r.person in place and r.title in place
        ],
        rosters=[replace(roster, title=place[roster.title]) for roster in record.rosters if roster.title in place],
        event_types=events,
    )


def _documents(text: str, files: Sequence[str], encoding: str, max_mb: float) -> Iterator[Document | Failure]:
    """The pasted text and the uploaded files, named as the user named them."""
    if text.strip():
        size = len(text.encode("utf-8", "replace"))
        yield _too_large("text", size, max_mb) if size > max_mb * 1e6 else Document("text", text)
    for path in map(Path, files):
        size = path.stat().st_size
        if size > max_mb * 1e6:
            yield _too_large(path.name, size, max_mb)
            continue
        for item in read_documents([str(path)], encoding):
            name = item.id.replace(str(path), path.name)
            if isinstance(item, Failure):
                # The page has no command line: the encoding is chosen beside the files.
                message = item.message.replace(str(path), path.name).replace("--encoding ", "")
                yield Failure(name, item.type, message)
            else:
                yield Document(name, item.text)


def _too_large(name: str, size: int, max_mb: float) -> Failure:
    message = (
        f"{name}: has {size / 1e6:.1f} MB; at most {max_mb:g} MB are read: split it, or start renshi serve --max-mb"
    )
    return Failure(name, "ValueError", message)


def _write(records: Iterable[Record | Failure], name: str, folder: Path) -> Path:
    path = folder / f"renshi.{name}"
    encoding = FORMATS[name].encoding
    mode, newline = ("w", "") if encoding else ("wb", None)
    with path.open(mode, encoding=encoding, newline=newline) as stream:
        writer = FORMATS[name](stream)
        for record in records:
            writer.write(record)
        writer.end()
    return path


# ---- HTML ----


def record_html(record: Record, language: str) -> str:
    """One document: events, roles by organization, rosters, and the text with its spans, scores on hover."""
    parts = [f"<h2>{escaped(record.id)}</h2>", _events(record, language), _roles(record, language)]
    parts += [_rosters(record, language), f"<h3>{_word('text', language)}</h3>"]
    parts.append(marked_text(record.text, record.entities, lambda entity: _mark(entity, language)))
    return f'<div class="renshi">{"".join(parts)}</div>'


def _mark(entity: Entity, language: str) -> str:
    name = label_name(entity.label, language)
    return mark_entity(entity, f"{name} {entity.score:.2f} [{entity.start}, {entity.end})", name=name)


def _events(record: Record, language: str) -> str:
    chips = "".join(
        f'<li title="{event.score:.2f}">{_event_name(event.type, language)}</li>' for event in record.event_types
    )
    return f'<ul class="events" aria-label="{_word("events", language)}">{chips}</ul>' if chips else ""


def _roles(record: Record, language: str) -> str:
    head = f"<h3>{_word('roles', language)} <small>{len(record.roles)}</small></h3>"
    if not record.roles:
        return f'{head}<p class="soft">{_word("no_roles", language)}</p>'
    groups = []
    for organization, roles in by_organization(record):
        rows = "".join(
            f"<tr><td>{escaped(record.entities[role.title].text)}</td><td>{escaped(record.entities[role.person].text)}</td>"
            f"<td>{role.score:.2f}</td></tr>"
            for role in roles
        )
        groups.append(
            f'<tbody><tr><th colspan="3" scope="rowgroup">{escaped(organization or "—")}</th></tr>{rows}</tbody>'
        )
    columns = "".join(f"<th>{_word(key, language)}</th>" for key in ("TITLE", "PER", "score"))
    return f'{head}<div class="wide"><table lang="zh"><thead><tr>{columns}</tr></thead>{"".join(groups)}</table></div>'


def _rosters(record: Record, language: str) -> str:
    items = [
        f'<li class="{"" if roster.claimed == roster.found else "differs"}"><b>{escaped(record.entities[roster.title].text)}</b> '
        f"{_word('claimed', language, claimed=roster.claimed, found=roster.found)}</li>"
        for roster in record.rosters
    ]
    return f'<h3>{_word("rosters", language)}</h3><ul class="rosters">{"".join(items)}</ul>' if items else ""


def summary_html(records: Sequence[Record | Failure], language: str, message: str = "") -> str:
    """What was read in all and what could not be, or the `message` (a key of the words) why nothing was."""
    if message:
        return f'<div class="renshi"><p class="failed">{_word(message, language)}</p></div>'
    if not records:
        return f'<div class="renshi"><p class="soft">{_word("start", language)}</p></div>'
    read = [record for record in records if isinstance(record, Record)]
    failures = [record for record in records if isinstance(record, Failure)]
    counts = {"entities": sum(len(r.entities) for r in read), "roles": sum(len(r.roles) for r in read)}
    parts = [f"<p>{_word('summary', language, records=len(read), **counts)}</p>"] if read else []
    if failures:
        items = "".join(f"<li>{escaped(failure.message)}</li>" for failure in failures)
        parts.append(f'<div class="failed">{_word("failed", language, count=len(failures))}<ul>{items}</ul></div>')
    return f'<div class="renshi">{"".join(parts)}</div>'


# Gradio sets the class `dark` on the page, after the system or ?__theme=dark; its own variables give ground and ink.
STYLE = (
    """
:root { --per: #00639b; --title: #9a4a06; --org: #006b4f; --event: #98396b; --warn: #b34700; --soft: #6a665f; }
.dark { --per: #6cb8ea; --title: #f0a04b; --org: #4fc9a2; --event: #e08ab8; --warn: #ff9a5c; --soft: #a09b91; }
.gradio-container { max-width: 84rem !important; }
.renshi { color: var(--body-text-color); font-size: 1rem; line-height: 1.6; }
.renshi h1 { font-size: 1.5rem; font-weight: 700; margin: 0; }
.renshi h2 { font-size: 1.05rem; font-weight: 600; margin: 0 0 .6rem; overflow-wrap: anywhere; }
.renshi h3 { font-size: .9rem; font-weight: 600; margin: 1.1rem 0 .3rem; color: var(--soft); }
.renshi p { margin: 0; }
.renshi .soft, .renshi small { color: var(--soft); font-weight: 400; }
.renshi .failed { border-left: .3rem solid var(--warn); padding: .2rem .8rem; margin: .4rem 0; overflow-wrap: anywhere; }
.renshi .failed ul { list-style: disc; padding-left: 1.2rem; margin: 0; }
.renshi .events, .renshi .rosters { list-style: none; padding: 0; margin: 0 0 .4rem; display: flex; flex-wrap: wrap; gap: .4rem .6rem; }
.renshi .events li { border: 1px solid var(--event); color: var(--event); border-radius: 1rem; padding: .05rem .8rem; font-size: .9rem; }
.renshi .rosters li { border-bottom: 2px dotted var(--title); font-size: .92rem; }
.renshi .rosters .differs { border-bottom-color: var(--warn); }
.renshi .wide { overflow: auto; max-height: 26rem; }
.renshi table { border-collapse: collapse; width: 100%; font-size: .95rem; }
.renshi th, .renshi td { text-align: left; vertical-align: top; padding: .25rem .8rem .25rem 0; border-bottom: 1px solid var(--border-color-primary); }
.renshi thead th { position: sticky; top: 0; background: var(--body-background-fill); font-size: .8rem; font-weight: 600; color: var(--soft); }
.renshi tbody th { color: var(--org); font-weight: 600; padding-top: .7rem; }
.renshi td:first-child { padding-left: 1rem; }
.renshi td:nth-child(2) { min-width: 4.5em; }
.renshi td:last-child { width: 3.5em; font-variant-numeric: tabular-nums; color: var(--soft); padding-right: .4rem; }
.renshi .text { white-space: pre-wrap; overflow-wrap: anywhere; line-height: 2.1; }
.renshi h2, .renshi td, .renshi b, .renshi mark { unicode-bidi: isolate; }
"""
    + MARK_STYLE
)

_FONTS = ("system-ui", "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei", "sans-serif")  # the reader's own

# ---- the page ----


def build_app(extractor: Extractor, *, max_mb: float = MAX_MB) -> gr.Blocks:
    """The page for one extractor, which reads the documents of one visitor at a time. Launch it with `launch_options`."""
    import gradio as gr

    def words(language: str) -> dict[str, dict[str, Any]]:
        """What each component says."""
        word = partial(_word, language=language)
        return {
            "head": {"value": _head(language)},
            "language": {"label": word("language")},
            "text": {"label": word("paste"), "placeholder": word("placeholder")},
            "files": {"label": word("files", mb=f"{max_mb:g}")},
            "encoding": {"label": word("encoding")},
            "clear": {"value": word("clear")},
            "read": {"value": word("read")},
            "threshold": {"label": word("threshold")},
            "kinds": {"label": word("labels"), "choices": [(word(kind), kind) for kind in KINDS]},
            "number": {"label": word("document")},
            "caption": {"value": f'<div class="renshi"><p class="soft">{word("download")}</p></div>'},
        }

    first = LANGUAGES[1]
    says = words(first)
    app: gr.Blocks = gr.Blocks(title="renshi 人事", analytics_enabled=False, delete_cache=(3600, 3600))
    with app:
        records = gr.State([], time_to_live=3600)
        message = gr.State("")
        with gr.Row():
            with gr.Column(scale=3, min_width=280):
                head = gr.HTML(**says["head"], apply_default_css=False)
            with gr.Column(scale=2, min_width=280):
                language = gr.Radio(LANGUAGES, value=first, **says["language"], elem_id="language")
        with gr.Row():
            with gr.Column(scale=2, min_width=320):
                text = gr.Textbox(**says["text"], lines=8, max_lines=16, elem_id="text")
                files = gr.File(
                    **says["files"], file_count="multiple", file_types=list(SUFFIXES), height=160, elem_id="files"
                )
                encoding = gr.Dropdown(ENCODINGS, value=ENCODINGS[0], **says["encoding"])
                with gr.Row():
                    clear = gr.ClearButton([text, files], **says["clear"], min_width=80, elem_id="clear")
                    read = gr.Button(**says["read"], variant="primary", min_width=80, elem_id="read")
            with gr.Column(scale=3, min_width=320):
                summary = gr.HTML(summary_html([], first), elem_id="summary", apply_default_css=False)
                with gr.Column(visible=False) as results:
                    number = gr.Dropdown([], **says["number"], elem_id="document")
                    with gr.Group(), gr.Row():
                        threshold = gr.Slider(
                            0,
                            1,
                            value=0,
                            step=0.01,
                            **says["threshold"],
                            min_width=240,
                            elem_id="threshold",
                        )
                        kinds = gr.CheckboxGroup(**says["kinds"], value=list(KINDS), min_width=240, elem_id="kinds")
                    shown = gr.HTML(elem_id="shown", apply_default_css=False)
                    caption = gr.HTML(**says["caption"], apply_default_css=False)
                    with gr.Row():
                        buttons = [gr.Button(name.upper(), size="sm", min_width=70) for name in DOWNLOADS]
                    file = gr.DownloadButton(visible="hidden", elem_id="file")

        def relabel(language: str) -> list[Any]:
            return [gr.update(**changed) for changed in words(language).values()]

        def extract(
            text: str | None,
            files: list[str] | None,
            encoding: str,
            language: str,
            progress: gr.Progress = gr.Progress(),  # noqa: B008 (how Gradio finds it)
        ) -> tuple[list[Record | Failure], str]:
            if text and not files and re.fullmatch(r"\s*https?://\S+\s*", text):
                return [], "link"
            documents = list(_documents(text or "", files or [], encoding, max_mb))
            done: list[Record | Failure] = []
            for start in range(0, len(documents), _GROUP):
                progress((start, len(documents)), desc=_word("reading", language))
                done += extractor.extract(documents[start : start + _GROUP])
            return done, "" if done else "nothing"

        def show(records: list[Record | Failure], number: int | None, *state: Any) -> tuple[str, str]:
            min_score, kinds, language, message = state
            chosen = [select(r, min_score, kinds) if isinstance(r, Record) else r for r in records]
            record = chosen[number] if number is not None and number < len(chosen) else None
            shown = record_html(record, language) if isinstance(record, Record) else ""
            return summary_html(chosen, language, message), shown

        def choose(records: list[Record | Failure]) -> list[Any]:
            """The documents to choose among, and whether there is anything to look at."""
            choices = [(r.id, index) for index, r in enumerate(records) if isinstance(r, Record)]
            first = choices[0][1] if choices else None
            return [gr.update(choices=choices, value=first, visible=len(choices) > 1), gr.update(visible=bool(choices))]

        def write(records: list[Record | Failure], min_score: float, kinds: list[str], *, name: str) -> str:
            chosen = (select(r, min_score, kinds) if isinstance(r, Record) else r for r in records)
            with tempfile.TemporaryDirectory() as folder:
                return str(file.move_resource_to_block_cache(_write(chosen, name, Path(folder))))

        private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
        labelled = [head, language, text, files, encoding, clear, read, threshold, kinds, number, caption]
        inputs = [records, number, threshold, kinds, language, message]
        view: dict[str, Any] = {"fn": show, "inputs": inputs, "outputs": [summary, shown], **private}
        # What the script gives stands in the text box's place; the box itself stays empty.
        app.load(preferred_language, text, language, js="() => [navigator.language]", **private).then(
            relabel, language, labelled, **private
        ).then(**view)
        language.input(relabel, language, labelled, **private).then(**view)
        reading = {**private, "show_progress": "full", "show_progress_on": summary}
        read.click(extract, [text, files, encoding, language], [records, message], **reading).then(
            choose, records, [number, results], **private
        ).then(**view)
        clear.click(lambda: ([], ""), None, [records, message], **private).then(
            choose, records, [number, results], **private
        ).then(**view)
        threshold.release(**view)
        kinds.input(**view)
        number.input(**view)
        for name, button in zip(DOWNLOADS, buttons, strict=True):
            # The file is written when it is asked for; a hidden button then hands it over.
            button.click(partial(write, name=name), [records, threshold, kinds], file, **private).then(
                None, None, None, js="() => document.querySelector('#file').click()", **private
            )
    return app


def _head(language: str) -> str:
    return f'<div class="renshi"><h1>renshi 人事</h1><p class="soft">{_word("tagline", language)}</p></div>'


def launch_options(max_mb: float = MAX_MB) -> dict[str, Any]:
    """What `Blocks.launch` is to be called with besides host and port: look, limits, and no notices from elsewhere."""
    import gradio as gr

    return {
        "theme": gr.themes.Default(font=_FONTS, font_mono=("ui-monospace", "monospace")),
        "css": STYLE,
        "footer_links": [],
        # The page's own limit names the file and the rest is read; this one stops what nobody meant.
        "max_file_size": int(max_mb * 5e6),
        "share": False,
        "enable_monitoring": False,
        "quiet": True,
    }


_Scope = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Scope]]
_Send = Callable[[_Scope], Awaitable[None]]

# Gradio's page asks a CDN for a script that only a Hub Space's frame needs; its components need inline code and eval.
_POLICY = (
    b"default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    b"img-src 'self' data: blob:; font-src 'self' data:; worker-src 'self' blob:; object-src 'none'; base-uri 'self'"
)


class _OwnOnly:
    """ASGI middleware: the browser asks no other host for anything."""

    def __init__(self, app: Callable[[_Scope, _Receive, _Send], Awaitable[None]]) -> None:
        self._app = app

    async def __call__(self, scope: _Scope, receive: _Receive, send: _Send) -> None:
        async def send_with_policy(event: _Scope) -> None:
            if event["type"] == "http.response.start":
                event["headers"] = [*event.get("headers", ()), (b"content-security-policy", _POLICY)]
            await send(event)

        await self._app(scope, receive, send_with_policy)


def serve(
    extractor: Extractor,
    *,
    host: str = "127.0.0.1",
    port: int = 7860,
    max_mb: float = MAX_MB,
    started: Callable[[str], None] = print,
) -> None:
    """Serves the page until ^C (KeyboardInterrupt); `started` is told its address.

    Raises:
        OSError: The address is taken, or is none of this machine's.
    """
    from starlette.middleware import Middleware
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    middleware = [Middleware(_OwnOnly)]
    if host in ("127.0.0.1", "localhost"):  # no other name may lead here: DNS rebinding
        middleware.append(Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"]))
    app = build_app(extractor, max_mb=max_mb)
    app.launch(
        server_name=host,
        server_port=port,
        prevent_thread_lock=True,
        app_kwargs={"middleware": middleware},
        **launch_options(max_mb),
    )
    started(f"http://{host}:{port}")
    try:
        threading.Event().wait()
    finally:
        app.close(verbose=False)
