"""The page itself: one HTML file that needs nothing else, readable on paper too."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

STYLE = """
:root { --ink: #1f2933; --grey: #5f6b78; --rule: #e4e8ec; --blue: #0072b2; }
* { box-sizing: border-box; }
body { margin: 0; color: var(--ink); background: #f6f7f9; line-height: 1.5;
  font: 16px/1.5 system-ui, "Segoe UI", "Helvetica Neue", Arial, sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 40px 32px 80px; background: white; }
h1 { font-size: 28px; line-height: 1.2; margin: 0 0 4px; letter-spacing: -0.01em; }
h2 { font-size: 19px; margin: 48px 0 4px; padding-top: 16px; border-top: 1px solid var(--rule); }
p { margin: 4px 0 12px; max-width: 76ch; }
p.lead, p.note { color: var(--grey); }
p.note { font-size: 14px; }
ul { margin: 4px 0 12px; padding-left: 20px; max-width: 76ch; }
li { margin: 3px 0; }
.cards { display: flex; flex-wrap: wrap; gap: 12px; margin: 24px 0; }
.card { flex: 1 1 150px; padding: 12px 16px; border: 1px solid var(--rule); border-radius: 8px; }
.card b { display: block; font-size: 22px; font-weight: 600; font-variant-numeric: tabular-nums; }
.card span { color: var(--grey); font-size: 13px; }
table { border-collapse: collapse; margin: 12px 0; font-size: 14px; font-variant-numeric: tabular-nums; }
th { text-align: right; font-weight: 500; color: var(--grey); border-bottom: 1px solid #c9d1d9; }
td { text-align: right; border-bottom: 1px solid var(--rule); }
th, td { padding: 5px 14px; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
.wide { overflow-x: auto; }
pre { font: 13px/1.45 ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; overflow-x: auto; }
figure { margin: 12px 0 20px; }
svg { width: 100%; height: auto; display: block; }
@media print { body { background: white; } main { padding: 0; } figure, table { break-inside: avoid; } }
"""


def page(title: str, parts: Iterable[str]) -> str:
    """The whole file."""
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    body = "\n".join(part for part in parts if part)
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head>{head}\n<title>{escape(title)}</title>\n'
        f"<style>{STYLE}</style></head>\n"
        f"<body><main>\n{body}\n</main></body></html>\n"
    )


def heading(title: str, lead: str) -> str:
    """The top of the page."""
    return f'<h1>{escape(title)}</h1><p class="lead">{escape(lead)}</p>'


def section(title: str, *parts: str, note: str = "") -> str:
    """A part of the page, with what to look for in it; nothing where it has no parts."""
    body = "".join(part for part in parts if part)
    told = f'<p class="note">{escape(note)}</p>' if note else ""
    return f"<section><h2>{escape(title)}</h2>{told}{body}</section>" if body else ""


def cards(pairs: Sequence[tuple[str, str]]) -> str:
    """A few numbers at a glance: (value, what it is)."""
    inner = "".join(
        f'<div class="card"><b>{escape(value)}</b><span>{escape(name)}</span></div>' for value, name in pairs
    )
    return f'<div class="cards">{inner}</div>'


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; the first column are names."""
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>' if rows else ""


def picture(svg: str, text: str) -> str:
    """A picture with what it shows, for who cannot see it."""
    return f'<figure role="img" aria-label="{escape(text, quote=True)}">{svg}</figure>'


def words(text: str) -> str:
    """A paragraph."""
    return f"<p>{escape(text)}</p>" if text else ""


def listed(items: Sequence[str]) -> str:
    """Points, one a line."""
    inner = "".join(f"<li>{escape(item)}</li>" for item in items)
    return f"<ul>{inner}</ul>" if inner else ""


def verbatim(lines: Sequence[str]) -> str:
    """Lines as a terminal shows them."""
    return f"<pre>{escape(chr(10).join(lines))}</pre>"
