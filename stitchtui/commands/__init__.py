"""The commands of the command line, a module each; none imports torch, textual or pydantic before it runs."""
