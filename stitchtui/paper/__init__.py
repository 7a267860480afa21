"""What the paper shows, as data to compare with: "Revisiting Model Stitching", Bansal et al., NeurIPS 2021."""
