"""Random Vision Transformers of every model type, by three configurations or more.

They differ in what config.json can switch, and in whether the images have the size of the position
table. Sizes are awkward: odd head counts, fewer heads than ranks, widths that 2, 3 and 4 do not
divide.
"""

from .configurations import MODELS
from .model import SMALL_CLASS, VisionModel
from .towers import TOWERS
from .weights import blocks_of, encoder_of, make_random, save

__all__ = [
    "MODELS",
    "SMALL_CLASS",
    "TOWERS",
    "VisionModel",
    "blocks_of",
    "encoder_of",
    "make_random",
    "save",
]
