"""The lower bound of the best multiple of a dual point."""


def scaled_bound(conjugate: float, quadratic: float) -> tuple[float, float]:
    """Return the best t in [0, 1] and the bound t c − t² q of a dual point's multiple; see `Objective.dual_value`.

    Args:
        conjugate: c, the mean of −ℓ* at the point; for a hinge Σ w b.
        quadratic: q ≥ 0, what the penalty's conjugate takes from it.
    """
    t = min(1.0, max(0.0, conjugate / max(2 * quadratic, 1e-300)))
    return t, t * conjugate - t * t * quadratic
