/* The two losses of the notes, in the notation of `straightedge.losses`.
 *
 * A loss sees one row of scores s (C numbers) and its label y, never X. It gives its value and its gradient in
 * the scores, the row a of A. `objective` composes it with X, the mean and the penalty:
 *
 *     P(W) = (1/N) sum_i loss(x_i W, y_i) + reg * sum(W*W)        (the bias row is inside W and is penalised)
 *     dW   = X'A / N + 2 reg W
 *
 * X is N rows of D numbers whose last is the constant 1, W is D rows of C numbers. Plain script: the browser
 * finds it in `Straightedge`, node by `require("./losses.js")`.
 */
(function (root) {
  "use strict";

  /** Weston and Watkins: every wrong class whose score comes within 1 of the right one costs its margin. */
  const svm = {
    name: "svm",
    value(scores, y) {
      let total = 0;
      for (let j = 0; j < scores.length; j++) {
        if (j !== y) total += Math.max(0, scores[j] - scores[y] + 1);
      }
      return total;
    },
    /** 1 where the margin is positive; the right class gets minus their count. At a kink (margin 0) it is 0. */
    gradient(scores, y) {
      const a = scores.map((score, j) => (j !== y && score - scores[y] + 1 > 0 ? 1 : 0));
      a[y] = -a.reduce((sum, entry) => sum + entry, 0);
      return a;
    },
  };

  /** Probabilities of a row of scores; the largest is subtracted first, so that no exponential overflows. */
  function probabilities(scores) {
    const largest = Math.max(...scores);
    const powers = scores.map((score) => Math.exp(score - largest));
    const total = powers.reduce((sum, power) => sum + power, 0);
    return powers.map((power) => power / total);
  }

  /** Cross-entropy in nats: log sum_j exp(s_j) - s_y. */
  const softmax = {
    name: "softmax",
    value(scores, y) {
      const largest = Math.max(...scores);
      const total = scores.reduce((sum, score) => sum + Math.exp(score - largest), 0);
      return Math.log(total) - (scores[y] - largest);
    },
    gradient(scores, y) {
      const a = probabilities(scores);
      a[y] -= 1;
      return a;
    },
  };

  const losses = { svm, softmax };

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
   *   both losses, because A is a dual point of either. For softmax it vanishes at the optimum; for the SVM
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
