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
# # An image folder
#
# A folder with one sub-folder a class becomes a proven classifier, judged with intervals. The folder is made here from
# scanned digits; put the path of your own in its place.

# %%
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from straightedge import SoftmaxClassifier, fit_path, load_dataset
from straightedge.evaluation import evaluate

digits = load_dataset("digits", progress=False)
folder = Path(tempfile.mkdtemp()) / "photos"
for part, split in (("train", digits.train), ("test", digits.test.open("making the example's folder"))):
    for i in range(min(400, split.n)):
        place = folder / part / digits.classes[int(split.y[i])]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray((split.X[i, 0] * 15).astype(np.uint8)).save(place / f"{i:04}.png")
sorted(path.name for path in (folder / "train").iterdir())

# %% [markdown]
# ## Read it
#
# Images of other sizes would need `size=`. What was converted or left out is listed in `notes`.

# %%
photos = load_dataset(folder, progress=False)
print(photos.classes, photos.image_shape, photos.train.n, "images to train on")
for note in photos.notes:
    print("note:", note)

# %% [markdown]
# ## Choose reg on held-out images
#
# Every strength at once, each with its proof.

# %%
y = photos.train.y
held_out = np.arange(len(y)) % 4 == 0
rows = photos.train.X.reshape(len(y), -1).astype(np.float32) / 255
path = fit_path(rows[~held_out], y[~held_out], [1e-1, 1e-2, 1e-3], preprocess="center")
scores = np.einsum("nd,kcd->knc", rows[held_out], path.coef) + path.intercept[:, None, :]
accuracy = (scores.argmax(2) == y[held_out]).mean(1)
for reg, share, gap in zip(path.reg, accuracy, path.solution.gap.tolist(), strict=True):
    print(f"reg {reg:<7g} held-out accuracy {share:.3f}   proven gap {gap:.1e}")

# %% [markdown]
# ## Fit, then open the test images once

# %%
chosen = path.reg[int(accuracy.argmax())]
clf = SoftmaxClassifier(reg=chosen, preprocess="center").fit(rows, y)
test = photos.test.open("the final model")
scores = clf.decision_function(test.X.reshape(test.n, -1).astype(np.float32) / 255)
judged = evaluate(scores, test.y, photos.classes)
low, high = judged["interval"]
print(
    f"reg {chosen:g}: test accuracy {judged['accuracy']:.3f}, 95 % interval {low:.3f} to {high:.3f}, n = {judged['n']}"
)
assert judged["accuracy"] > 0.8

# %% [markdown]
# On the command line the same is `straightedge fit photos --path --out run`; the run folder has the page `report.html`.
