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
# # CS231n's linear classifiers, with `straightedge.course`
#
# The cells of the assignments `svm.ipynb`, `softmax.ipynb` and `features.ipynb`, in NumPy, with the functions imported
# instead of written. Solve the assignment first; then put your own file in the place of the import and compare.
#
# The images are the digits that come with the package, drawn at 32 × 32 in three colours, so that the shapes are those
# of CIFAR-10. With the real images, `load_dataset("cifar10")` gives the same arrays.

# %%
import numpy as np

from straightedge import course, load_dataset

digits = load_dataset("digits", progress=False)
small = np.repeat(np.repeat(digits.train.X[:, 0], 4, axis=1), 4, axis=2)  # (N, 32, 32)
images = np.stack([small * 15] * 3, axis=-1).astype(np.float64)  # (N, 32, 32, 3), 0 to 255
labels = digits.train.y
order = np.random.default_rng(0).permutation(len(labels))
train, val, dev = order[:1000], order[1000:1300], order[:200]
print(images.shape, labels.shape)

# %% [markdown]
# ## Preprocessing: rows, the mean image, the bias

# %%
rows = images.reshape(len(images), -1)
X_train, X_val, X_dev = course.preprocess(rows[train], rows[val], rows[dev], mean="pixel")
y_train, y_val, y_dev = labels[train], labels[val], labels[dev]
print(X_train.shape, X_val.shape, X_dev.shape)

# %% [markdown]
# ## The SVM: loops, differences, no loops

# %%
W = np.random.default_rng(1).normal(size=(3073, 10)) * 0.0001
loss, grad = course.svm_loss_naive(W, X_dev, y_dev, 0.000005)
print(f"loss: {loss:f}")


def f(w):
    return course.svm_loss_naive(w, X_dev[:20], y_dev[:20], 5e1)[0]


_, grad = course.svm_loss_naive(W, X_dev[:20], y_dev[:20], 5e1)
errors = course.grad_check_sparse(f, W, grad, num_checks=5, seed=0)

# %%
loss_naive, grad_naive = course.svm_loss_naive(W, X_dev, y_dev, 0.000005)
loss_fast, grad_fast = course.svm_loss_vectorized(W, X_dev, y_dev, 0.000005)
print(f"difference of the losses {abs(loss_naive - loss_fast):.1e}")
print(f"difference of the gradients {np.linalg.norm(grad_naive - grad_fast):.1e}")

# %% [markdown]
# ## Training and search

# %%
results = {}
for learning_rate in (1e-8, 1e-7):
    for reg in (1e2, 1e4):
        svm = course.LinearSVM()
        svm.train(X_train, y_train, learning_rate=learning_rate, reg=reg, num_iters=300)
        right = [np.mean(svm.predict(X) == y) for X, y in ((X_train, y_train), (X_val, y_val))]
        results[learning_rate, reg] = (*right, svm)
        print(
            f"learning rate {learning_rate:.0e}, reg {reg:.0e}: train {right[0]:.3f}, validation {right[1]:.3f}"
        )
best_svm = max(results.values(), key=lambda result: result[1])[2]

# %% [markdown]
# ## Softmax, saved and loaded

# %%
softmax = course.Softmax()
history = softmax.train(X_train, y_train, learning_rate=1e-7, reg=1e2, num_iters=500)
print(f"loss from {history[0]:.3f} to {history[-1]:.3f}")
softmax.save("softmax.npy")
print("loaded:", course.Softmax().load("softmax.npy"), "| not there:", course.Softmax().load("none.npy"))

# %% [markdown]
# ## What the weights look like

# %%
templates = course.template_images(best_svm.W)
print(templates.shape, templates.dtype)  # imshow(templates[k]) draws the k-th

# %% [markdown]
# ## Features: gradients and hues

# %%
features = course.extract_features(images[order[:600]], [course.hog_feature, course.color_histogram_hsv])
features = (features - features[:400].mean(axis=0)) / (features[:400].std(axis=0) + 1e-12)
X_feats = np.hstack([features, np.ones((len(features), 1))])
classifier = course.Softmax()
classifier.train(X_feats[:400], labels[order[:400]], learning_rate=0.3, reg=1e-3, num_iters=500)
accuracy = np.mean(classifier.predict(X_feats[400:]) == labels[order[400:600]])
print(f"accuracy on features: {accuracy:.3f}")

# %% [markdown]
# ## And the exact optimum
#
# Gradient descent ends where its steps end. The solver proves where the best W is.

# %%
from straightedge import SVMClassifier

pixels = digits.train.X[:, 0].reshape(len(labels), -1)  # the digits themselves, 64 numbers each
exact = SVMClassifier(reg=1e-2, preprocess="standardize").fit(pixels[train], y_train)
print(f"objective {exact.objective_:.6f}, no W is below {exact.dual_:.6f} ({exact.status_})")
print(f"accuracy on validation: {exact.score(pixels[val], y_val):.3f}")
