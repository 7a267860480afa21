"""What can be asked of a run, as data: experiments, presets, families, controls, claims and the plan; no torch."""
