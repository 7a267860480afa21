"""Networks: architectures by name, checkpoints read safely, base networks trained here."""
