"""HTML by type: what is a plain string is escaped when it enters an element, what is Markup is not."""

import html
from collections.abc import Iterable, Sequence

from stitchtui.report.wording import printable

_VOID = frozenset({"br", "hr", "img", "meta"})


class Markup(str):
    """HTML that is finished."""

    __slots__ = ()


def text(value: object) -> Markup:
    """Anything from outside as text of a page: control characters shown as `?`, everything escaped."""
    return Markup(html.escape(printable(value), quote=True))


def tag(name: str, *children: object, **attributes: object) -> Markup:
    """An element; children that aren't Markup are escaped, attributes always. `class_` is class, None is left out."""
    said = "".join(f' {key.strip("_")}="{text(value)}"' for key, value in attributes.items() if value is not None)
    if name in _VOID:
        return Markup(f"<{name}{said}>")
    return Markup(f"<{name}{said}>{joined(*children)}</{name}>")


def joined(*parts: object) -> Markup:
    """The parts one after the other."""
    return Markup("".join(part if isinstance(part, Markup) else text(part) for part in parts))


def lines(each: Iterable[object]) -> Markup:
    """A line each, as they stand in a `pre`."""
    return Markup("\n".join(joined(line) for line in each))


def table(head: Sequence[object], rows: Iterable[Sequence[object]], caption: str = "", class_: str = "") -> Markup:
    """A table whose first column names its rows; cells are text, Markup, or a whole td as Markup."""
    heads = tag("thead", tag("tr", *(tag("th", one, scope="col") for one in head)))
    body = tag("tbody", *(_row(row) for row in rows))
    named = tag("caption", caption) if caption else Markup()
    return tag("div", tag("table", named, heads, body, class_=class_ or None), class_="wide")


def _row(row: Sequence[object]) -> Markup:
    first, *rest = row
    cells = (one if isinstance(one, Markup) and one.startswith("<td") else tag("td", one) for one in rest)
    return tag("tr", tag("th", first, scope="row"), *cells)


def section(title: str, *children: object) -> Markup:
    """A section with its heading; nothing where it would be empty."""
    inside = joined(*children)
    return tag("section", tag("h2", title), inside) if inside else Markup()


def listing(lines: Iterable[object]) -> Markup:
    """A bulleted list; nothing where there is nothing to list."""
    items = [tag("li", line) for line in lines]
    return tag("ul", *items) if items else Markup()


STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.45 system-ui, sans-serif; color: #111; background: #fff; max-width: 75rem; margin: 1.5rem auto;
  padding: 0 1rem; }
h1 { font-size: 1.5rem; margin: 0 0 .3rem; } h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
h3 { font-size: 1rem; margin: 1.2rem 0 .3rem; }
p, ul { max-width: 52rem; } .note { color: #444; font-size: .9rem; }
.wide { overflow-x: auto; margin: .5rem 0 1rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; padding: .3rem 0; }
thead { border-top: 2px solid #111; border-bottom: 1px solid #111; } tbody { border-bottom: 2px solid #111; }
th, td { padding: .15rem .7rem .15rem 0; text-align: left; vertical-align: top; font-weight: 400; }
thead th { font-weight: 600; vertical-align: bottom; }
td.n { text-align: right; white-space: nowrap; }
.above { color: #a83c00; font-weight: 600; } .below { color: #00568f; } .open, .pending { color: #555; }
.confirmed, .rejected, .undecided { font-weight: 600; white-space: nowrap; }
.confirmed { color: #00568f; } .rejected { color: #a83c00; } .undecided { color: #444; }
.diagonal { outline: 1px solid #111; outline-offset: -1px; }
code, .digest { font-family: ui-monospace, monospace; font-size: .85em; overflow-wrap: anywhere; }
pre { white-space: pre-wrap; font-size: .85em; background: #f5f5f5; padding: .6rem; }
img { max-width: 100%; height: auto; }
@media print { body { max-width: none; margin: 0; font-size: 11px; } section { break-inside: auto; }
  tr, img, h2 { break-inside: avoid; } h2 { break-after: avoid; } .wide { overflow: visible; } }
"""

# Nothing is fetched and nothing runs, whatever a name may try.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def page(title: str, *children: object) -> str:
    """A whole page that needs nothing but itself."""
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        Markup(f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'),
        Markup('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        tag("title", title),
        Markup(f"<style>{STYLE}</style>"),
    )
    return "<!DOCTYPE html>\n" + tag("html", head, Markup("\n"), tag("body", *children), lang="en") + "\n"
