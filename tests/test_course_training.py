"""Preprocessing, training, search and files of the course."""

import subprocess
import sys

import pytest
import torch
from safetensors import safe_open

from straightedge import course
from straightedge.errors import InputError, MachineError, StraightedgeWarning

CLASSIFIERS = [course.LinearSVM, course.Softmax]


def blobs(n_samples=300, n_classes=3, seed=0, dtype=torch.float64):
    """Classes around points of a circle, a constant 1 appended."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.randint(n_classes, (n_samples,), generator=generator)
    angle = 2 * torch.pi * y / n_classes
    X = torch.stack([angle.cos(), angle.sin(), torch.ones(n_samples)], dim=1).to(dtype)
    X[:, :2] += 0.2 * torch.randn(n_samples, 2, generator=generator, dtype=dtype)
    return X, y


def notes_steps(X_train, X_test):
    """Steps (1) to (3) of item ① as the notes write them, in place."""
    mean_image = X_train.mean(dim=0, keepdim=True).mean(dim=2, keepdim=True).mean(dim=3, keepdim=True)
    X_train -= mean_image
    X_test -= mean_image
    X_train = X_train.reshape(X_train.shape[0], -1)
    X_test = X_test.reshape(X_test.shape[0], -1)
    ones_train = torch.ones(X_train.shape[0], 1, device=X_train.device)
    ones_test = torch.ones(X_test.shape[0], 1, device=X_test.device)
    return torch.cat([X_train, ones_train], dim=1), torch.cat([X_test, ones_test], dim=1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_preprocess_is_the_three_steps_to_the_bit(dtype):
    generator = torch.Generator().manual_seed(1)
    X_train = torch.rand(211, 3, 8, 6, generator=generator, dtype=dtype)
    X_test = torch.rand(37, 3, 8, 6, generator=generator, dtype=dtype)
    before = X_train.clone(), X_test.clone()
    rows = course.preprocess(X_train, X_test)
    assert torch.equal(before[0], X_train)
    assert torch.equal(before[1], X_test)
    expected = notes_steps(X_train, X_test)
    assert all(one.dtype == dtype for one in rows)
    assert all(torch.equal(one, two) for one, two in zip(rows, expected, strict=True))


def test_preprocess_of_the_size_of_cifar10_to_the_bit():
    tile = torch.rand(500, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    X_train = tile.repeat(100, 1, 1, 1)
    train, test = course.preprocess(X_train, tile)
    mean_image = X_train.mean(dim=0, keepdim=True).mean(dim=2, keepdim=True).mean(dim=3, keepdim=True)
    expected = torch.cat([(tile - mean_image).reshape(500, -1), torch.ones(500, 1)], dim=1)
    assert train.shape == (50_000, 3 * 32 * 32 + 1)
    assert torch.equal(test, expected)
    assert all(torch.equal(rows, expected) for rows in train.split(500))


@pytest.mark.parametrize(
    ("train", "test", "code"),
    [
        pytest.param(
            torch.zeros(2, 3, 4, 4, dtype=torch.uint8), torch.zeros(1, 3, 4, 4), "images-type", id="uint8"
        ),
        pytest.param(torch.zeros(2, 3, 4, 4), torch.zeros(1, 3, 5, 4), "images-shape", id="mixed sizes"),
        pytest.param(torch.zeros(2, 48), torch.zeros(1, 48), "images-shape", id="flat rows"),
        pytest.param(torch.zeros(0, 3, 4, 4), torch.zeros(1, 3, 4, 4), "images-empty", id="empty set"),
    ],
)
def test_preprocess_refuses(train, test, code):
    with pytest.raises(InputError) as caught:
        course.preprocess(train, test)
    assert caught.value.code == code


def test_sample_batch_draws_pairs_with_replacement():
    X = torch.arange(10.0)[:, None]
    y = torch.arange(10)
    X_batch, y_batch = course.sample_batch(X, y, 4, 200)
    assert X_batch.shape == (200, 1)
    assert torch.equal(X_batch[:, 0].long(), y_batch)
    assert set(y_batch.tolist()) == {0, 1, 2, 3}  # of the first num_train rows, each many times


def test_one_step_is_the_step_of_gradient_descent():
    X, y = blobs(40)
    W = torch.randn(3, 3, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    before = W.clone()
    generator = torch.Generator().manual_seed(4)
    trained, history = course.train_linear_classifier(
        course.softmax_loss_vectorized, W, X, y, 0.1, 0.01, 1, 20, generator=generator
    )
    X_batch, y_batch = course.sample_batch(X, y, 40, 20, generator=torch.Generator().manual_seed(4))
    loss, dW = course.softmax_loss_vectorized(W, X_batch, y_batch, 0.01)
    assert torch.equal(W, before)
    assert torch.equal(trained, W - 0.1 * dW)
    assert history == [loss.item()]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("cls", CLASSIFIERS)
def test_training_finds_the_classes(cls, dtype, capsys):
    X, y = blobs(dtype=dtype)
    classifier = cls()
    history = classifier.train(X, y, learning_rate=0.3, reg=1e-4, num_iters=201, verbose=True)
    assert len(history) == 201
    assert history[-1] < 0.5 * history[0]
    assert classifier.W.dtype == dtype
    assert (classifier.predict(X) == y).double().mean() > 0.98
    assert [line.split(":")[0] for line in capsys.readouterr().out.splitlines()] == [
        f"iteration {step} / 201" for step in (0, 100, 200)
    ]


def test_equal_seeds_give_equal_classifiers_and_leave_the_global_generator():
    X, y = blobs()
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    weights = []
    for seed in (0, 0, 1):
        classifier = course.Softmax(seed)
        classifier.train(X, y, num_iters=5)
        weights.append(classifier.W)
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert torch.equal(torch.rand(3), expected)


def test_a_learning_rate_that_is_too_large_ends_with_a_warning():
    X, y = blobs()
    with pytest.warns(StraightedgeWarning, match="training-diverged"):
        W, history = course.train_linear_classifier(course.svm_loss_vectorized, None, 1e150 * X, y, 1e10, 1.0, 50)
    assert len(history) < 50
    assert torch.isfinite(W).all()


@pytest.mark.parametrize("cls", CLASSIFIERS)
def test_one_parameter_set_gives_fractions(cls):
    X, y = blobs()
    data = {"X_train": X[:200], "y_train": y[:200], "X_val": X[200:], "y_val": y[200:]}
    classifier = cls()
    returned, train_accuracy, validation_accuracy = course.test_one_param_set(classifier, data, 0.3, 1e-4, 200)
    assert returned is classifier
    assert train_accuracy == (classifier.predict(X[:200]) == y[:200]).double().mean().item()
    assert validation_accuracy == (classifier.predict(X[200:]) == y[200:]).double().mean().item()
    assert 0.95 < validation_accuracy <= 1


@pytest.mark.parametrize("parameters", [course.svm_get_search_params, course.softmax_get_search_params])
def test_search_parameters_fit_the_course(parameters):
    learning_rates, strengths = parameters()
    assert min(len(learning_rates), len(strengths)) >= 2
    assert len(learning_rates) * len(strengths) < 25
    assert all(0 < value < 1 for value in [*learning_rates, *strengths])


@pytest.mark.parametrize("name", ["svm.pt", "weights.safetensors", "no suffix"])
def test_saved_as_safetensors_whatever_the_name(tmp_path, name):
    X, y = blobs()
    classifier = course.LinearSVM()
    classifier.train(X, y, num_iters=50)
    path = tmp_path / name
    classifier.save(path)
    with safe_open(path, framework="pt") as file:
        assert torch.equal(file.get_tensor("W"), classifier.W)
    assert [item.name for item in tmp_path.iterdir()] == [name]


@pytest.mark.long
def test_a_saved_classifier_gives_the_same_scores_in_a_new_process(tmp_path):
    X, y = blobs()
    classifier = course.LinearSVM()
    classifier.train(X, y, num_iters=50)
    path = tmp_path / "svm.pt"
    classifier.save(path)
    program = (
        "import sys, torch; from straightedge import course\n"
        "c = course.LinearSVM(); c.load(sys.argv[1]); print(c.W.double().tolist())"
    )
    answer = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == str(classifier.W.double().tolist())


def test_a_pickle_is_refused_and_never_opened(tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    torch.save({"W": torch.ones(2, 2), "trap": Trap()}, tmp_path / "model.pt")
    with pytest.raises(InputError) as caught:
        course.Softmax().load(tmp_path / "model.pt")
    assert caught.value.code == "model-pickle"
    assert not (tmp_path / "sprung").exists()


def test_damaged_missing_and_unwritable_files(tmp_path):
    classifier = course.Softmax()
    classifier.W = torch.ones(3, 2)
    path = tmp_path / "model.pt"
    classifier.save(path)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    for file, code in ((path, "model-damaged"), (tmp_path / "nothing.pt", "model-missing")):
        with pytest.raises(InputError) as caught:
            classifier.load(file)
        assert caught.value.code == code
    with pytest.raises((InputError, MachineError)):
        classifier.save(tmp_path / "no folder" / "model.pt")
    assert torch.equal(classifier.W, torch.ones(3, 2))


@pytest.mark.parametrize("use", ["predict", "save"])
def test_an_untrained_classifier_says_so(use, tmp_path):
    argument = torch.ones(1, 3) if use == "predict" else tmp_path / "model.pt"
    with pytest.raises(InputError, match="course-untrained"):
        getattr(course.Softmax(), use)(argument)


@pytest.mark.gpu
@pytest.mark.parametrize("cls", CLASSIFIERS)
def test_cuda_draws_the_same_batches_as_the_cpu(cls):
    X, y = blobs()
    on_cpu, on_cuda = cls(), cls()
    on_cpu.train(X, y, num_iters=20)
    on_cuda.train(X.cuda(), y.cuda(), num_iters=20)
    assert on_cuda.W.is_cuda
    assert torch.allclose(on_cuda.W.cpu(), on_cpu.W, rtol=1e-9)
    assert torch.equal(on_cuda.predict(X.cuda()).cpu(), on_cpu.predict(X))
