"""Frozen networks: timm models with random and local weights, modules of the user's, saved with the run."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from straightedge.errors import InputError, MachineError, MissingExtraError
from straightedge.features import timm_backbone, user_module
from straightedge.features.base import build_extractor, restore_extractor

VIT, CNN = "test_vit", "test_resnet"  # timm's own small models for tests


@pytest.fixture(scope="module")
def timm() -> Any:
    """Import timm, if need be past a torchvision whose compiled operators do not load with this torch.

    timm needs torchvision for its image transforms, which are Python; the operators that torchvision describes at
    import are declared here where their library is missing.
    """
    try:
        return pytest.importorskip("timm")
    except RuntimeError:
        for name in [key for key in sys.modules if key.partition(".")[0] in {"timm", "torchvision"}]:
            del sys.modules[name]
        library = torch.library.Library("torchvision", "DEF")
        for operator in ("nms", "qnms"):
            library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        timm_backbone._kept = library  # type: ignore[attr-defined]  # a library that is collected takes them along
        return pytest.importorskip("timm")


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (3, 3, 40, 48), dtype=np.uint8)


def weights_file(timm: Any, path: Path, model: str = VIT, **changes: torch.Tensor) -> Path:
    """Save a model's weights with those of a classifier, as checkpoints have them."""
    with torch.random.fork_rng():
        torch.manual_seed(7)
        state = timm.create_model(model, pretrained=False, num_classes=5).state_dict()
    save_file({key: value.contiguous() for key, value in (state | changes).items()}, path)
    return path


def reference(timm: Any, path: Path, images: np.ndarray, model: str = VIT) -> torch.Tensor:
    """Run the model the way timm's documentation does."""
    from PIL import Image
    from safetensors.torch import load_file

    network = timm.create_model(model, pretrained=False, num_classes=5)
    network.load_state_dict(load_file(path))
    network.reset_classifier(0)
    prepare = timm.data.create_transform(**timm.data.resolve_model_data_config(network))
    with torch.no_grad():
        batch = torch.stack([prepare(Image.fromarray(image.transpose(1, 2, 0))) for image in images])
        return network.eval()(batch)  # type: ignore[no-any-return]


@pytest.mark.long
@pytest.mark.parametrize("model", [VIT, CNN])
def test_features_are_those_of_timm_with_its_own_preprocessing(
    timm: Any, tmp_path: Path, images: np.ndarray, model: str
) -> None:
    path = weights_file(timm, tmp_path / "w.safetensors", model)
    extractor = build_extractor(f"timm:{model}", weights=str(path))
    extractor.fit(images)
    found = extractor.transform(images)
    assert found.dtype == np.float32 and found.shape == (3, extractor.n_features)
    np.testing.assert_allclose(found, reference(timm, path, images, model), rtol=1e-4, atol=1e-4)


def test_pools_are_the_class_token_and_the_mean_of_the_others(timm: Any, images: np.ndarray) -> None:
    rows = {}
    for pool in ("model", "cls", "mean"):
        extractor = build_extractor(f"timm:{VIT},weights=random", pool=pool)
        extractor.fit(images, seed=1)
        rows[pool] = extractor.transform(images)
    np.testing.assert_allclose(rows["cls"], rows["model"], atol=1e-5)  # this model's own pool is its class token
    with torch.random.fork_rng():
        torch.manual_seed(1)
        network = timm.create_model(VIT, num_classes=0).eval()
    backbone: Any = build_extractor(f"timm:{VIT},weights=random")
    backbone.fit(images, seed=1)
    with torch.no_grad():
        tokens = network.forward_features(backbone._prepared(images))
    np.testing.assert_allclose(rows["mean"], tokens[:, network.num_prefix_tokens :].mean(1), atol=1e-5)


@pytest.mark.parametrize(
    ("features", "attributes", "expected"),
    [
        pytest.param(torch.arange(24.0).reshape(1, 2, 3, 4), {}, [5.5, 17.5], id="a map, channels first"),
        pytest.param(
            torch.arange(24.0).reshape(1, 3, 4, 2), {"output_fmt": "NHWC"}, [11, 12], id="a map, channels last"
        ),
        pytest.param(
            torch.arange(8.0).reshape(1, 4, 2), {"num_prefix_tokens": 2}, [5, 6], id="tokens after a prefix"
        ),
        pytest.param(torch.arange(2.0).reshape(1, 2), {}, [0, 1], id="rows as they are"),
    ],
)
def test_mean_pooling(features: torch.Tensor, attributes: dict[str, Any], expected: list[float]) -> None:
    network = type("Network", (), attributes)()
    assert timm_backbone.pooled(features, network, "mean").tolist() == [expected]


