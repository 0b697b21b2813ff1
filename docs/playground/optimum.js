/* The exact optimum of a small problem, with its proof.
 *
 * Both solvers return { W, objective, dual, gap, iterations }: P(W) and a dual value D with D <= P* <= P(W), so
 * gap = P(W) - D bounds the distance to the optimum. Everything is float64 and a handful of 9 x 9 systems.
 *
 * softmax: Newton's method; D = P - ||dW||^2 / (4 reg).
 * svm:     each pair (sample i, wrong class j) is a plain hinge on w'f + 1 with f = x_i (e_j - e_y), so the dual
 *              max (1/N) sum b - ||V||^2 / (4 reg),   V = (1/N) sum b f,   0 <= b <= 1
 *          is a box problem whose matrix has the rank of W: a primal-dual interior point method whose every
 *          step is one D*C x D*C system (Woodbury) settles it at any reg, where coordinate ascent would crawl.
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

  /** Second derivative of P for softmax: mean of (xx') x (diag p - pp'), plus 2 reg on the diagonal. */
  function softmaxHessian(X, S, reg, C) {
    const n = X[0].length * C;
    const H = base.zeros(n, n);
    X.forEach((x, i) => {
      const p = base.probabilities(S[i]);
      for (let k = 0; k < n; k++) {
        for (let l = 0; l <= k; l++) {
          const [j, m] = [k % C, l % C];
          const curvature = (j === m ? p[j] : 0) - p[j] * p[m];
          H[k][l] += (x[(k - j) / C] * x[(l - m) / C] * curvature) / X.length;
        }
      }
    });
    for (let k = 0; k < n; k++) H[k][k] += 2 * reg;
    return H;
  }

  /** Halve the step until P falls by a share of what its slope promises (Armijo). */
  function lineSearch(W, step, slope, start, X, y, reg) {
    for (let size = 1; size > 1e-10; size /= 2) {
      const trial = W.map((row, k) => row.map((entry, j) => entry - size * step[k][j]));
      const result = base.objective(trial, X, y, reg, base.softmax);
      if (result.objective <= start - 1e-4 * size * slope) return { W: trial, result };
    }
    return null;
  }

  /** Newton's method from `start` (D x C) or from zero. */
  function solveSoftmax(X, y, reg, C, start) {
    let W = start || base.zeros(X[0].length, C);
    let now = base.objective(W, X, y, reg, base.softmax);
    let best = { W, objective: now.objective, gap: now.gap };
    let iterations = 0;
    for (; iterations < 60 && now.gap > 1e-14 * now.objective; iterations++) {
      const gradient = flat(now.dW);
      const step = solveCholesky(softmaxHessian(X, now.S, reg, C), gradient);
      const found = lineSearch(W, unflat(step, C), dot(step, gradient), now.objective, X, y, reg);
      if (!found) break; // the last digits of P are reached: the certificate stands
      W = found.W;
      now = found.result;
      if (now.gap < best.gap) best = { W, objective: now.objective, gap: now.gap };
    }
    return { ...best, dual: best.objective - best.gap, iterations };
  }

  /** The vectors f of every pair (sample, wrong class), flattened like W. */
  function pairs(X, y, C) {
    const rows = [];
    X.forEach((x, i) => {
      for (let j = 0; j < C; j++) {
        if (j === y[i]) continue;
        const f = new Array(x.length * C).fill(0);
        x.forEach((entry, k) => {
          f[k * C + j] = entry;
          f[k * C + y[i]] = -entry;
        });
        rows.push(f);
      }
    });
    return rows;
  }

  /** P and D of one dual point b; W = -V / (2 reg) is the weight that belongs to it. */
  function boundsOf(b, F, X, y, reg, C) {
    const V = new Array(F[0].length).fill(0);
    F.forEach((f, p) => f.forEach((entry, k) => (V[k] += (b[p] * entry) / X.length)));
    const W = unflat(V.map((entry) => -entry / (2 * reg)), C);
    const dual = b.reduce((sum, entry) => sum + entry, 0) / X.length - dot(V, V) / (4 * reg);
    return { W, dual, objective: base.objective(W, X, y, reg, base.svm).objective, V };
  }

  /** Newton step of the barrier system (diag e + Q) d = r with Q = FF' / (2 reg N), by Woodbury. */
  function barrierStep(F, e, r, factor) {
    const n = F[0].length;
    const M = base.zeros(n, n);
    const u = new Array(n).fill(0);
    F.forEach((f, p) => {
      for (let k = 0; k < n; k++) {
        if (f[k] === 0) continue;
        u[k] += (f[k] * r[p]) / e[p];
        for (let l = 0; l <= k; l++) M[k][l] += (factor * f[k] * f[l]) / e[p];
      }
    });
    for (let k = 0; k < n; k++) M[k][k] += 1;
    const v = solveCholesky(M, u);
    return F.map((f, p) => (r[p] - factor * dot(f, v)) / e[p]);
  }

  /** The longest step that keeps every entry of z + step * dz positive, at most 1. */
  function room(z, dz) {
    let longest = 1;
    z.forEach((entry, p) => {
      if (dz[p] < 0) longest = Math.min(longest, (-0.99 * entry) / dz[p]);
    });
    return longest;
  }

  /** One step of the interior point method on { b, low, high }: low and high are the prices of 0 <= b <= 1. */
  function interiorStep(point, V, F, reg, N) {
    const { b, low, high } = point;
    const upper = b.map((entry) => 1 - entry);
    const mu = (0.1 * (dot(low, b) + dot(high, upper))) / (2 * b.length);
    const e = b.map((entry, p) => low[p] / entry + high[p] / upper[p]);
    // slope of the dual (times N) plus the pull of both walls; dot(f, V) / (2 reg) is (Q b) of this pair
    const r = b.map((entry, p) => 1 - dot(F[p], V) / (2 * reg) + mu / entry - mu / upper[p]);
    const db = barrierStep(F, e, r, 1 / (2 * reg * N));
    const dLow = b.map((entry, p) => mu / entry - low[p] - (low[p] / entry) * db[p]);
    const dHigh = b.map((entry, p) => mu / upper[p] - high[p] + (high[p] / upper[p]) * db[p]);
    const size = Math.min(room(b, db), room(upper, db.map((entry) => -entry)), room(low, dLow), room(high, dHigh));
    const move = (z, dz) => z.map((entry, p) => entry + size * dz[p]);
    return { b: move(b, db), low: move(low, dLow), high: move(high, dHigh) };
  }

  /** Interior point method; every iterate is feasible, so the best P and the best D seen are both valid. */
  function solveSvm(X, y, reg, C) {
    const F = pairs(X, y, C);
    let point = { b: F.map(() => 0.5), low: F.map(() => 1), high: F.map(() => 1) };
    let best = { objective: Infinity, dual: -Infinity };
    let iterations = 0;
    for (; iterations < 80; iterations++) {
      const now = boundsOf(point.b, F, X, y, reg, C);
      if (!Number.isFinite(now.dual)) break;
      if (now.objective < best.objective) best = { ...best, W: now.W, objective: now.objective };
      best.dual = Math.max(best.dual, now.dual);
      if (best.objective - best.dual <= 1e-10 * best.objective) break;
      point = interiorStep(point, now.V, F, reg, X.length);
    }
    return { W: best.W, objective: best.objective, dual: best.dual, gap: Math.max(0, best.objective - best.dual), iterations };
  }

  /** The optimum for a loss by name; null without samples. */
  function solve(lossName, X, y, reg, C) {
    if (X.length === 0) return null;
    return lossName === "softmax" ? solveSoftmax(X, y, reg, C) : solveSvm(X, y, reg, C);
  }

  const api = { solve, solveSoftmax, solveSvm };
  root.Straightedge = Object.assign(root.Straightedge || {}, api);
  if (typeof module !== "undefined" && module.exports) module.exports = api;
})(typeof globalThis !== "undefined" ? globalThis : this);
