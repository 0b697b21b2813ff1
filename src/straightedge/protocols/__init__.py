"""Probing protocols by name, and the translator between reg, C, λ, α and weight_decay."""

from straightedge.protocols.named import PROTOCOLS, protocol
from straightedge.protocols.systems import SYSTEMS
from straightedge.protocols.translation import Equivalent, Translation, translate

__all__ = ["PROTOCOLS", "SYSTEMS", "Equivalent", "Translation", "protocol", "translate"]