@pytest.mark.parametrize("weights", ["random", "file", "file, not saved"])
def test_a_saved_run_needs_what_it_says_it_needs(
    timm: Any, tmp_path: Path, images: np.ndarray, weights: str
) -> None:
    path = tmp_path / "w.safetensors"
    saves = "not saved" not in weights
    source = "random" if weights == "random" else str(weights_file(timm, path))
    extractor = build_extractor(f"timm:{VIT}", weights=source, save_weights=saves)
    extractor.fit(images, seed=2)
    config, state = json.loads(json.dumps(extractor.config())), extractor.state()
    assert bool(state) == saves
    if saves:
        path.unlink(missing_ok=True)
    restored = restore_extractor(config, state)
    np.testing.assert_allclose(restored.transform(images), extractor.transform(images), atol=1e-6)
    assert restored.config() == extractor.config()


def test_weights_that_changed_since_the_run_are_refused(timm: Any, tmp_path: Path, images: np.ndarray) -> None:
    path = weights_file(timm, tmp_path / "w.safetensors")
    extractor = build_extractor(f"timm:{VIT}", weights=str(path), save_weights=False)
    extractor.fit(images)
    weights_file(timm, path, cls_token=torch.ones(1, 1, 64))
    with pytest.raises(InputError) as caught:
        restore_extractor(extractor.config(), {})
    assert caught.value.code == "weights-changed"


@pytest.mark.parametrize(
    ("spec", "code", "says"),
    [
        pytest.param("timm:test_vlt,weights=random", "timm-model", "did you mean test_vit", id="a slip of the pen"),
        pytest.param("timm:hf-hub:someone/something,weights=random", "timm-model", "no model", id="a hub's name"),
        pytest.param("timm", "timm-model", "no model was named", id="no name"),
        pytest.param("timm:test_vit", "timm-weights", "weights=pretrained", id="no weights"),
        pytest.param("timm:test_vit,weights=random,pool=max", "extractor-option", "cls", id="no such pool"),
    ],
)
@pytest.mark.usefixtures("timm")
def test_bad_timm_specs_are_refused(spec: str, code: str, says: str) -> None:
    with pytest.raises(InputError) as caught:
        build_extractor(spec)
    assert caught.value.code == code
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        pytest.param("missing file", "weights-missing", id="no such file"),
        pytest.param("pickle", "model-pickle", id="a pickle under the name of safetensors"),
        pytest.param("truncated", "model-truncated", id="a file cut off"),
        pytest.param("shape", "weights-mismatch", id="a tensor of another shape"),
        pytest.param("extra", "weights-mismatch", id="a tensor the model has not"),
        pytest.param("other model", "weights-mismatch", id="the weights of another model"),
    ],
)
def test_bad_weights_are_refused(timm: Any, tmp_path: Path, images: np.ndarray, change: str, code: str) -> None:
    path = tmp_path / "w.safetensors"
    changes = {"shape": {"cls_token": torch.zeros(1, 1, 3)}, "extra": {"more": torch.zeros(2)}}.get(change, {})
    if change != "missing file":
        weights_file(timm, path, CNN if change == "other model" else VIT, **changes)
    if change == "pickle":
        torch.save({"a": torch.zeros(3)}, path)
    if change == "truncated":
        path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError) as caught:
        build_extractor(f"timm:{VIT}", weights=str(path)).fit(images)
    assert caught.value.code == code


def test_a_model_without_class_token_has_none_to_give(timm: Any, images: np.ndarray) -> None:
    with pytest.raises(InputError) as caught:
        build_extractor(f"timm:{CNN},weights=random,pool=cls").fit(images)
    assert caught.value.code == "timm-pool"


def test_grey_images_are_shown_in_three_channels(timm: Any, images: np.ndarray) -> None:
    extractor = build_extractor(f"timm:{CNN},weights=random")
    extractor.fit(images[:, :1])
    grey = extractor.transform(images[:, :1])
    extractor.fit(images)
    np.testing.assert_allclose(grey, extractor.transform(np.repeat(images[:, :1], 3, axis=1)), atol=1e-6)


