"""`stitchtui docs`: the reference as pages that a browser reads without a network."""

import re
import warnings
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from stitchtui.base.errors import BadInput
from stitchtui.cli.common import say


def docs(
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Write the pages into this folder.")],
) -> None:
    """Write the reference: the API, every key, family, control, measure, data source, event and command.

    Open index.html of the folder in a browser.
    """
    try:
        import_module("pdoc")
    except ImportError:
        raise BadInput("docs: needs pdoc, which is not installed: pip install 'stitchtui[docs]'") from None
    from stitchtui.base.files import write_out

    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput.at("--out", f"no folder can be made there ({error.strerror})", out) from None
    for name, page in site():
        write_out(out / name, page)
    say(f"wrote {out / 'index.html'}")


def site() -> Iterator[tuple[str, str]]:
    """Yield each page's file name and its HTML."""
    import pdoc.doc
    import pdoc.render
    from markupsafe import Markup, escape
    from pygments.formatters import HtmlFormatter

    import stitchtui
    from stitchtui.cli.reference import API, beside_fields, pages

    pdoc.render.configure(
        docformat="google",
        search=False,
        show_source=False,
        template_directory=Path(__file__).with_name("templates"),
    )
    environment = pdoc.render.env
    environment.globals["dark_code"] = HtmlFormatter(style="github-dark").get_style_defs(".pdoc-code")
    environment.filters["anchor"] = lambda title: re.sub(r"[^\w.]+", "-", title.lower())
    environment.filters["code"] = lambda text: Markup(re.sub(r"`([^`]*)`", r"<code>\1</code>", str(escape(text))))
    first, *others = pages()
    environment.globals["files"] = [(page.file, page.title) for page in (first, API, *others)]
    for page in (first, *others):
        yield page.file, environment.get_template("page.html.jinja2").render(page=page)
    for name in stitchtui.__all__:  # pdoc sees only those that are loaded
        getattr(stitchtui, name)
    module = pdoc.doc.Module(stitchtui)
    for kind in module.classes:
        comments = beside_fields(kind.obj)
        for field in kind.own_members:
            field.docstring = field.docstring or comments.get(field.name, "")
    with warnings.catch_warnings():  # of types whose library isn't installed, which stand there as they are written
        warnings.filterwarnings("ignore", module="pdoc")
        shown = pdoc.render.html_module(module, {"stitchtui": module})
    yield API.file, shown
