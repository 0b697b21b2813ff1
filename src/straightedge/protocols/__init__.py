"""Probing protocols by name, and the translator between reg, C, λ, α and weight_decay."""

from straightedge.protocols.named import CLIP, COURSE, DINOV2, PROTOCOLS, HoldOut, Protocol, protocol
from straightedge.protocols.systems import SYSTEMS
from straightedge.protocols.translation import Equivalent, System, Translation, translate

__all__ = [
    "CLIP",
    "COURSE",
    "DINOV2",
    "PROTOCOLS",
    "SYSTEMS",
    "Equivalent",
    "HoldOut",
    "Protocol",
    "System",
    "Translation",
    "protocol",
    "translate",
]
