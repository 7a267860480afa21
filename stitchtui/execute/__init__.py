"""The processes of a run: the worker that drives a plan's units and writes their events, and the inspector.

A driver of another kind goes through `measure.measurer.Measurer.measure(unit)` wherever it likes; one process writes.
"""
