"""What the ranks of the tests do: each function is run by every rank and returns JSON values."""

import copy
import json
import math
import os
import pickle
import sys
import time
import traceback
from pathlib import Path

import numpy as np
import torch

from straightedge.distributed import current, guarded_sum, row_range, same_everywhere, together
from straightedge.errors import InputError, StraightedgeError
from straightedge.fitting import FitSettings, build_objective, solve
from straightedge.moments import fit_affine
from straightedge.rows import Rows
from straightedge.solvers.base import Limits, minimize
from straightedge.solvers.hinge.blocks.solver import HingeALM
from straightedge.solvers.lbfgs import WhitenedLBFGS
from straightedge.solvers.sgd import MinibatchSGD
from straightedge.workers import STOP_REQUESTED
from straightedge.workflow.stages import Stages

N, D, C = 360, 9, 4


def problem(order="mixed"):
    rng = np.random.default_rng(7)
    X = rng.normal(size=(N, D)) * np.geomspace(0.1, 10, D) + 3
    true = rng.normal(size=(D, C)) / np.geomspace(0.1, 10, D)[:, None]
    y = (X @ true + rng.normal(size=(N, C))).argmax(axis=1)
    if order == "by class":  # contiguous parts then miss classes
        place = np.argsort(y, kind="stable")
        X, y = X[place], y[place]
    return X, y


