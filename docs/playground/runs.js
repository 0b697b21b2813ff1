/* When a run of steps is over, and why: said in a sentence. */
(function (root) {
  "use strict";
  const S = root.Straightedge;
  const patience = 300; // steps without a lower value after which a run has nothing more to show
  const longest = 6000; // steps of one run: a minute and a half at 60 a second

  /** Why a run is over, in a sentence; empty while it is not. */
  function reasonToEnd(state) {
    const { now, best, lowest } = state;
    if (S.sumOfSquares(now.dW) < 1e-16) return "the gradient is 0, so this is the optimum";
    if (best && now.objective - best.dual <= 1e-6 * best.objective) return "the objective is within a millionth of the optimum";
    if (now.objective < lowest.objective * (1 - 1e-6)) state.lowest = { ...lowest, objective: now.objective, step: state.step };
    if (state.step - lowest.start >= longest) return "the steps are small; a larger learning rate gets there sooner";
    if (state.step - state.lowest.step < patience) return "";
    return S.losses[state.loss].kinks
      ? "at a fixed learning rate the steps jump to and fro across a kink of the loss, where the gradient changes at once; a smaller rate comes closer"
      : "the steps go to and fro across the valley; a smaller rate gets down";
  }

  root.Straightedge = Object.assign(S, { reasonToEnd });
})(globalThis);
