"""Directions from a Hessian's products: conjugate gradients, and those of least residual."""

import torch
from torch import Tensor

from straightedge.solvers.hinge.blocks.hessian import Hessian

LONGEST_CG = 60
REMEMBERED_BYTES = 2**28  # of directions and their images; fewer are kept where C·D is large
FLAT = 1e-9  # of the metric's curvature: less is none, as where a free bias moves and no pair is between its bounds


def pcg(hessian: Hessian, gradient: Tensor, forcing: float) -> tuple[Tensor, int]:
    """Return an approximate solution of H x = −∇f by preconditioned conjugate gradients, and its iterations.

    Args:
        hessian: H, positive semidefinite.
        gradient: (C, D + 1) ∇f.
        forcing: Residual, relative to ∇f, at which to stop.

    Numerics:
        The image M p of a direction p follows the same recurrence as p, from residuals; so Σp costs no product.
    """
    solution = torch.zeros_like(gradient)
    residual = -gradient
    whitened = hessian.metric.solve(residual)
    direction, image = whitened.clone(), residual.clone()
    energy = _inner(residual, whitened)
    goal = forcing * float(residual.norm())
    for iteration in range(1, LONGEST_CG + 1):
        product = hessian.times(direction, image)
        curvature = _inner(direction, product)
        if not curvature > FLAT * _inner(direction, image) or not energy > 0:
            return solution if iteration > 1 else whitened, iteration
        solution += direction * (energy / curvature)
        residual -= product * (energy / curvature)
        if float(residual.norm()) <= goal:
            break
        whitened = hessian.metric.solve(residual)
        fresh = _inner(residual, whitened)
        direction = whitened + direction * (fresh / energy)
        image = residual + image * (fresh / energy)
        energy = fresh
    return solution, iteration


def gcr(hessian: Hessian, gradient: Tensor, forcing: float) -> tuple[Tensor, int]:
    """Return an x whose residual ‖H x + ∇f‖ is the least in a growing space, and the iterations.

    Conjugate gradients make the error small in the norm of H, and leave residuals in directions of large curvature.
    A lower bound sees just those: it is off by ‖V + 2 reg W‖²/(4 reg). So here each direction, preconditioned as
    there, is made orthogonal to the former ones in its image by H (generalised conjugate residuals). A metric with
    more of I in it than M has serves these better.

    Args:
        hessian: H.
        gradient: (C, D + 1) ∇f.
        forcing: Residual, relative to ∇f, at which to stop.

    References:
        Eisenstat, Elman and Schultz, "Variational iterative methods for nonsymmetric systems of linear equations",
        SIAM J. Numer. Anal. 20, 1983.
    """
    solution, residual = torch.zeros_like(gradient), -gradient
    directions: list[Tensor] = []
    images: list[Tensor] = []
    goal = forcing * float(residual.norm())
    room = max(1, REMEMBERED_BYTES // (2 * gradient.numel() * gradient.element_size()))
    spent = 0
    while spent < LONGEST_CG:
        spent += 1
        direction = hessian.metric.solve(residual)
        image = hessian.times(direction, residual)
        for former, seen in zip(directions, images, strict=True):
            share = _inner(image, seen)
            direction, image = direction - share * former, image - share * seen
        size = float(image.norm())
        if not size > 0:
            break
        directions, images = [*directions, direction / size][-room:], [*images, image / size][-room:]
        length = _inner(residual, images[-1])
        solution += length * directions[-1]
        residual = residual - length * images[-1]
        if float(residual.norm()) <= goal:
            break
    return solution, spent


def _inner(a: Tensor, b: Tensor) -> float:
    return float((a * b).sum(dtype=torch.float64))
