"""The widgets of the terminal app, one a module."""
