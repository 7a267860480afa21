"""Text of an experiment that has to be one of the names that are known when it is read."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticKnownError, core_schema


@dataclass(frozen=True)
class OneOf:
    """In an annotation of text: one of these names, which an installed package may have added to."""

    names: Callable[[], Iterable[str]]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Refuse what is none of the names as pydantic refuses it of a Literal."""
        return core_schema.no_info_before_validator_function(self._checked, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Name them all as the choices that there are."""
        return {**handler(schema), "enum": list(self.names())}

    def _checked(self, value: Any) -> Any:
        names = list(self.names())
        if value not in names:
            expected = " or ".join(", ".join(map(repr, part)) for part in (names[:-1], names[-1:]) if part)
            raise PydanticKnownError("literal_error", {"expected": expected})
        return value
