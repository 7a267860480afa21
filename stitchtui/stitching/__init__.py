"""The science: chains, stitches, the column trainer, measures, controls. No files, no terminal."""
