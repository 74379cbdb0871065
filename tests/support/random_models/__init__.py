"""Random checkpoints of every family, by three configurations or more that differ in what
config.json can switch.

Sizes are awkward: odd head counts, fewer heads than ranks, widths and vocabularies that 2, 3 and 4
do not divide.
"""

from .encoders import ENCODERS
from .exact import BOUND_ID, EXACT, INFINITE_ID, TIED_IDS, ZERO_ID, make_exact
from .gemma4 import GEMMA4, GEMMA4_INPUTS
from .gpt_like import GPT_LIKE
from .hybrids import HYBRIDS
from .latent_attention import LATENT_ATTENTION
from .llama4 import LLAMA4
from .llama_like import LLAMA_LIKE
from .model import (
    DTYPES,
    MASSIVE_CHANNEL,
    MASSIVE_IDS,
    OUTLIER_CHANNEL,
    SMALL_ID,
    SMALL_POSITIONS,
    RandomModel,
)
from .one_fact import ONE_FACT
from .open_gpts import OPEN_GPTS
from .parallel_blocks import PARALLEL_BLOCKS
from .post_norms import POST_NORMS
from .recent_decoders import RECENT_DECODERS
from .routed_experts import ROUTED_EXPERTS
from .short_convolutions import SHORT_CONVOLUTIONS
from .sigmoid_routers import SIGMOID_ROUTERS
from .small_families import SMALL_FAMILIES
from .state_spaces import STATE_SPACES
from .weights import blocks_of, decoder_of, make_random, save
from .wrapped import WRAPPED
from .wrapped_later import WRAPPED_LATER

MODELS = (
    *LLAMA_LIKE,
    *GPT_LIKE,
    *PARALLEL_BLOCKS,
    *POST_NORMS,
    *ROUTED_EXPERTS,
    *SIGMOID_ROUTERS,
    *LATENT_ATTENTION,
    *WRAPPED,
    *RECENT_DECODERS,
    *OPEN_GPTS,
    *ONE_FACT,
    *HYBRIDS,
    *WRAPPED_LATER,
    *GEMMA4,
    *LLAMA4,
    *SHORT_CONVOLUTIONS,
    *STATE_SPACES,
    *SMALL_FAMILIES,
    *GEMMA4_INPUTS,
)

__all__ = [
    "BOUND_ID",
    "DTYPES",
    "ENCODERS",
    "EXACT",
    "GEMMA4_INPUTS",
    "INFINITE_ID",
    "MASSIVE_CHANNEL",
    "MASSIVE_IDS",
    "MODELS",
    "OUTLIER_CHANNEL",
    "SMALL_ID",
    "SMALL_POSITIONS",
    "TIED_IDS",
    "ZERO_ID",
    "RandomModel",
    "blocks_of",
    "decoder_of",
    "make_exact",
    "make_random",
    "save",
]
