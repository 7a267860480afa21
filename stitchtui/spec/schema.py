"""The JSON Schema of the TOML files that say an experiment, for editors to complete and check them by."""

from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from stitchtui.spec.experiment import Experiment

FILE = "stitchtui.schema.json"
"""Where a preset looks for its schema: beside itself, under this name."""


class _OfToml(GenerateJsonSchema):
    """TOML has no null, and a key needs no title beside its name."""

    def field_title_should_be_set(self, _schema: Any) -> bool:
        """Leave every title out."""
        return False

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        """What may be None is left out where it is."""
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        """A default of None goes without saying."""
        found = super().default_schema(schema)
        if isinstance(said := found.get("default"), dict):
            found["default"] = {name: value for name, value in said.items() if value is not None}
        return {name: each for name, each in found.items() if (name, each) != ("default", None)}


def experiment_schema() -> dict[str, Any]:
    """Return the schema of a preset: an experiment's, with `scales`, any of which may say what else it would have to.

    Choices hold what installed packages add.
    """
    schema = Experiment.model_json_schema(schema_generator=_OfToml)
    keys = {name: each for name, each in schema["properties"].items() if name != "scale"}
    scale = {
        "type": "object",
        "description": "What is otherwise at this scale.",
        "additionalProperties": False,
        "properties": {name: _by_index(each) for name, each in keys.items()},
    }
    schema["$defs"]["Scale"] = scale
    schema["properties"]["scales"] = {
        "description": "What `--scale NAME` changes, by name.",
        "type": "object",
        "additionalProperties": {"$ref": "#/$defs/Scale"},
    }
    del schema["required"]
    schema["anyOf"] = [{"required": ["networks", "pairs"]}, {"required": ["scales"]}]
    return schema


def _by_index(key: dict[str, Any]) -> dict[str, Any]:
    """The schema of a key that is laid over another: of a list, single entries may be changed by their index."""
    if key.get("type") != "array":
        return key
    said = {name: key[name] for name in ("description", "default") if name in key}
    return said | {"anyOf": [key, {"type": "object"}]}
