"""The search of the course: a grid of learning rates and regularisation strengths, judged on validation."""

from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np

from straightedge.course.classifiers import LinearClassifier

Classifier = TypeVar("Classifier", bound=LinearClassifier)


def svm_get_search_params() -> tuple[list[float], list[float]]:
    """Return learning rates and values of reg worth trying for the SVM loss (items ③ to ⑦ of the notes).

    They are for pixels from 0 to 1 that went through `preprocess`, batches of 200 and 2,000 steps: on 40,000
    images of CIFAR-10 the best pair has 0.398 of 10,000 validation images right, the worst 0.397.

    Returns:
        Learning rates and regularisation strengths; every pair is one candidate.
    """
    return [3e-3, 5e-3, 1e-2], [1e-4, 1e-3, 1e-2]


def softmax_get_search_params() -> tuple[list[float], list[float]]:
    """Return learning rates and values of reg worth trying for the softmax loss (the part "Softmax").

    They are for pixels from 0 to 1 that went through `preprocess`, batches of 200 and 2,000 steps: on 40,000
    images of CIFAR-10 the best pair has 0.417 of 10,000 validation images right, the worst 0.402.

    Returns:
        Learning rates and regularisation strengths; every pair is one candidate.
    """
    return [1e-2, 3e-2, 1e-1], [1e-4, 1e-3, 1e-2]


def test_one_param_set(
    cls: Classifier, data_dict: Mapping[str, Any], lr: float, reg: float, num_iters: int = 2000
) -> tuple[Classifier, float, float]:
    """Train one candidate and judge it on both sets, as the notes' loss and gradient are used in a search.

    Args:
        cls: A new `LinearSVM` or `Softmax`; it is trained and returned.
        data_dict: ``X_train``, ``y_train``, ``X_val``, ``y_val``, torch or NumPy; rows as
            `preprocess` gives them (item ①).
        lr: Learning rate.
        reg: Weight of the penalty reg · ΣW².
        num_iters: Number of steps.

    Returns:
        The trained classifier, and the fractions of training and validation samples it has right.
    """
    cls.train(data_dict["X_train"], data_dict["y_train"], learning_rate=lr, reg=reg, num_iters=num_iters)
    train_accuracy = _accuracy(cls, data_dict["X_train"], data_dict["y_train"])
    return cls, train_accuracy, _accuracy(cls, data_dict["X_val"], data_dict["y_val"])


test_one_param_set.__test__ = False  # type: ignore[attr-defined]  # the course's name; pytest must not collect it


def _accuracy(classifier: LinearClassifier, X: Any, y: Any) -> float:
    return float(np.mean(np.asarray(classifier.predict(X).tolist()) == np.asarray(y.tolist())))
