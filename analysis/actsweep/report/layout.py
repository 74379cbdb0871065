"""Sections as one self-contained HTML page: styles, script and pictures are inside it."""

from __future__ import annotations

import html
import itertools
import re
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from .cells import rows_shown, table
from .content import Absent, Picture, Section, Table

_IDS = re.compile(r'(\sid="|url\(#|href="#)')


def page(title: str, sections: Sequence[Section], folder: Path) -> str:
    """The page; the pictures of its sections were saved in `folder`."""
    links = "".join(_link(section) for section in sections)
    body = "\n".join(_section(section, folder) for section in sections)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>{html.escape(title)}</title>
<style>
{_resource("page.css")}</style>
</head>
<body>
<header><h1>{html.escape(title)}</h1></header>
<nav aria-label="Sections"><ol>{links}</ol></nav>
<main>
{body}
</main>
<script>
{_resource("page.js")}</script>
</body>
</html>
"""


def _resource(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _link(section: Section) -> str:
    """An entry of the contents; pale where the files hold nothing for the section."""
    pale = "" if section.parts else ' class="empty"'
    return f'<li{pale}><a href="#{section.name}">{html.escape(section.title)}</a></li>'


def _section(section: Section, folder: Path) -> str:
    """Folded where the files hold nothing for it."""
    parts = [_table(p) if isinstance(p, Table) else _picture(p, folder) for p in section.parts]
    paragraphs = "".join(f"<p>{_inline(paragraph)}</p>" for paragraph in section.text.split("\n\n"))
    return "\n".join(
        [
            f'<section id="{section.name}"><details{" open" if parts else ""}>',
            f"<summary><h2>{html.escape(section.title)}</h2></summary>",
            paragraphs,
            *parts,
            *_absent(section.absent),
            "</details></section>",
        ]
    )


def _table(part: Table) -> str:
    shown = rows_shown(part.frame)
    cut = len(shown) < len(part.frame)
    more = f" {len(shown)} of {len(part.frame):,} rows; the CSV file has all." if cut else ""
    content = table(shown) if len(shown) else "<p>None.</p>"
    links = f'<a href="data/{part.name}.csv">CSV</a>'
    caption = _caption(part.caption + more, part.datasets, links)
    return f'<figure class="table">{caption}<div class="scroll">{content}</div></figure>'


def _picture(part: Picture, folder: Path) -> str:
    links = " ".join(
        f'<a href="{target}">{kind}</a>'
        for kind, target in (
            ("SVG", f"{part.name}.svg"),
            ("PNG", f"{part.name}.png"),
            ("CSV", f"data/{part.name}.csv"),
        )
    )
    drawing = _inline_svg((folder / f"{part.name}.svg").read_text(encoding="utf-8"), part)
    caption = _caption(part.caption, part.datasets, links)
    return f'<figure class="picture">{drawing}{caption}</figure>'


def _inline_svg(text: str, part: Picture) -> str:
    """The <svg> element alone, its ids made unique in the page."""
    text = text[text.index("<svg") :]
    text = _IDS.sub(rf"\g<1>{part.name}-", text)
    return text.replace("<svg", f'<svg role="img" aria-label="{html.escape(part.caption)}"', 1)


def _caption(text: str, datasets: Sequence[str], links: str) -> str:
    names = ", ".join(f"<code>{html.escape(name)}</code>" for name in datasets)
    source = f'<span class="source">From {names}. {links}</span>'
    return f"<figcaption>{_inline(text)} {source}</figcaption>"


def _absent(absent: Sequence[Absent]) -> list[str]:
    """One line for each thing that is missing, with the models that lack it."""
    lines = []
    for (what, key), group in itertools.groupby(
        sorted(absent, key=lambda one: (one.what, one.key)), key=lambda one: (one.what, one.key)
    ):
        models = ", ".join(one.model for one in group)
        lines.append(
            f'<p class="absent">Not in the file of {html.escape(models)}: {html.escape(what)}.'
            f" {_inline(key)}</p>"
        )
    return lines


def _inline(text: str) -> str:
    """Escaped text, with `words` as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text, quote=False))
