"""Reports from a RunState: tables, files and drawings."""
