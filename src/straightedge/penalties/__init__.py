"""The penalties, by name. A new penalty is a file here and a line in `PENALTIES`."""

from straightedge.penalties.base import BIASES, Penalty, PenaltyTerm
from straightedge.penalties.ridge import Ridge, WeightedRidge

__all__ = ["BIASES", "PENALTIES", "Penalty", "PenaltyTerm", "Ridge", "WeightedRidge"]

PENALTIES: dict[str, type[Penalty]] = {penalty.name: penalty for penalty in (Ridge, WeightedRidge)}
