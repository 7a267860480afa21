"""A user's own network: `path/to/file.py:Class` or `package.module:factory`. Only here is a user's code run."""

import hashlib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from stitchtui.base.errors import BadInput, not_known
from stitchtui.base.text import plain
from stitchtui.networks.reasons import reason

Factory = Callable[..., Any]
OTHERS = ("torchvision:", "timm:", "hf:", "hub:")  # what is looked up elsewhere


def is_reference(architecture: str) -> bool:
    """Whether `architecture` names a user's code rather than an architecture known here."""
    return ":" in architecture and not architecture.startswith(OTHERS)


def build(reference: str, classes: int, options: Mapping[str, Any]) -> nn.Module:
    """Calls what `reference` names with `options`, and with `num_classes` if its signature accepts that.

    Raises BadInput if the code can't be found or imported, raises, or returns something else than a module.
    """
    factory = load(reference)
    arguments = dict(options)
    if _accepts_classes(factory):
        arguments.setdefault("num_classes", classes)
    try:
        network = factory(**arguments)
    except (Exception, SystemExit) as error:
        given = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
        raise BadInput.at("architecture", f"called with ({given}) it raised {reason(error)}", reference) from None
    if not isinstance(network, nn.Module):
        kind = type(network).__name__
        raise BadInput.at("architecture", f"expected a torch.nn.Module, it returned a {kind}", reference)
    return network


def load(reference: str) -> Factory:
    """The class or function that `reference` names; imports its module, which runs the user's code."""
    where, _, attribute = reference.rpartition(":")
    if not where or not attribute:
        raise BadInput.at("architecture", "expected path/to/file.py:Class or package.module:factory", reference)
    module = _from_file(reference, Path(where).expanduser()) if where.endswith(".py") else _by_name(reference, where)
    found = getattr(module, attribute, None)
    if found is None:
        public = [name for name, value in vars(module).items() if callable(value) and not name.startswith("_")]
        raise BadInput.at("architecture", plain(not_known(attribute, public)), reference)
    if isinstance(found, nn.Module) or not callable(found):
        kind = type(found).__name__
        raise BadInput.at("architecture", f"expected a class or a function, got a {kind}", reference)
    return found


def source_digest(reference: str) -> str:
    """SHA-256 of the file that holds the code, so that an edited class isn't taken for the one trained before."""
    where = reference.rpartition(":")[0]
    if where.endswith(".py"):
        path = Path(where).expanduser()
    else:
        source = inspect.getsourcefile(load(reference))
        path = Path(source) if source else Path()
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise BadInput.at("architecture", f"its source can't be read ({reason(error)})", reference) from None


def _accepts_classes(factory: Factory) -> bool:
    try:
        parameters = inspect.signature(factory).parameters.values()
    except (TypeError, ValueError):
        return False
    return any(p.name == "num_classes" or p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters)


def _from_file(reference: str, path: Path) -> ModuleType:
    if not path.is_file():
        raise BadInput.at("architecture", f"no such file: {plain(path)}", reference)
    name = f"stitchtui_own_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise BadInput.at("architecture", f"{plain(path)} can't be imported", reference)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickling look classes up by their module's name
    with _importable(path.resolve().parent):
        try:
            spec.loader.exec_module(module)
        except (Exception, SystemExit) as error:
            del sys.modules[name]
            raise BadInput.at("architecture", f"importing it raised {reason(error)}", reference) from None
    return module


def _by_name(reference: str, name: str) -> ModuleType:
    with _importable(Path.cwd()):
        try:
            return importlib.import_module(name)
        except (Exception, SystemExit) as error:
            hint = "" if "/" not in name else "; a file's name has to end in .py"
            raise BadInput.at("architecture", f"importing it raised {reason(error)}{hint}", reference) from None


@contextmanager
def _importable(directory: Path) -> Iterator[None]:
    # Last on the path, so that a file beside the user's can't take the place of an installed package.
    sys.path.append(str(directory))
    try:
        yield
    finally:
        sys.path.remove(str(directory))
