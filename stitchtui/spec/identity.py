"""What identifies a cell among all runs: a hash of all that determines its numbers."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

# Raised whenever a change to the code may change a number, so that an older cell isn't taken for a newer one.
NUMERICS = 7


def cell_identity(facts: Mapping[str, Any]) -> str:
    """SHA-256 over the canonical JSON of everything that determines a cell's numbers."""
    canonical = json.dumps({**facts, "numerics": NUMERICS}, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()
