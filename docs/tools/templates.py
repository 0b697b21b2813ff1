"""The templates of CIFAR-10's softmax optimum: ``python docs/tools/templates.py ZIP PICTURE.png``."""

from __future__ import annotations

import sys

import numpy as np
from PIL import Image

from straightedge import SoftmaxClassifier, course, load_dataset

REG = 2.35e-3
"""The value that `straightedge fit cifar10-images.zip --path` chooses."""
GAP = 2
"""Pixels between two templates."""


def sheet(templates: np.ndarray) -> Image.Image:
    """Return (10, height, width, 3) images in two rows of five, with nothing between them."""
    _, height, width, _ = templates.shape
    picture = Image.new("RGBA", (5 * width + 4 * GAP, 2 * height + GAP))
    for place, image in enumerate(templates):
        row, column = divmod(place, 5)
        picture.paste(Image.fromarray(image), (column * (width + GAP), row * (height + GAP)))
    return picture


def main() -> None:
    """Fit, and write the templates, a pixel of the picture for one of the images."""
    source, target = sys.argv[1:3]
    train = load_dataset(source).train
    fitted = SoftmaxClassifier(reg=REG, tol=1e-3, preprocess="pixels").fit(train.X, train.y)
    templates = course.template_images(fitted.coef_.reshape(10, -1).T, (3, 32, 32))
    sheet(templates).save(target, optimize=True)


if __name__ == "__main__":
    main()
