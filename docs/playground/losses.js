/* The losses of `straightedge.losses`, under the same names and in the same notation.
 *
 * A loss sees one row of scores s (C numbers) and its label y, never X. It gives its value and its gradient in
 * the scores, the row a of A; `parts` are the terms that the page shows class by class. `objective` composes it with
 * X, the mean and the penalty:
 *
 *     P(W) = (1/N) sum_i loss(x_i W, y_i) + reg * sum(W*W)        (the bias row is inside W and is penalised)
 *     dW   = X'A / N + 2 reg W
 *
 * X is N rows of D numbers whose last is the constant 1, W is D rows of C numbers. Plain script: the browser
 * finds it in `Straightedge`, node by `require("./losses.js")`.
 *
 * A loss with kinks also names its `pieces`: the margins z = 1 + <f, s> of which it takes the positive ones (each, or
 * the largest one of all). A smooth one gives `curvature`, its second derivative in the scores.
 */
(function (root) {
  "use strict";
  const sum = (row) => row.reduce((total, entry) => total + entry, 0);
  const positive = (row) => row.map((entry) => Math.max(0, entry));
  const unit = (C, j, size = 1) => Array.from({ length: C }, (_, k) => (k === j ? size : 0));
  const diagonal = (row) => row.map((entry, j) => unit(row.length, j, entry));

  /** Margins against the right class: z_j = 1 + s_j - s_y, and 0 for j = y. */
  const against = {
    margins: (s, y) => s.map((score, j) => (j === y ? 0 : score - s[y] + 1)),
    direction: (C, y, j) => (j === y ? null : unit(C, j).map((entry, k) => entry - (k === y ? 1 : 0))),
    words: "<i>s</i><sub>j</sub> − <i>s</i><sub>y</sub> + 1",
  };

  /** Margins of each class against the rest: z_j = 1 + s_j, and 1 - s_y for the right one. */
  const apart = {
    margins: (s, y) => s.map((score, j) => (j === y ? 1 - score : 1 + score)),
    direction: (C, y, j) => unit(C, j, j === y ? -1 : 1),
    words: "1 ± <i>s</i><sub>j</sub>",
  };

  /** What b on the margins does to the scores: sum_j b_j f_j. */
  function toScores(kind, b, y) {
    const a = new Array(b.length).fill(0);
    b.forEach((entry, j) => (kind.direction(b.length, y, j) || []).forEach((part, k) => (a[k] += entry * part)));
    return a;
  }

  /** The sum of the positive margins, or the largest of them. At a kink (margin 0) the gradient is 0. */
  function hinge(name, title, kind, largestOnly = false) {
    const open = (s, y) => {
      const z = kind.margins(s, y);
      const top = z.indexOf(Math.max(...z));
      return z.map((entry, j) => (entry > 0 && (!largestOnly || j === top) ? 1 : 0));
    };
    return {
      name, title, kinks: true, kind, largestOnly,
      words: `max(0, ${kind.words})${largestOnly ? ", the largest counts" : ""}`,
      parts: (s, y) => positive(kind.margins(s, y)),
      value: (s, y) => (largestOnly ? Math.max(...positive(kind.margins(s, y))) : sum(positive(kind.margins(s, y)))),
      gradient: (s, y) => toScores(kind, open(s, y), y),
    };
  }

  /** The sum of the squares of the positive margins. */
  function squaredHinge(name, title, kind) {
    const z = (s, y) => positive(kind.margins(s, y));
    return {
      name, title, words: `max(0, ${kind.words})²`,
      parts: (s, y) => z(s, y).map((entry) => entry * entry),
      value: (s, y) => sum(z(s, y).map((entry) => entry * entry)),
      gradient: (s, y) => toScores(kind, z(s, y).map((entry) => 2 * entry), y),
      curvature(s, y) {
        const H = zeros(s.length, s.length);
        z(s, y).forEach((entry, j) => {
          const f = entry > 0 ? kind.direction(s.length, y, j) : null;
          if (f) addOuter(H, f, f, 2);
        });
        return H;
      },
    };
  }

  /** Probabilities of a row of scores; the largest is subtracted first, so that no exponential overflows. */
  function probabilities(scores) {
    const largest = Math.max(...scores);
    const powers = scores.map((score) => Math.exp(score - largest));
    const total = sum(powers);
    return powers.map((power) => power / total);
  }

  /** Cross-entropy in nats: log sum_j exp(s_j) - s_y. */
  const softmax = {
    name: "softmax", title: "Softmax", words: "probability <i>p</i><sub>j</sub>",
    parts: (s) => probabilities(s),
    value(scores, y) {
      const largest = Math.max(...scores);
      return Math.log(sum(scores.map((score) => Math.exp(score - largest)))) - (scores[y] - largest);
    },
    gradient: (scores, y) => probabilities(scores).map((p, j) => p - (j === y ? 1 : 0)),
    curvature(scores) {
      const p = probabilities(scores);
      const H = diagonal(p);
      addOuter(H, p, p, -1);
      return H;
    },
  };

  /** log(1 + e^t) without overflow. */
  const softplus = (t) => Math.max(0, t) + Math.log1p(Math.exp(-Math.abs(t)));
  const sigmoid = (t) => (t >= 0 ? 1 / (1 + Math.exp(-t)) : Math.exp(t) / (1 + Math.exp(t)));

  /** C two-class logistic regressions: log(1 + e^(-s_y)) + sum over the others of log(1 + e^(s_j)). */
  const logistic = {
    name: "one_vs_rest_logistic", title: "One versus rest, logistic", words: "log(1 + e<sup>±<i>s</i><sub>j</sub></sup>)",
    parts: (s, y) => s.map((score, j) => softplus(j === y ? -score : score)),
    value: (s, y) => sum(logistic.parts(s, y)),
    gradient: (s, y) => s.map((score, j) => sigmoid(score) - (j === y ? 1 : 0)),
    curvature: (s) => diagonal(s.map((score) => sigmoid(score) * sigmoid(-score))),
  };

  const svm = hinge("svm", "SVM (Weston–Watkins)", against);
  const every = [
    svm, softmax,
    hinge("crammer_singer", "SVM (Crammer–Singer)", against, true),
    hinge("one_vs_rest", "One versus rest, hinge", apart),
    squaredHinge("squared_hinge", "SVM, squared hinge", against),
    logistic,
    squaredHinge("one_vs_rest_squared_hinge", "One versus rest, squared hinge", apart),
  ];
  const losses = Object.fromEntries(every.map((loss) => [loss.name, loss]));

  /** s = x W, one row. */
  function scoresOf(x, W) {
    return W[0].map((_, j) => x.reduce((sum, entry, k) => sum + entry * W[k][j], 0));
  }

  /** A matrix of zeros with D rows and C columns. */
  function zeros(D, C) {
    return Array.from({ length: D }, () => new Array(C).fill(0));
  }

  /** The sum of the squares of all entries. */
  function sumOfSquares(M) {
    return M.reduce((sum, row) => sum + row.reduce((part, entry) => part + entry * entry, 0), 0);
  }

  /** What one sample adds to the sum X'A: the outer product of x (D) and a (C), added to M in place. */
  function addOuter(M, x, a, factor) {
    for (let k = 0; k < x.length; k++) for (let j = 0; j < a.length; j++) M[k][j] += factor * x[k] * a[j];
  }

  /**
   * Value and gradient of P, and everything on the way.
   *
   * @returns {{objective, mean, penalty, values: number[], S: number[][], A: number[][], dW: number[][], gap}}
   *   `gap` is the proven bound on P(W) - P* that the gradient alone gives: ||dW||^2 / (4 reg). It holds for
   *   every loss, because A is a dual point of each. For a smooth one it vanishes at the optimum; for a hinge
   *   it does not, where the optimum lies on a kink.
   */
  function objective(W, X, y, reg, loss) {
    const N = X.length;
    const S = X.map((x) => scoresOf(x, W));
    const values = S.map((row, i) => loss.value(row, y[i]));
    const A = S.map((row, i) => loss.gradient(row, y[i]));
    const dW = W.map((row) => row.map((entry) => 2 * reg * entry));
    X.forEach((x, i) => addOuter(dW, x, A[i], 1 / N));
    const mean = N ? values.reduce((sum, value) => sum + value, 0) / N : 0;
    const penalty = reg * sumOfSquares(W);
    return { objective: mean + penalty, mean, penalty, values, S, A, dW, gap: sumOfSquares(dW) / (4 * reg) };
  }

  const api = { losses, svm, softmax, probabilities, scoresOf, objective, zeros, addOuter, sumOfSquares };
  root.Straightedge = Object.assign(root.Straightedge || {}, api);
  if (typeof module !== "undefined" && module.exports) module.exports = api;
})(typeof globalThis !== "undefined" ? globalThis : this);
