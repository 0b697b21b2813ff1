"""Parameters: NumPy's numbers pass, lists and text are refused by name, every random state counts."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_iris, make_classification

from straightedge import LinearClassifier, LinearClassifierCV, SoftmaxClassifier, SVMClassifier
from straightedge.errors import InputError, StraightedgeWarning
from straightedge.fitting import FitSettings
from straightedge.parameters import seed_of

X, y = load_iris(return_X_y=True)
pytestmark = pytest.mark.filterwarnings("ignore:the chosen reg:straightedge.errors.StraightedgeWarning")


def scores(random_state):
    found = LinearClassifierCV(random_state=random_state, regs=[1.0, 0.1, 0.01], scoring="log_loss").fit(X, y)
    return found.scores_.tolist()


@pytest.mark.parametrize("kind", [np.int64, np.int32, np.uint8, np.int16])
def test_numpy_integers_are_the_seeds_that_they_are(kind):
    assert seed_of(kind(3)) == 3
    assert scores(kind(3)) == scores(3) != scores(0)


@pytest.mark.parametrize("make", [np.random.RandomState, np.random.default_rng])
def test_generators_are_drawn_from(make):
    assert scores(make(3)) == scores(make(3)) != scores(make(4))
    generator = make(3)
    assert seed_of(generator) != seed_of(generator)


def test_none_is_the_same_fit_each_time_and_numpys_own_state_is_drawn_from():
    assert scores(None) == scores(0)
    np.random.seed(1)
    first = seed_of(np.random)
    np.random.seed(1)
    assert seed_of(np.random) == first


@pytest.mark.parametrize("bad", ["x", "3", 1.5, -1, 2**32, True, [3], np.array([1, 2])])
def test_other_random_states_are_refused(bad):
    for estimator in (LinearClassifierCV(random_state=bad), SoftmaxClassifier(random_state=bad)):
        with pytest.raises(InputError) as caught:
            estimator.fit(X, y)
        assert caught.value.code == "random-state-invalid"


@pytest.mark.parametrize("number", [np.float32, np.float64, np.float16, float, torch.tensor, np.array])
def test_numbers_of_other_types_are_numbers(number):
    asked = FitSettings(tol=number(2.0**-10), max_passes=number(100.0)).checked()
    assert asked == FitSettings(tol=2.0**-10, max_passes=100.0)
    assert type(asked.tol) is type(asked.max_passes) is float
    found = SoftmaxClassifier(number(0.25), tol=number(2.0**-10)).fit(X, y)
    np.testing.assert_array_equal(found.coef_, SoftmaxClassifier(0.25, tol=2.0**-10).fit(X, y).coef_)


def test_whole_numbers_of_numpy_are_passes():
    assert SoftmaxClassifier(max_passes=np.int64(100)).fit(X, y).status_ == "certified"
    assert SVMClassifier(np.int64(1), max_passes=np.uint16(500)).fit(X, y).status_ == "certified"


@pytest.mark.parametrize(
    ("reg", "says"),
    [
        ([0.1, 0.2], "LinearClassifierCV(regs=[...])"),
        ([0.1], "LinearClassifierCV(regs=[...])"),
        (np.array([0.1, 0.2]), "LinearClassifierCV(regs=[...])"),
        ("0.1", "give the number: reg=0.1"),
        ("much", "the text 'much'"),
        (True, "reg is True"),
        (None, "reg is None"),
    ],
)
def test_a_reg_that_is_no_single_number_is_refused_with_the_mend(reg, says):
    for estimator in (SoftmaxClassifier(reg), LinearClassifier("svm", reg=reg)):
        with pytest.raises(InputError) as caught:
            estimator.fit(X, y)
        assert caught.value.code == "reg-invalid" and says in str(caught.value)
    with pytest.raises(InputError, match="reg-invalid"):
        LinearClassifierCV(regs=["0.1"]).fit(X, y)


@pytest.mark.parametrize("name", ["tol", "max_passes"])
@pytest.mark.parametrize("bad", [0, -1, "0.1", True, None, [1], np.array([1.0]), np.nan, 1j])
def test_limits_that_are_no_number_above_0_are_refused(name, bad):
    with pytest.raises(InputError) as caught:
        SoftmaxClassifier(**{name: bad}).fit(X, y)
    assert caught.value.code == f"{name.replace('_', '-')}-invalid"


def test_a_certified_w_of_0_says_that_it_names_one_class():
    data, labels = make_classification(
        1000, n_classes=10, n_informative=5, n_features=10, n_redundant=0, random_state=0
    )
    for estimator in (LinearClassifier("crammer_singer"), SoftmaxClassifier(1e6)):
        with pytest.warns(StraightedgeWarning, match="constant-prediction") as said:
            estimator.fit(data, labels)
        assert estimator.status_ == "certified" and len(np.unique(estimator.predict(data))) == 1
        assert "every row is given the class 0" in str(said[0].message)
    assert len(np.unique(SoftmaxClassifier(1.0).fit(data, labels).predict(data))) > 1  # and no warning
