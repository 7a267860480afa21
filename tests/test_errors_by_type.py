"""Errors are told apart by their types and attributes: no code reads their text to decide."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import stitchtui

PACKAGE = Path(stitchtui.__file__).parent
# What other libraries raise with no type or attribute that would say it.
NOT_OURS = {"base/device.py: is_out_of_memory", "base/files.py: is_disk_full", "networks/pickled.py: _refused"}
SEARCHES = {
    *("startswith", "endswith", "find", "rfind", "index", "count", "partition", "rpartition", "removeprefix"),
    *("removesuffix", "search", "match", "fullmatch", "findall", "finditer", "replace"),
}


def _errors(function: ast.AST) -> set[str]:
    """The names in `function` that hold exceptions."""
    caught = {node.name for node in ast.walk(function) if isinstance(node, ast.ExceptHandler) and node.name}
    arguments = [node for node in ast.walk(function) if isinstance(node, ast.arg) and node.annotation is not None]
    kinds = ("Error", "Exception", "BadInput", "RunFailed")
    return caught | {each.arg for each in arguments if ast.unparse(each.annotation).endswith(kinds)}


def _is_text(node: ast.AST, errors: set[str], texts: set[str]) -> bool:
    """Whether `node` is the text of an exception, or of the answer that holds one."""
    match node:
        case (
            ast.Call(func=ast.Name(id="str" | "repr" | "plain"), args=[ast.Name(id=name)])
            | ast.Attribute(value=ast.Name(id=name), attr="args" | "what" | "message")
            | ast.Subscript(value=ast.Attribute(value=ast.Name(id=name), attr="args"))
        ):
            return name in errors
        case ast.Name(id=name):
            return name in texts
        case ast.Call(func=ast.Attribute(attr="get"), args=[ast.Constant(value="error"), *_]):
            return True
        case ast.Subscript(slice=ast.Constant(value="error")):
            return True
    return False


def _holds(node: ast.AST, errors: set[str], texts: set[str]) -> bool:
    return any(_is_text(each, errors, texts) for each in ast.walk(node))


def _decides(node: ast.AST, errors: set[str], texts: set[str]) -> bool:
    match node:
        case ast.Compare(ops=[ast.In() | ast.NotIn(), *_], comparators=[place, *_]):
            return _holds(node.left, errors, texts) or _holds(place, errors, texts)
        case ast.Compare(ops=[ast.Eq() | ast.NotEq(), *_]):
            return any(_is_text(side, errors, texts) for side in (node.left, *node.comparators))
        case ast.Call(func=ast.Attribute(value=value, attr=name)) if name in SEARCHES:
            return any(_holds(each, errors, texts) for each in (value, *node.args))
    return False


def reads(source: str) -> Iterator[str]:
    """The functions in `source` that compare or search the text of an exception."""
    for function in ast.walk(ast.parse(source)):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        errors, texts = _errors(function), set[str]()
        for node in ast.walk(function):
            if isinstance(node, ast.Assign) and _is_text(node.value, errors, texts):
                texts |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        if any(_decides(node, errors, texts) for node in ast.walk(function)):
            yield function.name


def test_no_code_decides_by_the_text_of_an_error():
    found = {
        f"{path.relative_to(PACKAGE).as_posix()}: {name}"
        for path in PACKAGE.rglob("*.py")
        for name in reads(path.read_text("utf-8"))
    }
    assert found == NOT_OURS


@pytest.mark.parametrize(
    "line",
    [
        "'data' if str(error).startswith('data') else ''",
        "'--head' in str(error)",
        "error.args[0] == 'gone'",
        "re.search('GLOBAL', str(error))",
        "pattern.search(plain(error))",
        "error.what.partition(': ')",
        "'--head' in answer.get('error', '')",
        "answer['error'].startswith('checkpoint')",
    ],
)
def test_every_way_to_read_it_is_noticed(line):
    assert list(reads(f"def ask(answer):\n try:\n  pass\n except OSError as error:\n  return {line}")) == ["ask"]
    assert list(reads(f"def ask(answer, error: BadInput):\n return {line}")) == ["ask"]
    assert list(reads("def ask(error: OSError):\n said = str(error)\n return 'full' in said")) == ["ask"]
    assert not list(reads("def ask(error: BadInput):\n return print(str(error)) if error.field == 'head' else 0"))
