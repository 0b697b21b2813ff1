/* The exact optimum of a small problem, with its proof.
 *
 * Both solvers return { W, objective, dual, gap, iterations }: P(W) and a dual value D with D <= P* <= P(W), so
 * gap = P(W) - D bounds the distance to the optimum. Everything is float64 and a handful of 9 x 9 systems.
 *
 * smooth losses: Newton's method; D = P - ||dW||^2 / (4 reg).
 * hinges:        each pair (sample i, margin j) is a plain hinge on w'f + 1, with f = x_i (e_j - e_y) or x_i (+-e_j):
 *                    max (1/N) sum b - ||V||^2 / (4 reg),   V = (1/N) sum b f,   0 <= b, sum of b in a group <= 1
 *                where a group is one pair, or all pairs of a sample where only the largest margin counts. The
 *                matrix has the rank of W: a primal-dual interior point method whose every step is one D*C x D*C
 *                system (Woodbury) settles it at any reg, where coordinate ascent would crawl.
 */
(function (root) {
  "use strict";
  const base = typeof require === "function" && typeof module !== "undefined" ? require("./losses.js") : root.Straightedge;

  /** Solve M z = r for symmetric positive definite M by Cholesky; M is overwritten by its factor. */
  function solveCholesky(M, r) {
    const n = r.length;
    for (let i = 0; i < n; i++) {
      for (let j = 0; j <= i; j++) {
        let sum = M[i][j];
        for (let k = 0; k < j; k++) sum -= M[i][k] * M[j][k];
        M[i][j] = i === j ? Math.sqrt(Math.max(sum, 1e-300)) : sum / M[j][j];
      }
    }
    const z = r.slice();
    for (let i = 0; i < n; i++) {
      for (let k = 0; k < i; k++) z[i] -= M[i][k] * z[k];
      z[i] /= M[i][i];
    }
    for (let i = n - 1; i >= 0; i--) {
      for (let k = i + 1; k < n; k++) z[i] -= M[k][i] * z[k];
      z[i] /= M[i][i];
    }
    return z;
  }

  /** W as one vector, feature by feature, and back. */
  const flat = (W) => [].concat(...W);
  const unflat = (w, C) => Array.from({ length: w.length / C }, (_, k) => w.slice(k * C, (k + 1) * C));
  const dot = (u, v) => u.reduce((sum, entry, k) => sum + entry * v[k], 0);

  /** Second derivative of P: mean of (xx') x (the loss's curvature), plus 2 reg on the diagonal. */
  function hessian(X, y, S, reg, loss) {
    const C = S[0].length;
    const n = X[0].length * C;
    const H = base.zeros(n, n);
    X.forEach((x, i) => {
      const curvature = loss.curvature(S[i], y[i]);
      for (let k = 0; k < n; k++) {
        for (let l = 0; l <= k; l++) {
          const [j, m] = [k % C, l % C];
          H[k][l] += (x[(k - j) / C] * x[(l - m) / C] * curvature[j][m]) / X.length;
        }
      }
    });
    for (let k = 0; k < n; k++) H[k][k] += 2 * reg;
    return H;
  }

  /** Halve the step until P falls by a share of what its slope promises (Armijo). */
  function lineSearch(W, step, slope, start, X, y, reg, loss) {
    for (let size = 1; size > 1e-10; size /= 2) {
      const trial = W.map((row, k) => row.map((entry, j) => entry - size * step[k][j]));
      const result = base.objective(trial, X, y, reg, loss);
      if (result.objective <= start - 1e-4 * size * slope) return { W: trial, result };
    }
    return null;
  }

  /** Newton's method from `start` (D x C) or from zero. */
  function solveSmooth(X, y, reg, C, loss, start) {
    let W = start || base.zeros(X[0].length, C);
    let now = base.objective(W, X, y, reg, loss);
    let best = { W, objective: now.objective, gap: now.gap };
    let iterations = 0;
    for (; iterations < 60 && now.gap > 1e-14 * now.objective; iterations++) {
      const gradient = flat(now.dW);
      const step = solveCholesky(hessian(X, y, now.S, reg, loss), gradient);
      const found = lineSearch(W, unflat(step, C), dot(step, gradient), now.objective, X, y, reg, loss);
      if (!found) break; // the last digits of P are reached: the certificate stands
      W = found.W;
      now = found.result;
      if (now.gap < best.gap) best = { W, objective: now.objective, gap: now.gap };
    }
    return { ...best, dual: best.objective - best.gap, iterations };
  }

  /** The vectors f of every pair (sample, margin), flattened like W, and the group of each. */
  function pairs(X, y, C, loss) {
    const [F, group] = [[], []];
    X.forEach((x, i) => {
      for (let j = 0; j < C; j++) {
        const direction = loss.kind.direction(C, y[i], j);
        if (!direction) continue;
        group.push(loss.largestOnly ? i : F.length);
        F.push(x.flatMap((entry) => direction.map((part) => entry * part)));
      }
    });
    return { F, group };
  }

  /** The sum of z over each group. */
  function groupSums(z, group) {
    const sums = new Array(group[group.length - 1] + 1).fill(0);
    z.forEach((entry, p) => (sums[group[p]] += entry));
    return sums;
  }

  /** P and D of one dual point b; W = -V / (2 reg) is the weight that belongs to it. */
  function boundsOf(b, F, X, y, reg, C, loss) {
    const V = new Array(F[0].length).fill(0);
    F.forEach((f, p) => f.forEach((entry, k) => (V[k] += (b[p] * entry) / X.length)));
    const W = unflat(V.map((entry) => -entry / (2 * reg)), C);
    const dual = b.reduce((sum, entry) => sum + entry, 0) / X.length - dot(V, V) / (4 * reg);
    return { W, dual, objective: base.objective(W, X, y, reg, loss).objective, V };
  }

  /**
   * Solve (diag e + h on each group's block) z = r: Sherman and Morrison, written with differences within the group,
   * which keep their digits where e is tiny and h huge.
   */
  function blockSolve(e, h, group, r) {
    const weight = groupSums(e.map((entry) => 1 / entry), group);
    return r.map((entry, p) => {
      let apart = 0;
      for (const step of [-1, 1]) {
        for (let q = p + step; group[q] === group[p]; q += step) apart += (entry - r[q]) / e[q];
      }
      const shared = h[group[p]];
      return (entry + shared * apart) / (e[p] * (1 + shared * weight[group[p]]));
    });
  }

  /** Newton step of the barrier system (B + Q) d = r with B the blocks and Q = factor FF', by Woodbury. */
  function barrierStep(F, group, e, h, r, factor) {
    const n = F[0].length;
    const columns = Array.from({ length: n }, (_, k) => blockSolve(e, h, group, F.map((f) => f[k])));
    const start = blockSolve(e, h, group, r);
    const M = base.zeros(n, n);
    const u = new Array(n).fill(0);
    F.forEach((f, p) => {
      for (let k = 0; k < n; k++) {
        if (f[k] === 0) continue;
        u[k] += f[k] * start[p];
        for (let l = 0; l <= k; l++) M[k][l] += factor * f[k] * columns[l][p];
      }
    });
    for (let k = 0; k < n; k++) M[k][k] += 1;
    const v = solveCholesky(M, u);
    return start.map((entry, p) => entry - factor * v.reduce((total, part, k) => total + part * columns[k][p], 0));
  }

  /** The longest step that keeps every entry of z + step * dz positive, at most 1. */
  function room(z, dz) {
    let longest = 1;
    z.forEach((entry, p) => {
      if (dz[p] < 0) longest = Math.min(longest, (-0.99 * entry) / dz[p]);
    });
    return longest;
  }

  /** One step of the interior point method on { b, low, high }: the prices of 0 <= b and of each group's sum <= 1. */
  function interiorStep(point, V, { F, group }, reg, N) {
    const { b, low, high } = point;
    const upper = groupSums(b, group).map((entry) => 1 - entry);
    const mu = (0.1 * (dot(low, b) + dot(high, upper))) / (b.length + upper.length);
    const e = b.map((entry, p) => low[p] / entry);
    const h = upper.map((entry, g) => high[g] / entry);
    // slope of the dual (times N) plus the pull of both walls; dot(f, V) / (2 reg) is (Q b) of this pair
    const r = b.map((entry, p) => 1 - dot(F[p], V) / (2 * reg) + mu / entry - mu / upper[group[p]]);
    const db = barrierStep(F, group, e, h, r, 1 / (2 * reg * N));
    const dUpper = groupSums(db, group).map((entry) => -entry);
    const dLow = b.map((entry, p) => mu / entry - low[p] - e[p] * db[p]);
    const dHigh = upper.map((entry, g) => mu / entry - high[g] - h[g] * dUpper[g]);
    const size = Math.min(room(b, db), room(upper, dUpper), room(low, dLow), room(high, dHigh));
    const move = (z, dz) => z.map((entry, p) => entry + size * dz[p]);
    return { b: move(b, db), low: move(low, dLow), high: move(high, dHigh) };
  }

  /** Interior point method; every iterate is feasible, so the best P and the best D seen are both valid. */
  function solveHinge(X, y, reg, C, loss) {
    const all = pairs(X, y, C, loss);
    const start = loss.largestOnly ? 0.5 / C : 0.5;
    let point = { b: all.F.map(() => start), low: all.F.map(() => 1), high: groupSums(all.group.map(() => 0), all.group).map(() => 1) };
    let best = { objective: Infinity, dual: -Infinity };
    let iterations = 0;
    for (; iterations < 80; iterations++) {
      const now = boundsOf(point.b, all.F, X, y, reg, C, loss);
      if (!Number.isFinite(now.dual)) break;
      if (now.objective < best.objective) best = { ...best, W: now.W, objective: now.objective };
      best.dual = Math.max(best.dual, now.dual);
      if (best.objective - best.dual <= 1e-10 * best.objective) break;
      point = interiorStep(point, now.V, all, reg, X.length);
    }
    return { W: best.W, objective: best.objective, dual: best.dual, gap: Math.max(0, best.objective - best.dual), iterations };
  }

  /** The optimum for a loss by name; null without samples. */
  function solve(lossName, X, y, reg, C) {
    if (X.length === 0) return null;
    const loss = base.losses[lossName];
    return loss.kinks ? solveHinge(X, y, reg, C, loss) : solveSmooth(X, y, reg, C, loss);
  }

  const api = { solve };
  root.Straightedge = Object.assign(root.Straightedge || {}, api);
  if (typeof module !== "undefined" && module.exports) module.exports = api;
})(typeof globalThis !== "undefined" ? globalThis : this);