def part(layout, communicator):
    """Return this rank's [start, stop): even; or nearly all on rank 0 and three rows on the last."""
    rank, size = communicator.rank, communicator.size
    if layout != "uneven" or size == 1:
        return row_range(N, rank, size)
    edges = [0, *np.linspace(N - 3, N * 3 // 4, size - 1).astype(int).tolist()[::-1], N]
    return edges[rank], edges[rank + 1]


def fit(communicator, layout, loss, reg):
    X, y = problem("by class" if layout == "by class" else "mixed")
    start, stop = part(layout, communicator)
    rows = Rows(X[start:stop])
    affine = fit_affine(rows, "standardize", None, communicator)
    settings = FitSettings(loss=loss, tol=1e-12)
    objective = build_objective(
        rows, torch.from_numpy(y[start:stop]), C, reg, settings, affine=affine, communicator=communicator
    )
    classes = sorted(set(y[start:stop].tolist()))
    if loss == "softmax":
        return solve(objective, settings), classes
    return minimize(objective, HingeALM(), Limits(settings.tol)), classes


LAYOUTS = ("even", "uneven", "by class")
PROBLEMS = {
    "softmax": ("softmax", [1e-2]),
    "svm": ("svm", [1e-1]),
    "path": ("softmax", [1.0, 1e-1, 1e-2, 1e-3]),
    "svm path": ("svm", [1.0, 3e-1, 1e-1]),
}


def fits(communicator):
    out = {}
    for layout in LAYOUTS:
        for name, (loss, reg) in PROBLEMS.items():
            solution, classes = fit(communicator, layout, loss, reg)
            out[f"{layout}/{name}"] = {
                "objective": solution.objective.tolist(),
                "gap": solution.gap.tolist(),
                "status": [status.value for status in solution.status],
                "W": solution.W.flatten().tolist(),
                "bits": solution.W.numpy().tobytes().hex()[:4000],
                "n_passes": solution.n_passes.tolist(),
                "classes": classes,
            }
    return out


class Kept:
    """Stands for a run folder: keeps every checkpoint in memory."""

    def __init__(self):
        self.saved = []

    def save_checkpoint(self, tensors, meta):
        self.saved.append(({name: value.clone() for name, value in tensors.items()}, copy.deepcopy(meta)))


RESUMED = {
    "lbfgs": (WhitenedLBFGS, "softmax", [1e-1, 1e-3], 1e-9),
    "hinge_alm": (HingeALM, "svm", [3e-1, 1e-1], 1e-7),
    "sgd": (lambda: MinibatchSGD(0.05, batch_size=40, epochs=6), "softmax", [1e-2], 1e-9),
}


def resumed(communicator):
    """Solves that are taken up from their first, a middle and their last checkpoint; rows lie unevenly."""
    X, y = problem()
    start, stop = part("uneven", communicator)
    out = {}
    for name, (solver, loss, reg, tol) in RESUMED.items():
        rows, own = Rows(X[start:stop]), torch.from_numpy(y[start:stop])
        objective = build_objective(rows, own, C, reg, FitSettings(loss=loss), communicator=communicator)
        kept = Kept() if communicator.rank == 0 else None
        whole = Stages(kept, 0.0, communicator=communicator).minimize(objective, solver(), Limits(tol))
        count = communicator.broadcast_object(None if kept is None else len(kept.saved))
        answers = [whole]
        for place in (0, count // 2, count - 1):
            again = Stages(None, math.inf, communicator=communicator)
            again.resume(None if kept is None else kept.saved[place])
            answers.append(again.minimize(objective, solver(), Limits(tol)))
        out[name] = {
            "checkpoints": count,
            "bits": [answer.W.numpy().tobytes().hex() for answer in answers],
            "n_passes": [answer.n_passes.tolist() for answer in answers],
        }
    return out


def selection(communicator):
    """Folds, default scale of reg, SGD: what a run does beside plain fits."""
    from straightedge.moments import affine_from, moments
    from straightedge.selection import cross_validate
    from straightedge.splits import fold_of_rows
    from straightedge.training import TrainingRows

    X, y = problem()
    start, stop = row_range(N, communicator.rank, communicator.size)
    rows = Rows(X[start:stop])
    facts = moments(rows, communicator)
    affine = affine_from(facts, "standardize")
    settings = FitSettings(tol=1e-10)
    training = TrainingRows(X, y, C, settings, "standardize", communicator=communicator)
    found = cross_validate(training, [1e-1, 1e-2], fold_of_rows(y, 3))
    objective = build_objective(
        rows, torch.from_numpy(y[start:stop]), C, [1e-2], settings, affine=affine, communicator=communicator
    )
    sgd = minimize(objective, MinibatchSGD(0.05, batch_size=40, epochs=6), Limits())
    return {
        "scale": facts.mean_square_norm(affine),
        "scores": found.scores.flatten().tolist(),
        "status": [status.value for fit in found.fits for status in fit.status],
        "sgd": [float(sgd.objective[0]), sgd.W.numpy().tobytes().hex()],
    }


def primitives(communicator):
    """Sums, gathers and broadcasts, with pickle forbidden."""
    pickle.loads = pickle.dumps = pickle.Pickler = pickle.Unpickler = None
    rank = communicator.rank
    third = torch.full((1000,), 1 / 3) * 10.0 ** torch.arange(-3, 7).repeat(100) * (rank + 1)
    return {
        "sum": communicator.all_reduce(third.to(torch.float64)).numpy().tobytes().hex(),
        "input": float(third[0]),
        "max": communicator.all_reduce_max(torch.tensor([rank, -rank])).tolist(),
        "rows": communicator.gather_rows(torch.full((rank + 1, 2), rank)).tolist(),
        "none": list(communicator.gather_rows(torch.zeros((0, 3))).shape),
        "object": communicator.broadcast_object({"from": rank, "nan": None, "text": "é"}, communicator.size - 1),
        "tensors": {
            name: [str(value.dtype), list(value.shape), value.double().sum().item()]
            for name, value in communicator.broadcast_tensors(
                {"a": torch.arange(5), "b": torch.ones(2, 0), "c": torch.tensor(True)} if rank == 0 else None
            ).items()
        },
        "calls": communicator.traffic.calls,
    }


def agreement(communicator):
    """Errors, Ctrl-C, differing data and differing W: the same end on every rank."""
    rank, last = communicator.rank, communicator.size - 1

    def ended(work):
        began = time.perf_counter()
        try:
            work()
        except (StraightedgeError, KeyboardInterrupt, ValueError) as error:
            code = getattr(error, "code", type(error).__name__)
            return [code, str(error), time.perf_counter() - began]
        return ["nothing", "", 0.0]

    def bad_row():
        X, _ = problem()
        X[N - 2, 4] = np.nan
        start, stop = row_range(N, rank, communicator.size)
        fit_affine(Rows(X[start:stop], first_row=start), "standardize", None, communicator)

    def refused():
        if rank == last:
            raise InputError("npz-keys", "no such key", "file.npz", "give X and y")

    def mistake():
        if rank == last:
            raise ValueError("of the program")

    def ctrl_c():
        if rank == last:
            raise KeyboardInterrupt

    like = torch.zeros(3, dtype=torch.float64)
    differs = torch.zeros(10)
    differs[3] = 1e-30 * rank
    out = {
        "bad row": ended(bad_row),
        "refused": ended(lambda: together(communicator, refused)),
        "mistake": ended(lambda: together(communicator, mistake)),
        "ctrl-c": ended(lambda: together(communicator, ctrl_c)),
        "sum": ended(lambda: guarded_sum(communicator, lambda: (refused(), like)[1], like)),
        "facts": ended(lambda: same_everywhere(communicator, {"data": "abc" if rank < last else "abd", "n": 3})),
        "same": ended(lambda: same_everywhere(communicator, {"data": "abc", "n": 3})),
        "diverged": ended(lambda: guarded_sum(communicator, lambda: like, like, witness=differs)),
    }
    X, y = problem()
    start, stop = row_range(N, rank, communicator.size)
    own = Rows(X[start:stop]), torch.from_numpy(y[start:stop])
    for name, seconds in (("late", 1e-9 if rank == last else 1e9), ("stop", 1e9)):
        if name == "stop" and rank == last:
            STOP_REQUESTED.set()
        settings = FitSettings(tol=1e-13, max_seconds=seconds)
        objective = build_objective(*own, C, [1e-3], settings, communicator=communicator)
        out[name] = [solve(objective, settings).status[0].value]
    return out


def dies(communicator):
    """The last rank is gone in the middle; the others notice."""
    if communicator.rank == communicator.size - 1:
        os.kill(os.getpid(), 9)
    return _sum_until_error(communicator)


def fails(communicator):
    """The last rank ends with an error of its own, outside of any agreement."""
    if communicator.rank == communicator.size - 1:
        communicator.fail(InputError("its-code", "its words"))
        return {}
    return _sum_until_error(communicator)


def sleeps(communicator):
    """The last rank answers no more."""
    if communicator.rank == communicator.size - 1:
        time.sleep(10)
        return {}
    return _sum_until_error(communicator)


def _sum_until_error(communicator):
    began = time.perf_counter()
    try:
        while True:
            communicator.all_reduce(torch.ones(4, dtype=torch.float64))
    except StraightedgeError as error:
        seconds = time.perf_counter() - began
        communicator.fail(error)
        return {"code": error.code, "what": error.what, "seconds": seconds}


def work(name, folder, rank):
    """Be one rank: everything it prints goes to a file of its own."""
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank)}
    sys.stderr.flush()
    os.dup2(os.open(Path(folder) / f"{rank}.err", os.O_WRONLY | os.O_CREAT), 2)
    try:
        result = globals()[name](current())
        (Path(folder) / f"{rank}.json").write_text(json.dumps(result))
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def main():
    """Fork the ranks that this process is to start, after the imports that they share."""
    name, folder, *ranks = sys.argv[1:]
    children = {}
    for rank in map(int, ranks):
        child = os.fork()
        if child == 0:
            work(name, folder, rank)
        children[child] = rank
    for child, rank in children.items():
        _, status = os.waitpid(child, 0)
        (Path(folder) / f"{rank}.status").write_text(str(os.waitstatus_to_exitcode(status)))


if __name__ == "__main__":
    main()
