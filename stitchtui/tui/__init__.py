"""The terminal app: screens and widgets that draw a RunState. It never loads torch."""

import os

# Set before textual is imported: over SSH every frame of an animation is paid for. A user's own setting stays.
os.environ.setdefault("TEXTUAL_ANIMATIONS", "none")
os.environ.setdefault("TEXTUAL_SMOOTH_SCROLL", "0")
