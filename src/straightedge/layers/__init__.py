"""One probe a layer: the features of every layer of a network, fitted and judged on the same rows.

A layer's probe is the best of its own regularisation path on validation rows; what it reaches is measured on test
rows that no choice has seen. Beside it stands what the number has to beat: the same probe on random labels (a
control task: a probe that learns those, too, says little of the layer), on features whose rows are shuffled, and
the nearest class mean, which for two classes is the direction of their difference.

References:
    Alain and Bengio, "Understanding intermediate layers using linear classifier probes", 2016. Hewitt and Liang,
    "Designing and interpreting probes with control tasks", EMNLP 2019, for selectivity.
"""

from straightedge.layers.fitting import fit_layers
from straightedge.layers.records import Layers, LayerScore

__all__ = ["LayerScore", "Layers", "fit_layers"]