def test_no_weights_are_downloaded_unless_asked_for(
    timm: Any, images: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    make = timm.create_model
    monkeypatch.setattr(
        timm, "create_model", lambda name, **k: asked.append(k["pretrained"]) or make(name, num_classes=0)
    )
    for weights in ("random", "pretrained"):
        extractor = build_extractor(f"timm:{VIT}", weights=weights)
        extractor.fit(images)
        restore_extractor(extractor.config(), extractor.state())
    assert asked == [False, False, True, False]  # a run that keeps its weights needs no network either


def test_without_timm_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(MissingExtraError) as caught:
        build_extractor("timm:resnet18,weights=random")
    assert 'pip install "straightedge[backbones]"' in str(caught.value) and "'timm'" in str(caught.value)


def test_a_timm_that_cannot_be_imported_is_told_apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "timm.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')")
    monkeypatch.syspath_prepend(tmp_path)
    for name in [key for key in sys.modules if key.partition(".")[0] == "timm"]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(MachineError, match="nms does not exist") as caught:
        build_extractor("timm:resnet18,weights=random")
    assert caught.value.code == "timm-broken"


def test_timm_from_a_folder_of_images_to_the_class_of_a_photo(
    timm: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from PIL import Image

    from straightedge.cli.predict import command as predict
    from straightedge.workflow import FitOptions, run_fit

    monkeypatch.setenv("STRAIGHTEDGE_CACHE", str(tmp_path / "cache"))
    for name, colour in (("dark", 40), ("light", 200)):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(8):
            pixels = np.random.default_rng(i).normal(colour, 25, (32, 32, 3)).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{i}.png")
    path = weights_file(timm, tmp_path / "w.safetensors", CNN)
    run_fit(
        FitOptions(
            source=str(tmp_path / "photos"),
            features=f"timm:{CNN}",
            weights=str(path),
            reg=1e-2,
            suspects=False,
            out=str(tmp_path / "run"),
            progress=False,
        )
    )
    path.unlink()
    Image.fromarray(np.full((32, 32, 3), 210, np.uint8)).save(tmp_path / "photo.png")
    predict(tmp_path / "run", [tmp_path / "photo.png"], out=None, size=None, background=None, as_json=True)
    assert '"light"' in capsys.readouterr().out


class Doubler(nn.Module):
    """Two features an image: its mean twice over, scaled by a weight."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(2.0))
        self.noise = nn.Dropout(0.9)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        mean = self.noise(images.mean(dim=(1, 2, 3)))
        return torch.stack([mean * self.scale, mean], dim=1)


instance = Doubler()
flat = nn.Identity()
number = 3


def build_doubler() -> nn.Module:
    return Doubler()


@pytest.mark.parametrize("attribute", ["Doubler", "instance", "build_doubler"])
def test_any_torch_module_is_an_extractor(images: np.ndarray, attribute: str) -> None:
    extractor = build_extractor(f"module:{__name__}:{attribute}")
    extractor.fit(images)
    means = images.mean(axis=(1, 2, 3)) / 255
    np.testing.assert_allclose(extractor.transform(images), np.stack([2 * means, means], axis=1), rtol=1e-5)


def test_a_module_takes_a_file_of_weights(tmp_path: Path, images: np.ndarray) -> None:
    save_file({"scale": torch.tensor(5.0)}, tmp_path / "w.safetensors")
    extractor = build_extractor(f"module:{__name__}:Doubler,weights={tmp_path / 'w.safetensors'}")
    extractor.fit(images)
    rows = extractor.transform(images)
    np.testing.assert_allclose(rows[:, 0], 5 * rows[:, 1], rtol=1e-5)
    (tmp_path / "w.safetensors").unlink()
    np.testing.assert_array_equal(restore_extractor(extractor.config(), extractor.state()).transform(images), rows)


@pytest.mark.parametrize(
    ("target", "code"),
    [
        pytest.param("no_such_package.nets:net", "module-import", id="no such package"),
        pytest.param(f"{__name__}:nothing", "module-import", id="no such attribute"),
        pytest.param(f"{__name__}:number", "module-kind", id="a number"),
        pytest.param(f"{__name__}:flat", "network-output", id="a module that gives images"),
    ],
)
def test_modules_that_cannot_be_used(images: np.ndarray, target: str, code: str) -> None:
    with pytest.raises(InputError) as caught:
        build_extractor(f"module:{target}").fit(images)
    assert caught.value.code == code


def test_a_run_from_elsewhere_runs_no_code_unless_it_is_trusted(
    images: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = f"{__name__}:build_doubler"
    extractor = build_extractor(f"module:{target}")
    extractor.fit(images)
    config, state = extractor.config(), extractor.state()
    monkeypatch.setattr(user_module, "_trusted", set())
    with pytest.raises(InputError) as caught:
        restore_extractor(config, state)
    assert caught.value.code == "module-untrusted" and target in str(caught.value)
    monkeypatch.setenv(user_module.TRUST, f"other:thing,{target}")
    assert restore_extractor(config, state).n_features == 2
