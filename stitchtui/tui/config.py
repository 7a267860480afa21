"""The user's own files for the app: where they are, and what is in them."""

from pathlib import Path
from typing import Any

from stitchtui.base.errors import BadInput
from stitchtui.base.text import plain


def config_directory() -> Path:
    """The directory of the user's own keys and of the colours that were chosen last."""
    from platformdirs import user_config_path

    return user_config_path("stitchtui")


def read_config(path: Path) -> dict[str, Any]:
    """What the TOML file at `path` says; nothing without a file. Raises BadInput, in one line, for a bad one."""
    try:
        if not path.is_file():
            return {}
        import tomllib  # imported late: few users have such files

        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise BadInput(f"{plain(path)}: can't be read as TOML ({plain(error)}); mend it or remove it") from None
