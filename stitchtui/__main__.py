"""`python -m stitchtui` is the same as `stitchtui`."""

from stitchtui.cli import main

main()
