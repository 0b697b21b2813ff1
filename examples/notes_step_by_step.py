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
# # The notes, step by step
#
# From scanned digits to a trained classifier with the functions of the notes: preprocessing, both losses with loops and
# without, the gradient check, training, search. At the end the exact optimum shows how far plain descent has come.

# %%
import torch

from straightedge import SoftmaxClassifier, SVMClassifier, course, load_dataset
from straightedge.gradcheck import check_gradient

torch.manual_seed(0)
digits = load_dataset("digits", progress=False)
images = torch.from_numpy(digits.train.X.copy()).double() / 16  # pixels from 0 to 1
labels = torch.from_numpy(digits.train.y)

# %% [markdown]
# ## ① Normalize, reshape, add bias

# %%
X_train, X_val = course.preprocess(images[:1100], images[1100:])
y_train, y_val = labels[:1100], labels[1100:]
X_train.shape, X_val.shape

# %% [markdown]
# ## ② to ⑦ The losses, with loops and without
#
# The two must agree, and both must agree with central differences.

# %%
W = 0.01 * torch.randn(X_train.shape[1], 10, dtype=torch.float64)
for name in ("svm", "softmax"):
    naive, naive_dW = getattr(course, f"{name}_loss_naive")(W, X_train[:200], y_train[:200], 0.1)
    fast, fast_dW = getattr(course, f"{name}_loss_vectorized")(W, X_train[:200], y_train[:200], 0.1)
    assert abs(naive - fast) < 1e-9
    assert torch.allclose(naive_dW, fast_dW)
    report = check_gradient(
        getattr(course, f"{name}_loss_vectorized"), W, X_train[:200], y_train[:200], reg=0.1
    )
    assert report.ok
    print(f"{name:8} loss {float(fast):.6f}   largest error of the gradient {report.max_relative_error:.1e}")

# %% [markdown]
# ## Training with minibatches

# %%
classifier = course.Softmax()
losses = classifier.train(
    X_train, y_train, learning_rate=0.3, reg=1e-3, num_iters=400, batch_size=200, verbose=False
)
accuracy = float((classifier.predict(X_val) == y_val).double().mean())
print(
    f"loss {float(losses[0]):.3f} at the start, {float(losses[-1]):.3f} at the end; validation accuracy {accuracy:.3f}"
)
assert accuracy > 0.85

# %% [markdown]
# ## Search
#
# Every pair of learning rate and reg; the best on validation samples is kept. The test samples are not touched.

# %%
data = {"X_train": X_train, "y_train": y_train, "X_val": X_val, "y_val": y_val}
for rate in (0.03, 0.3):
    for reg in (1e-3, 1e-2):
        _, on_train, on_val = course.test_one_param_set(course.LinearSVM(), data, rate, reg, num_iters=200)
        print(f"learning rate {rate:<5g} reg {reg:<6g} train {on_train:.3f}  validation {on_val:.3f}")

# %% [markdown]
# ## The exact optimum
#
# The objective has one minimum. A solver with a proof goes there; the gap says that nobody can do better by more than
# this share.

# %%
flat = X_train[:, :-1].numpy()  # the estimators append the constant themselves
for kind in (SoftmaxClassifier, SVMClassifier):
    best = kind(reg=1e-2, tol=1e-3).fit(flat, y_train.numpy())
    print(
        f"{kind.__name__:18} objective {best.objective_:.6f}   proven relative gap {best.gap_:.1e}   {best.status_}"
    )
    assert best.gap_ <= 1e-3
