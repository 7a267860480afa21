"""How fast stitching is on this machine: the column trainer against the published way and against what is possible."""
