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
# # EECS 498-007's linear classifier, with `straightedge.course`
#
# The cells of `linear_classifier.ipynb`, in torch, with the functions imported instead of written. The images are the
# digits that come with the package; with the real ones, `load_dataset("cifar10")` gives the same arrays.

# %%
import torch

from straightedge import course, load_dataset
from straightedge.gradcheck import check_gradient

digits = load_dataset("digits", progress=False)
images = torch.from_numpy(digits.train.X.copy()).to(torch.float64) / 16  # (N, 1, 8, 8), 0 to 1
labels = torch.from_numpy(digits.train.y.copy())
order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
train, val = order[:1000], order[1000:1300]

# %% [markdown]
# ## Preprocessing: the mean of each channel, rows, the bias

# %%
X_train, X_val = course.preprocess(images[train], images[val])
data_dict = {"X_train": X_train, "y_train": labels[train], "X_val": X_val, "y_val": labels[val]}
print(X_train.shape, X_val.shape)

# %% [markdown]
# ## Both losses, with loops and without, and their gradients

# %%
W = 0.0001 * torch.randn(
    X_train.shape[1], 10, dtype=torch.float64, generator=torch.Generator().manual_seed(1)
)
some = X_train[:60], labels[train][:60]
for name in ("svm", "softmax"):
    naive, vectorized = (getattr(course, f"{name}_loss_{form}") for form in ("naive", "vectorized"))
    loss, grad = naive(W, *some, 0.05)
    fast, fast_grad = vectorized(W, *some, 0.05)
    report = check_gradient(vectorized, W, *some, reg=0.05)
    print(f"{name}: loss {loss:.6f}, difference {float((grad - fast_grad).norm()):.1e}")
    print(f"  against central differences: {report.max_relative_error:.1e}")

# %% [markdown]
# ## Training with minibatches

# %%
W, history = course.train_linear_classifier(
    course.svm_loss_vectorized, None, X_train, labels[train], learning_rate=3e-2, reg=1e-3, num_iters=300
)
predicted = course.predict_linear_classifier(W, X_val)
print(f"loss from {history[0]:.3f} to {history[-1]:.3f}")
print(f"accuracy on validation: {(predicted == labels[val]).double().mean():.3f}")

# %% [markdown]
# ## Search

# %%
best, best_accuracy = None, 0.0
for lr in (3e-2, 1e-1, 3e-1):
    for reg in (1e-4, 1e-3):
        softmax, train_accuracy, val_accuracy = course.test_one_param_set(
            course.Softmax(), data_dict, lr, reg, 400
        )
        print(f"lr {lr:.0e} reg {reg:.0e}: train {train_accuracy:.3f}, validation {val_accuracy:.3f}")
        if val_accuracy > best_accuracy:
            best, best_accuracy = softmax, val_accuracy

# %%
best.save("best_softmax.pt")
again = course.Softmax()
again.load("best_softmax.pt")
print("the same after loading:", bool((again.predict(X_val) == best.predict(X_val)).all()))
