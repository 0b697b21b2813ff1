"""The systems `translate` knows, each with the objective it minimises; a new system is one entry here.

K is the number of classes, w_k the weights of one class, bᵢₖ = 1 at the label and −1 elsewhere.
"""

from typing import Any

from straightedge.protocols.translation import System

TWO = "with two classes it keeps one weight vector: reg is twice as large as the formula for K classes says"
ONE_AGAINST_REST = "K separate two-class problems: not our loss unless there are two classes"
FREE = "the intercept is not penalised: compare with bias='free', or append a constant column"


def _half_of_mean(n: int, classes: int) -> float:
    """C · Σℓ + ½ΣW², divided by CN: reg = 1/(2NC)."""
    return 1 / (2 * n)


def _half(n: int, classes: int) -> float:
    """Mean ℓ + (λ/2)ΣW²: reg = λ/2."""
    return 0.5


def _cross_entropy(key: str, title: str, parameter: str, objective: str, caveat: str, **more: Any) -> System:
    """Return a system of the softmax loss that keeps one weight vector for two classes, the intercept free."""
    usual: dict[str, Any] = {"inverse": parameter == "C", "factor": _half_of_mean}
    caveats = (FREE, TWO, caveat)
    return System(key, title, parameter, objective, "softmax", **usual | more, single_vector=True, caveats=caveats)


SYSTEMS: tuple[System, ...] = (
    System(
        key="straightedge",
        title="Straightedge, CS231n, EECS 498",
        parameter="reg",
        objective="(1/N) Σ loss + reg Σ W²",
        loss="softmax or svm",
        inverse=False,
        factor=lambda n, classes: 1.0,
        intercept="penalized",
        caveats=("no ½; the bias row is inside W and penalised; bias='free' leaves it out",),
    ),
    _cross_entropy(
        "sklearn-logistic",
        "scikit-learn LogisticRegression",
        "C",
        "C Σ cross-entropy + ½ Σ W²",
        "solver='liblinear' penalises the intercept and is one-against-rest",
    ),
    System(
        key="sklearn-linearsvc",
        title="scikit-learn LinearSVC(loss='hinge')",
        parameter="C",
        objective="Σₖ [½‖wₖ‖² + C Σᵢ max(0, 1 − bᵢₖ xᵢwₖ)]",
        loss="",
        loss_of_two="svm",
        inverse=True,
        factor=_half_of_mean,
        single_vector=True,
        intercept="penalized",
        caveats=(ONE_AGAINST_REST, TWO, "the default loss is the squared hinge, which is neither of ours"),
    ),
    System(
        key="sklearn-crammer-singer",
        title="scikit-learn LinearSVC(multi_class='crammer_singer')",
        parameter="C",
        objective="½ Σ W² + C Σᵢ max(0, 1 + max_{j≠y} s_j − s_y)",
        loss="",
        loss_of_two="svm",
        inverse=True,
        factor=_half_of_mean,
        intercept="penalized",
        caveats=(
            "the largest violation of a sample, where our svm adds up all: equal for two classes",
            "with two classes scikit-learn returns the difference w₁ − w₀ of the two vectors it trains",
        ),
    ),
    System(
        key="liblinear",
        title="LIBLINEAR -s 0, 3, 7 (logistic, hinge)",
        parameter="C",
        objective="Σₖ [½‖wₖ‖² + C Σᵢ loss(bᵢₖ xᵢwₖ)]",
        loss="",
        loss_of_two="softmax or svm",
        inverse=True,
        factor=_half_of_mean,
        single_vector=True,
        intercept="penalized",
        caveats=(ONE_AGAINST_REST, TWO, "no intercept unless -B 1 appends one, penalised; -s 4 is Crammer–Singer"),
    ),
    _cross_entropy(
        "cuml",
        "cuML LogisticRegression",
        "C",
        "(1/N) Σ cross-entropy + 1/(2NC) Σ W²",
        "penalty_normalized=False, and releases before mid-2020, penalise N times as much",
    ),
    _cross_entropy(
        "dinov2",
        "DINOv2 and DINOv3 log_regression",
        "C",
        "(1/N) Σ cross-entropy + 1/(2NC) Σ W²",
        "C is kept when training is repeated on train + validation: N grows, reg falls",
    ),
    _cross_entropy(
        "clip",
        "CLIP linear probe",
        "lambda",
        "Σ cross-entropy + (λ/2) Σ W²",
        "the paper gives λ without an objective; here λ = 1/C of the scikit-learn it uses",
    ),
    _cross_entropy(
        "cyanure",
        "cyanure Classifier(penalty='l2')",
        "lambda",
        "(1/N) Σ cross-entropy + (λ/2) Σ W²",
        "C = 1/(Nλ) as measured with 1.2.2; part of its documentation says 1/(2Nλ)",
        factor=_half,
    ),
    _cross_entropy(
        "glmnet",
        "glmnet(family = 'multinomial', alpha = 0)",
        "lambda",
        "(1/N) Σ cross-entropy + (λ/2) Σ W²",
        "it standardises features unless standardize = FALSE, which is preprocess='standardize' here",
        factor=_half,
    ),
    System(
        key="torch-cross-entropy",
        title="PyTorch CrossEntropyLoss + SGD(weight_decay)",
        parameter="weight_decay",
        objective="(1/N) Σ cross-entropy + (weight_decay/2) Σ W²",
        loss="softmax",
        inverse=False,
        factor=_half,
        intercept="choice",
        caveats=(
            "decays every parameter it is given, the bias too",
            "AdamW and Adam scale the decay by other things: they minimise no such sum",
        ),
    ),
    System(
        key="torch-multi-margin",
        title="PyTorch MultiMarginLoss + SGD(weight_decay)",
        parameter="weight_decay",
        objective="(1/(N K)) Σ svm loss + (weight_decay/2) Σ W²",
        loss="svm",
        inverse=False,
        factor=lambda n, classes: classes / 2,
        intercept="choice",
        caveats=("the loss is divided by the number of classes K: its values are K times smaller than ours",),
    ),
    System(
        key="sklearn-sgd",
        title="scikit-learn SGDClassifier(loss='log_loss' or 'hinge')",
        parameter="alpha",
        objective="Σₖ [(1/N) Σᵢ loss(bᵢₖ xᵢwₖ) + (α/2)‖wₖ‖²]",
        loss="",
        loss_of_two="softmax or svm",
        inverse=False,
        factor=_half,
        single_vector=True,
        caveats=(ONE_AGAINST_REST, TWO, FREE),
    ),
    System(
        key="sklearn-ridge",
        title="scikit-learn RidgeClassifier",
        parameter="alpha",
        objective="Σₖ [Σᵢ (bᵢₖ − xᵢwₖ)² + α‖wₖ‖²]",
        loss="",
        inverse=False,
        factor=lambda n, classes: 1 / n,
        caveats=("squared error: only the weight of the penalty against the loss corresponds", FREE),
    ),
)
