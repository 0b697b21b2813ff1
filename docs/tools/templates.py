"""The templates of CIFAR-10's softmax optimum: ``python docs/tools/templates.py ZIP PICTURE.png``."""

from __future__ import annotations

import sys

import numpy as np
from PIL import Image

from straightedge import SoftmaxClassifier, course, load_dataset

REG = 2.35e-3
"""The value that `straightedge fit cifar10-images.zip --path` chooses."""
SCALE = 3
"""Pixels of the picture for one of the image's."""
GAP = 6


def main() -> None:
    """Fit, and lay the ten templates side by side."""
    source, picture = sys.argv[1:3]
    train = load_dataset(source).train
    fitted = SoftmaxClassifier(reg=REG, tol=1e-3, preprocess="pixels").fit(train.X, train.y)
    templates = course.template_images(fitted.coef_.reshape(10, -1).T, (3, 32, 32))
    large = templates.repeat(SCALE, axis=1).repeat(SCALE, axis=2)
    side = large.shape[1]
    sheet = np.full((2 * side + GAP, 5 * side + 4 * GAP, 3), 255, np.uint8)
    for place, image in enumerate(large):
        row, column = divmod(place, 5)
        top, left = row * (side + GAP), column * (side + GAP)
        sheet[top : top + side, left : left + side] = image
    Image.fromarray(sheet).save(picture, optimize=True)


if __name__ == "__main__":
    main()
