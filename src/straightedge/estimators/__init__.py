"""scikit-learn estimators: fit to a proven gap, on NumPy or torch, CPU or CUDA."""

from straightedge.estimators.by_loss import SoftmaxClassifier, SVMClassifier
from straightedge.estimators.linear import LinearClassifier

__all__ = ["LinearClassifier", "SVMClassifier", "SoftmaxClassifier"]
