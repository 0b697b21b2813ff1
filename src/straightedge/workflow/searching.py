"""The search over learning rates and regs of minibatch SGD."""

from straightedge.losses import get_loss
from straightedge.workflow.choosing import (
    Fitted,
    can_be_judged,
    choice_of,
    fit_unchosen,
    held_out_part,
    train_by_sgd,
)
from straightedge.workflow.problem import Problem
from straightedge.workflow.stages import Stages

SEARCH_RATES = (0.3, 1.0, 3.0, 10.0)  # of the natural learning rate
SEARCH_REGS = (1e-7, 1e-6, 1e-5, 1e-4)  # of the mean square norm of a row


def fit_search(problem: Problem, stages: Stages) -> Fitted:
    """Train a grid of (learning rate, reg) heads in the same batches; the best on validation is the model."""
    if not can_be_judged(problem):
        return fit_unchosen(problem, stages)
    options = problem.options
    selection = problem.selection
    part, X_validation, held_out, y_validation = held_out_part(problem, selection)
    regs = options.choice.regs or [float(f"{problem.scale * r:.3g}") for r in SEARCH_REGS]
    natural = 0.1 * len(problem.classes) / problem.scale * get_loss(problem.settings.loss).learning_rate
    asked = options.sgd.learning_rate
    rates = [asked] if asked else [natural * r for r in SEARCH_RATES]
    heads = [(rate, reg) for rate in rates for reg in regs]
    objective = part.objective([reg for _, reg in heads])
    solution = train_by_sgd(objective, problem, [rate for rate, _ in heads], stages)
    scores = part.scores(solution.W, X_validation, held_out)
    choice = choice_of(problem, selection, scores, [reg for _, reg in heads], solution, held_out)
    choice.notes = []  # the heads are not at their optima: the table says so
    index = choice.index
    return Fitted(
        solution.W[index],
        part,
        choice.reg,
        solution,
        index,
        choice,
        choice.scores,
        y_validation,
        held_out,
        path_points=[],
        trace=solution.trace,
        grid=[{"learning_rate": rate, "reg": reg} for rate, reg in heads],
    )
