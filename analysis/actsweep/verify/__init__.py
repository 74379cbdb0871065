"""A job's first windows through transformers and through actsweep, compared layer by layer."""

from .command import verify
from .program import ProgramFailed

__all__ = ["ProgramFailed", "verify"]
