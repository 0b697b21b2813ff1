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

import torch
from scipy.linalg.lapack import dtrtrs
from torch import Tensor

FEW = 5  # slots at first: many fits need no more
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
        steps: K times (m', C · (D + 1)), S; there are at first fewer slots than m.
        turned: K times (m', C · (D + 1)), M⁻¹Y.
        products: (K, m, m) float64, SᵀY.
        natural: (K, m, m) float64, YᵀM⁻¹Y.
    """

    scale: Tensor
    count: Tensor
    steps: list[Tensor]
    turned: list[Tensor]
    products: Tensor
    natural: Tensor

    @classmethod
    def none(cls, W: Tensor, most: int) -> CurvaturePairs:
        """Return an empty memory of ``most`` pairs for configurations of W (K, C, D + 1)."""
        K, size = len(W), W[0].numel()
        tables = torch.zeros(2, K, most, most, dtype=torch.float64)
        steps, turned = ([W.new_zeros(min(FEW, most), size) for _ in range(K)] for _ in range(2))
        ones, nothing = torch.ones(K, dtype=torch.float64), torch.zeros(K, dtype=torch.int64)
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
        size = inner(step, step).cpu().sqrt() * inner(change, change).cpu().sqrt()
        norm = inner(change, turned).cpu()
        sound = (curvature > SOUND * size) & (norm > 0)
        self.scale[configs[sound]] = (curvature / norm)[sound]
        slots = self.count % self.most
        for i in sound.nonzero().flatten().tolist():
            k = int(configs[i])
            self._put(k, int(slots[k]), step[i].flatten(), change[i].flatten(), turned[i].flatten())

    def _put(self, k: int, slot: int, step: Tensor, change: Tensor, turned: Tensor) -> None:
        if slot == len(self.steps[k]):
            for vectors in (self.steps, self.turned):
                vectors[k] = torch.cat([vectors[k], torch.zeros_like(vectors[k])])[: self.most]
        self.steps[k][slot], self.turned[k][slot] = step, turned
        self.count[k] += 1
        held = min(int(self.count[k]), self.most)
        both = torch.stack([self.steps[k][:held] @ change, self.turned[k][:held] @ change]).to(
            "cpu", torch.float64
        )
        self.products[k, :held, slot] = both[0]
        self.natural[k, :held, slot] = self.natural[k, slot, :held] = both[1]

    def descent(self, configs: Tensor, gradient: Tensor, turned: Tensor) -> Tensor:
        """Return the directions −H∇P (K', C, D + 1) of some configurations, H the inverse Hessian of the pairs.

        Args:
            configs: (K',) int64 positions.
            gradient: (K', C, D + 1) ∇P.
            turned: (K', C, D + 1) M⁻¹∇P.
        """
        out = turned * -self.scale[configs].to(turned)[:, None, None]
        flat, gradients = out.flatten(1), gradient.flatten(1)
        known = list(self._along(configs, gradients))  # all before the first is waited for
        for i, (k, along) in enumerate(zip(configs.tolist(), known, strict=True)):
            if len(along[0]):
                held = along.shape[1]
                a, b = self._coefficients(k, along.to("cpu", torch.float64))
                flat[i] += a.to(flat) @ self.turned[k][:held]
                flat[i] -= b.to(flat) @ self.steps[k][:held]
        return out

    def _along(self, configs: Tensor, gradients: Tensor) -> Iterator[Tensor]:
        """Yield Sᵀ∇P and (M⁻¹Y)ᵀ∇P (2, m') of each configuration."""
        for gradient, k in zip(gradients, configs.tolist(), strict=True):
            held = min(int(self.count[k]), self.most)
            yield torch.stack([self.steps[k][:held] @ gradient, self.turned[k][:held] @ gradient])

    def _coefficients(self, k: int, along: Tensor) -> tuple[Tensor, Tensor]:
        """Return γa and b (m',) of a configuration, by slot."""
        held, scale = along.shape[1], float(self.scale[k])
        age = (torch.arange(held) + (self.count[k] % self.most if held == self.most else 0)) % held
        R = self.products[k][age][:, age].triu().numpy()
        natural, (p, z) = self.natural[k][age][:, age].numpy(), along[:, age].numpy()
        a = dtrtrs(R, p)[0]
        b = dtrtrs(R, R.diagonal() * a - scale * (z - natural @ a), trans=1)[0]
        out = torch.empty(2, held, dtype=torch.float64)
        out[:, age] = torch.stack([scale * torch.from_numpy(a), torch.from_numpy(b)])
        return out[0], out[1]

    def keep(self, positions: Tensor) -> None:
        """Go on with these configurations alone."""
        for field in fields(self):
            own = getattr(self, field.name)
            chosen = [own[k] for k in positions.tolist()] if isinstance(own, list) else own[positions]
            setattr(self, field.name, chosen)
