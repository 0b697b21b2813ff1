"""The source of a run as it is read and as it is fitted: rows, or features of images or texts."""

from dataclasses import replace
from typing import Any

from straightedge.data import Dataset, load_dataset
from straightedge.data.tables.files import names_in
from straightedge.data.text.documents import is_texts
from straightedge.features.base import build_extractor, takes_device
from straightedge.features.cache import extract_dataset
from straightedge.features.text.dataset import text_dataset
from straightedge.workers import nothing_begun
from straightedge.workflow.options import FitOptions
from straightedge.workflow.sealing import seals, with_sealed_tenth

TEXT_FEATURES = "tfidf"  # features of texts for those who ask for none


def read_source(options: FitOptions) -> tuple[Dataset, Dataset, Any]:
    """Return the dataset as read (for the page), as fitted (features, if asked for), and the extractor."""
    with nothing_begun():
        return _read(options)


def _read(options: FitOptions) -> tuple[Dataset, Dataset, Any]:
    data = options.data
    images = load_dataset(
        data.source,
        size=data.size,
        root=data.root,
        skip_bad=data.skip_bad,
        background=data.background,
        progress=options.run.progress,
        cache=data.cache,
        labels=data.labels,
        classes=None if data.classes is None else names_in(data.classes),
        column=data.column,
        test=options.split.test,
        groups=options.split.groups,
        sample_weight=data.sample_weight,
        **data.table,
    )
    if seals(images, options):
        images = with_sealed_tenth(images, options.split.seed)
    if is_texts(images.train.X):
        return _texts_read(images, options)
    if options.extractor.features is None:
        return images, images, None
    extractor = _extractor(options.extractor.features, options)
    dataset = extract_dataset(
        images, extractor, cache=data.cache, progress=options.run.progress, seed=options.split.seed
    )
    return images, _beside_like(images, dataset), extractor


def _beside_like(read: Dataset, features: Dataset) -> Dataset:
    """Return features with the groups and weights of the rows that they were made of."""
    train = replace(features.train, groups=read.train.groups, weights=read.train.weights)
    return replace(features, train=train)


def _extractor(spec: str, options: FitOptions) -> Any:
    """Return the extractor that was asked for, not fitted yet."""
    asked = options.extractor
    device = options.fit.device if takes_device(spec) else None
    return build_extractor(spec, trusted=asked.features_trusted, weights=asked.weights, device=device, **asked.text)


def _texts_read(texts: Dataset, options: FitOptions) -> tuple[Dataset, Dataset, Any]:
    """Return texts as read and as features: TF-IDF unless another extractor was asked for."""
    extractor = _extractor(options.extractor.features or TEXT_FEATURES, options)
    dataset = _beside_like(texts, text_dataset(texts, extractor))
    if options.extractor.features is None:
        dataset.notes.append(f"the rows are texts: fitted with --features {TEXT_FEATURES}")
    return texts, dataset, extractor
