"""Do effects differ: between districts, by dose, by how much of an area the programme reaches.

In: effects and doses. Out: `EffectSpread`, `DoseResponse`. Never: a best district, or a slope read as a cause.
"""

from __future__ import annotations

from .changes import UnitEffects, rescaled_by_share, unit_effects
from .doses import CAVEAT, DoseResponse, dose_response
from .spread import EffectSpread, effect_spread

__all__ = [
    "CAVEAT",
    "DoseResponse",
    "EffectSpread",
    "UnitEffects",
    "dose_response",
    "effect_spread",
    "rescaled_by_share",
    "unit_effects",
]
