"""A job's first windows through transformers and through actsweep, compared layer by layer.

transformers and torch are imported where they are needed: the other commands do without.
"""

from .command import BOUND, Request, verify
from .program import ProgramFailed

__all__ = ["BOUND", "ProgramFailed", "Request", "verify"]
