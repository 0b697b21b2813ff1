"""A run folder for the tests of the page, from a real fit: plain L-BFGS on real scans, a few values of reg."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from straightedge.data.base import Split
from straightedge.report import collect_assets, save_assets, templates_png
from straightedge.runs.tables import TRACE_COLUMNS, write_path, write_table

REGS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)


def page_data_of(html: str) -> dict[str, Any]:
    """The data block of a page: what its scripts are given."""
    block = html.partition('<script type="application/json" id="page-data">')[2].partition("</script>")[0]
    return dict(json.loads(block))


@dataclass
class Data:
    """Images (N, channels, height, width) uint8 with labels, in three splits."""

    name: str
    classes: tuple[str, ...]
    train: Split
    validation: Split
    test: Split


def digits_data(classes: tuple[str, ...] = tuple("0123456789")) -> Data:
    """The scans that come with scikit-learn, 8 × 8, with names as files have them."""
    from sklearn.datasets import load_digits

    scans, labels = load_digits(return_X_y=True)
    X = np.rint(scans * 255 / 16).astype(np.uint8).reshape(-1, 1, 8, 8)
    order = np.random.default_rng(0).permutation(len(X))
    names = [f"{labels[row]}/scan_{row:04d}.png" for row in order]
    parts = [slice(0, 1000), slice(1000, 1300), slice(1300, 1797)]
    splits = [Split(X[order[part]], labels[order[part]].astype(np.int64), names[part]) for part in parts]
    return Data("digits", classes, *splits)


def design(X: np.ndarray, mean: float) -> torch.Tensor:
    """Rows centred by one mean and scaled to about ±0.5, a constant 1 appended."""
    rows = (torch.from_numpy(X.reshape(len(X), -1).astype(np.float32)).double() - mean) / 255
    return torch.cat([rows, torch.ones(len(X), 1, dtype=torch.float64)], 1)


def objective(W: torch.Tensor, X: torch.Tensor, y: torch.Tensor, reg: float) -> tuple[float, torch.Tensor]:
    """Softmax objective of the notes and its gradient."""
    S = X @ W
    loss = torch.nn.functional.cross_entropy(S, y) + reg * (W * W).sum()
    A = torch.softmax(S, 1)
    A[torch.arange(len(y)), y] -= 1
    return float(loss), X.T @ A / len(y) + 2 * reg * W


def fit(X: torch.Tensor, y: torch.Tensor, n_classes: int, reg: float, steps: int) -> tuple[torch.Tensor, list]:
    """L-BFGS; returns W and trace rows. The dual value follows from gap = ‖∇P‖² / (4 reg)."""
    W = torch.zeros(X.shape[1], n_classes, dtype=torch.float64)
    best: dict[str, Any] = {"P": np.inf, "D": -np.inf, "W": W.clone()}
    rows: list[dict[str, Any]] = []

    def closure() -> float:
        value, W.grad = objective(W, X, y, reg)
        best["D"] = max(best["D"], value - float((W.grad**2).sum()) / (4 * reg))
        if value < best["P"]:
            best["P"], best["W"] = value, W.clone()
        gap = (best["P"] - best["D"]) / best["P"]
        n = len(rows) + 1
        row = {"iteration": n, "n_passes": n, "seconds": 0.01 * n, "reg": reg, "solver": "lbfgs"}
        rows.append(row | {"objective": best["P"], "dual": best["D"], "gap": gap})
        return value

    options = {"max_iter": steps, "max_eval": 2 * steps, "history_size": 20, "tolerance_grad": 1e-6}
    torch.optim.LBFGS([W.requires_grad_(False)], line_search_fn="strong_wolfe", **options).step(closure)
    return best["W"], rows


def measure(W: torch.Tensor, split: Split, mean: float, classes: tuple[str, ...]) -> tuple[dict[str, Any], Any]:
    """Everything `metrics.json` says of a split."""
    P = torch.softmax(design(split.X, mean) @ W, 1).numpy()
    predicted, y = P.argmax(1), split.y
    right, chance = predicted == y, P.max(1)
    n_classes = len(classes)
    confusion = np.zeros((n_classes, n_classes), int)
    np.add.at(confusion, (y, predicted), 1)
    draws = np.random.default_rng(1).integers(len(y), size=(200, len(y)))
    recall = confusion.diagonal() / np.maximum(1, confusion.sum(1))
    precision = confusion.diagonal() / np.maximum(1, confusion.sum(0))
    own = -np.log(np.maximum(1e-12, P[np.arange(len(y)), y]))
    top = (np.argsort(-P, 1)[:, :3] == y[:, None]).any(1)
    bins, ece = reliability(chance, right)
    balanced = [
        np.mean([right[d][y[d] == c].mean() for c in range(n_classes) if (y[d] == c).any()]) for d in draws[:50]
    ]
    metrics = {
        "n": len(y),
        "accuracy": right.mean(),
        "interval": quantiles(right[draws].mean(1)),
        "balanced_accuracy": {"value": recall.mean(), "interval": quantiles(balanced)},
        "top_k": {"k": 3, "value": top.mean(), "interval": quantiles(top[draws].mean(1))},
        "log_loss": {"value": own.mean(), "interval": quantiles(own[draws].mean(1))},
        "ece": {"value": ece, "interval": [max(0.0, ece - 0.01), ece + 0.01]},
        "per_class": [
            {"class": name, "n": int((y == c).sum()), "precision": precision[c], "recall": recall[c],
             "f1": 2 * precision[c] * recall[c] / max(1e-9, precision[c] + recall[c])}
            for c, name in enumerate(classes)
        ],
        "confusion": confusion.tolist(),
        "reliability": bins,
        "temperature": 1.08,
    }  # fmt: skip
    return metrics, (predicted, chance)


def quantiles(values: Any) -> list[float]:
    """A 95 % bootstrap interval."""
    return [float(end) for end in np.quantile(values, [0.025, 0.975])]


def reliability(chance: np.ndarray, right: np.ndarray) -> tuple[list[dict[str, Any]], float]:
    """Ten bins of equal width, and the expected calibration error."""
    rows, error = [], 0.0
    for low in np.arange(10) / 10:
        inside = (chance >= low) & (chance < low + 0.1 + (low == 0.9))
        n = int(inside.sum())
        row: dict[str, Any] = {"low": low, "high": low + 0.1, "n": n, "confidence": None, "accuracy": None}
        if n:
            row |= {"confidence": chance[inside].mean(), "accuracy": right[inside].mean()}
            error += n / len(right) * abs(row["confidence"] - row["accuracy"])
        rows.append(row)
    return rows, error


def write_run(folder: Path, data: Data, *, regs: tuple[float, ...] = REGS, steps: int = 60) -> Path:
    """Fit a path and write the run folder that a report is made from."""
    from straightedge.atomic import write_json

    folder.mkdir(parents=True, exist_ok=True)
    mean, classes = float(data.train.X.mean()), data.classes
    X, y = design(data.train.X, mean), torch.from_numpy(data.train.y)
    tol, path, weights, trace = 1e-3, [], [], []
    for reg in regs:
        W, rows = fit(X, y, len(classes), reg, steps)
        judged, _ = measure(W, data.validation, mean, classes)
        last = rows[-1]
        keep = ("accuracy", "interval", "balanced_accuracy", "log_loss")
        path.append(
            {"reg": reg, "objective": last["objective"], "dual": last["dual"], "gap": last["gap"],
             "status": "certified" if last["gap"] <= tol else "not_certified", "n_passes": len(rows),
             "seconds": last["seconds"], "validation": {name: judged[name] for name in keep}, "chosen": False}
        )  # fmt: skip
        weights.append(W)
        trace += rows
    chosen = int(np.argmax([entry["validation"]["accuracy"] for entry in path]))
    path[chosen]["chosen"] = True
    final = path[chosen]
    splits = {name: measure(weights[chosen], getattr(data, name), mean, classes)
              for name in ("train", "validation", "test")}  # fmt: skip
    predicted, chance = splits["test"][1]
    shape = data.train.X.shape[1:]
    names, y_test = data.test.names or [""] * data.test.n, data.test.y
    hardest = [
        {"name": names[row], "index": int(row), "label": classes[y_test[row]],
         "predicted": classes[predicted[row]], "probability": float(chance[row])}
        for row in np.argsort(-chance * (predicted != y_test))[:40]
        if predicted[row] != y_test[row]
    ]  # fmt: skip
    suspects = suspect_rows(weights[-1], data, mean)
    metrics = {
        "loss": "softmax", **{name: final[name] for name in ("reg", "objective", "dual", "gap", "status")},
        "message": "the relative gap is below the tolerance" if final["gap"] <= tol else "passes used up",
        "n_passes": final["n_passes"], "seconds": final["seconds"], "n_classes": len(classes),
        "classes": classes, **{name: judged for name, (judged, _) in splits.items()}, "path": path,
        "selection": {"metric": "accuracy", "rule": "best", "splits": f"{data.validation.n} held-out samples",
                      "chosen_reg": final["reg"]},
        "suspects": suspects, "hardest": hardest, "notes": ["3 hidden files were left out"],
    }  # fmt: skip
    config = {
        "command": ["straightedge", "fit", data.name, "--path", "--out", "my run"], "source": data.name,
        "loss": "softmax", "reg": None, "path": list(regs), "solver": "lbfgs", "bias": "penalized",
        "preprocess": "one mean a channel", "seed": 0, "device": "cpu", "tol": tol,
        "versions": {"straightedge": "0.1.0", "torch": torch.__version__, "numpy": np.__version__},
        "created": "2026-01-31T12:00:00Z",
        "dataset": {"name": data.name, "fingerprint": "ab" * 32, "classes": classes, "image_shape": shape,
                    "n_train": data.train.n, "n_validation": data.validation.n, "n_test": data.test.n},
    }  # fmt: skip
    write_json(folder / "metrics.json", metrics)
    write_json(folder / "config.json", config)
    write_table(folder / "trace.csv", TRACE_COLUMNS, trace)
    raw = [torch.cat([W[:-1] / 255, W[-1:]]) for W in weights]
    write_path(folder / "path.safetensors", [(reg, W[:-1], W[-1]) for reg, W in zip(regs, raw, strict=True)])
    assets = collect_assets(
        data.test, predicted, chance, train=data.train, suspects=suspects, hardest=hardest, classes=classes
    )
    save_assets(folder / "assets.npz", assets)
    (folder / "templates.png").write_bytes(templates_png(raw[chosen][:-1].numpy(), classes, shape))
    return folder


def suspect_rows(W: torch.Tensor, data: Data, mean: float) -> list[dict[str, Any]]:
    """Training rows whose own label is least likely: not out of fold, but in the shape of the real list."""
    P = torch.softmax(design(data.train.X, mean) @ W, 1).numpy()
    names, y = data.train.names or [""] * data.train.n, data.train.y
    doubt = 1 - P[np.arange(len(y)), y]
    return [
        {"name": names[row], "index": int(row), "label": data.classes[y[row]],
         "suggested": data.classes[int(P[row].argmax())], "score": float(doubt[row])}
        for row in np.argsort(-doubt)[:30]
    ]  # fmt: skip


def digits_run(base: Path) -> Path:
    """The run most tests copy, fitted once a session.

    Args:
        base: The session's temporary folder.
    """
    folder = base / "report-digits"
    return folder if folder.exists() else write_run(folder, digits_data(), regs=(1e-4, 1e-2, 1.0), steps=20)


def edit(folder: Path, name: str, **changes: Any) -> None:
    """Change keys of one of the run's JSON files."""
    path = folder / name
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
