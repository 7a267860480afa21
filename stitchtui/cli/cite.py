"""`stitchtui cite`: what to cite."""

import typer


def cite() -> None:
    """Print BibTeX of this program and of the paper whose measure it implements."""
    from stitchtui import __version__
    from stitchtui.report.citation import bibtex

    typer.echo(bibtex(__version__), nl=False)
