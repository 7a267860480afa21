"""The screens of the terminal app, one a module: its keys are in `tui.keys`, and the app or another screen opens it."""
