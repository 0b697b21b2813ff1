"""The notes in code: preprocessing, both losses with and without loops, training, search, saving.

Names and signatures are those of the linear-classifier assignments of EECS 498-007 and CS231n, so a notebook
can import them in place of its own. Every loss is a function ``(W, X, y, reg) -> (loss, dW)`` of the
objective of the notes, P(W) = mean loss + reg · ΣW², with the bias row inside W. Everything works in float32
and float64, on the CPU and on CUDA, changes no argument, and needs no gradient tape. Arrays of NumPy
give arrays of NumPy, as CS231n has it; tensors give tensors.

In the order of the notes: `preprocess` (item ①), the gradient check of item ② in `straightedge.gradcheck`,
`svm_loss_naive` (items ③ to ⑦), `svm_loss_vectorized` (the second item ④), `softmax_loss_naive` and
`softmax_loss_vectorized` (the part "Softmax"). docs/notes.md is the map, with the derivations.
"""

from straightedge.course.classifiers import LinearClassifier, LinearSVM, Softmax
from straightedge.course.features import color_histogram_hsv, extract_features, hog_feature
from straightedge.course.images import preprocess, template_images
from straightedge.course.search import softmax_get_search_params, svm_get_search_params, test_one_param_set
from straightedge.course.softmax import softmax_loss_naive, softmax_loss_vectorized
from straightedge.course.sparse_check import grad_check_sparse
from straightedge.course.svm import svm_loss_naive, svm_loss_vectorized
from straightedge.course.training import predict_linear_classifier, sample_batch, train_linear_classifier

__all__ = [
    "LinearClassifier",
    "LinearSVM",
    "Softmax",
    "color_histogram_hsv",
    "extract_features",
    "grad_check_sparse",
    "hog_feature",
    "predict_linear_classifier",
    "preprocess",
    "sample_batch",
    "softmax_get_search_params",
    "softmax_loss_naive",
    "softmax_loss_vectorized",
    "svm_get_search_params",
    "svm_loss_naive",
    "svm_loss_vectorized",
    "template_images",
    "test_one_param_set",
    "train_linear_classifier",
]
