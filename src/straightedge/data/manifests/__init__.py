"""Images whose labels stand in a table beside them: a file of names and labels, and the images it names.

Hugging Face's ``metadata.csv``, Kaggle's ``train.csv`` with ``train/``, a column of paths in a Parquet file.
"""

from straightedge.data.manifests.source import load

__all__ = ["load"]
