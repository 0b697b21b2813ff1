"""The memory of L-BFGS: pairs of a step and the change of the gradient along it, of K configurations.

The inverse Hessian that the pairs stand for is applied in its compact form: with steps S, changes Y, the first
approximation H₀ = γM⁻¹, R the part of SᵀY on and above its diagonal, and E that diagonal,

    a = R⁻¹ Sᵀ∇P,    r = H₀(∇P − Y a),    b = R⁻ᵀ(E a − Yᵀr),    H∇P = r + S b.

What it needs of Y is M⁻¹Y alone, for Yᵀr = γ((M⁻¹Y)ᵀ∇P − YᵀM⁻¹Y a). So M⁻¹Y is kept instead of Y, and M⁻¹ is
applied once a step, to the new gradient. For a direction a pair is read twice, in products of matrix and vector.

References:
    Byrd, Nocedal and Schnabel, "Representations of quasi-Newton matrices and their use in limited memory methods",
    Math. Prog. 63, 1994, equation 3.1.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np
import torch
from scipy.linalg.lapack import dtrtrs
from torch import Tensor

CHUNK = 5  # slots that are made together, when they are needed: many fits need no more
SOUND = 1e-10  # of ‖ΔW‖ ‖Δ∇P‖: a pair of less curvature is rounding


def inner(a: Tensor, b: Tensor) -> Tensor:
    """Return (K,) float64 inner products of (K, C, D + 1) tensors."""
    return (a * b).sum(dim=(1, 2), dtype=torch.float64)


@dataclass
class CurvaturePairs:
    """The last m pairs of each configuration, in m slots; the newest takes the slot of the oldest.

    Attributes:
        scale: (K,) γ, of M⁻¹ where it is the first approximation of the inverse Hessian.
        count: (K,) int64, pairs that a configuration has had.
        steps: For each configuration S in chunks of slots, (≤ 5, C · (D + 1)) each, as many as are in use; a chunk
            stays where it is, so that memory has no gaps of those that were outgrown.
        turned: M⁻¹Y, likewise.
        products: (K, m, m) float64, SᵀY.
        natural: (K, m, m) float64, YᵀM⁻¹Y.
    """

    scale: Tensor
    count: Tensor
    steps: list[list[Tensor]]
    turned: list[list[Tensor]]
    products: Tensor
    natural: Tensor

    @classmethod
    def none(cls, W: Tensor, most: int) -> CurvaturePairs:
        """Return an empty memory of ``most`` pairs for configurations of W (K, C, D + 1)."""
        K, size = len(W), W[0].numel()
        tables = torch.zeros(2, K, most, most, dtype=torch.float64)
        ones, nothing = torch.ones(K, dtype=torch.float64), torch.zeros(K, dtype=torch.int64)
        steps, turned = ([[W.new_zeros(min(CHUNK, most), size)] for _ in range(K)] for _ in range(2))
        return cls(ones, nothing, steps, turned, *tables)

    @property
    def most(self) -> int:
        """Pairs remembered, m."""
        return self.products.shape[1]

    def add(self, configs: Tensor, step: Tensor, change: Tensor, turned: Tensor) -> None:
        """Remember a pair of each of some configurations; one whose curvature is rounding is left out.

        Args:
            configs: (K',) int64 positions.
            step: (K', C, D + 1) ΔW.
            change: (K', C, D + 1) Δ∇P.
            turned: (K', C, D + 1) M⁻¹Δ∇P.
        """
        curvature = inner(step, change).cpu()
        lengths = [torch.linalg.vector_norm(part.flatten(1), dim=1) for part in (step, change)]
        size = (lengths[0] * lengths[1]).cpu()
        norm = inner(change, turned).cpu()
        sound = (curvature > SOUND * size) & (norm > 0)
        self.scale[configs[sound]] = (curvature / norm)[sound]
        slots = self.count % self.most
        for i in sound.nonzero().flatten().tolist():
            k = int(configs[i])
            self._put(k, int(slots[k]), step[i].flatten(), change[i].flatten(), turned[i].flatten())

    def _put(self, k: int, slot: int, step: Tensor, change: Tensor, turned: Tensor) -> None:
        chunk, place = divmod(slot, CHUNK)
        for chunks, vector in ((self.steps[k], step), (self.turned[k], turned)):
            if chunk == len(chunks):
                chunks.append(vector.new_zeros(min(CHUNK, self.most - slot), len(vector)))
            chunks[chunk][place] = vector
        self.count[k] += 1
        held, along = self._along(k, change)
        self.products[k, :held, slot] = along[:held]
        self.natural[k, :held, slot] = self.natural[k, slot, :held] = along[held:]

    def _along(self, k: int, vector: Tensor) -> tuple[int, Tensor]:
        """Return the number m' of pairs of a configuration, and Sᵀv and (M⁻¹Y)ᵀv (2m',) for a vector v."""
        held = min(int(self.count[k]), self.most)
        out = vector.new_empty(2 * held)
        for first, chunks in ((0, self.steps[k]), (held, self.turned[k])):
            for rows, own in _in_use(chunks, held):
                torch.mv(own, vector, out=out[first:][rows])
        return held, out

    def descent(self, configs: Tensor, gradient: Tensor, turned: Tensor) -> Tensor:
        """Return the directions −H∇P (K', C, D + 1) of some configurations, H the inverse Hessian of the pairs.

        Args:
            configs: (K',) int64 positions.
            gradient: (K', C, D + 1) ∇P.
            turned: (K', C, D + 1) M⁻¹∇P.
        """
        out = turned * -self.scale[configs].to(turned)[:, None, None]
        ks = configs.tolist()
        # all are asked for before the first is waited for
        known = [self._along(k, one) for k, one in zip(ks, gradient.flatten(1), strict=True)]
        for k, direction, (held, along) in zip(ks, out.flatten(1), known, strict=True):
            if held:
                both = self._coefficients(k, held, along.to("cpu", torch.float64).numpy())
                a, b = torch.from_numpy(both).to(direction)
                for chunks, shares in ((self.turned[k], a), (self.steps[k], b)):
                    for rows, own in _in_use(chunks, held):
                        direction.addmv_(own.t(), shares[rows])
        return out

    def _coefficients(self, k: int, held: int, along: np.ndarray) -> np.ndarray:
        """Return γa and −b (2, m') of a configuration, by slot; of a matrix of products R is all that is read."""
        R, natural = (table[k, :held, :held].numpy() for table in (self.products, self.natural))
        p, z, scale = along[:held], along[held:], float(self.scale[k])
        oldest = int(self.count[k]) % held if held == self.most else 0
        if oldest:  # slots in the order of time
            order = np.roll(np.arange(held), -oldest)
            R, natural, p, z = R[np.ix_(order, order)], natural[np.ix_(order, order)], p[order], z[order]
        a = dtrtrs(R, p)[0]
        b = dtrtrs(R, R.diagonal() * a - scale * (z - natural @ a), trans=1)[0]
        return np.roll(np.stack([scale * a, -b]), oldest, axis=1)

    def keep(self, positions: Tensor) -> None:
        """Go on with these configurations alone."""
        for field in fields(self):
            own = getattr(self, field.name)
            chosen = [own[k] for k in positions.tolist()] if isinstance(own, list) else own[positions]
            setattr(self, field.name, chosen)


def _in_use(chunks: list[Tensor], held: int) -> Iterator[tuple[slice, Tensor]]:
    """Yield the slots of each chunk among the first ``held`` ones, and their vectors."""
    for start, chunk in zip(range(0, held, CHUNK), chunks, strict=False):
        yield slice(start, min(start + CHUNK, held)), chunk[: held - start]
