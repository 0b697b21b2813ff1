# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Probing frozen features
#
# How much does a representation know? A linear probe, solved to the optimum over a range of regularisation, answers; the
# optimiser has no part in the answer. Compared are raw pixels and features that a small random network makes of them.

# %%
import numpy as np
import torch

from straightedge import SoftmaxClassifier, fit_path, load_dataset
from straightedge.protocols import translate

digits = load_dataset("digits", progress=False)
pixels = digits.train.X.reshape(digits.train.n, -1).astype(np.float32) / 16
y = digits.train.y

# %% [markdown]
# Any frozen network will do in the place of this one.

# %%
torch.manual_seed(0)
network = torch.nn.Sequential(torch.nn.Linear(64, 256), torch.nn.ReLU()).eval()
with torch.no_grad():
    features = network(torch.from_numpy(pixels)).numpy().astype(np.float16)  # float16 is used as it lies
features.shape

# %% [markdown]
# ## Every reg at once, chosen on held-out samples

# %%
held_out = np.arange(len(y)) % 5 == 0
regs = [1e-1, 1e-2, 1e-3]


def probe(X: np.ndarray) -> tuple[float, float]:
    """Return the best reg and its held-out accuracy."""
    path = fit_path(X[~held_out], y[~held_out], regs, preprocess="center")
    assert (path.solution.gap <= 1e-3).all()
    scores = np.einsum("nd,kcd->knc", X[held_out].astype(np.float32), path.coef) + path.intercept[:, None, :]
    accuracy = (scores.argmax(2) == y[held_out]).mean(1)
    return path.reg[int(accuracy.argmax())], float(accuracy.max())


for name, X in (("pixels", pixels), ("random features", features)):
    reg, accuracy = probe(X)
    print(f"{name:16} best reg {reg:g}   held-out accuracy {accuracy:.3f}")

# %% [markdown]
# ## The same strength in other systems' letters

# %%
answer = translate("reg", 1e-3, n=len(y))
print(answer.reg)
c = translate("C", 1 / (2 * 1e-3 * len(y)), n=len(y))
assert abs(c.reg - 1e-3) < 1e-12

# %% [markdown]
# ## In a scikit-learn pipeline

# %%
from sklearn.model_selection import cross_val_score  # noqa: E402

scores = cross_val_score(SoftmaxClassifier(reg=1e-2, tol=1e-3), pixels[:600], y[:600], cv=3)
print(scores.round(3))
assert scores.min() > 0.8
