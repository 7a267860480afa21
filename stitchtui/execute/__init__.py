"""The processes of a run: the worker that drives it, and the inspector that answers questions before one."""
