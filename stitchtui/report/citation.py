"""How this program and the paper whose measure it implements are cited: CITATION.cff in other forms."""

from collections.abc import Mapping
from functools import cache
from typing import Any

import yaml

from stitchtui.base.paths import citation_file


@cache
def _said() -> dict[str, Any]:
    said: dict[str, Any] = yaml.safe_load(citation_file().read_text("utf-8"))
    return said


def bibtex(version: str) -> str:
    """Return the BibTeX entries of the paper and of this version of the program."""
    said = _said()
    papers = [_entry("inproceedings", _key(paper), _paper(paper)) for paper in said["references"]]
    program = {"author": f"{{{_authors(said)}}}", "title": f"{{{said['title']}}}", "note": f"Version {version}"}
    return "\n".join([*papers, _entry("misc", said["title"], program)])


def citation_line(version: str) -> str:
    """Return what to cite in a line: the paper, and this version of the program."""
    said = _said()
    return "; ".join([*map(_in_words, said["references"]), f"{said['title']} {version}"])


def _in_words(paper: dict[str, Any]) -> str:
    names = [author["family-names"] for author in paper["authors"]]
    where = f"{paper['collection-title']} {paper['volume']}, {paper['start']}-{paper['end']}, {paper['year']}"
    return f"{', '.join(names[:-1])} and {names[-1]}, {paper['title']}, {where}"


def _key(paper: dict[str, Any]) -> str:
    first, word = paper["authors"][0]["family-names"], paper["title"].split()[0]
    return f"{first}{paper['year']}{word}".lower()


def _paper(paper: dict[str, Any]) -> dict[str, object]:
    return {
        "author": _authors(paper),
        "title": paper["title"],
        "booktitle": paper["collection-title"],
        "volume": paper["volume"],
        "pages": f"{paper['start']}--{paper['end']}",
        "year": paper["year"],
        "url": paper["url"],
    }


def _authors(work: dict[str, Any]) -> str:
    return " and ".join(
        author.get("name") or f"{author['family-names']}, {author['given-names']}" for author in work["authors"]
    )


def _entry(kind: str, key: str, fields: Mapping[str, object]) -> str:
    body = "".join(f"  {name} = {{{value}}},\n" for name, value in fields.items())
    return f"@{kind}{{{key},\n{body}}}\n"
