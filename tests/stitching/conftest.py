"""timm is an extra; the test extra brings it."""

from importlib.util import find_spec

collect_ignore = [] if find_spec("timm") else ["test_stitching_timm.py"]
