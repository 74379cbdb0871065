"""Helpers of the tests in Python: random checkpoints, token files, launches, references."""
