"""What every part may lean on: errors, text, files, paths, signals and devices."""
