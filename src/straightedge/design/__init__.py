"""Designs: rows with their map, and every product with them. A new kind of rows is a file here."""

from straightedge.design.base import Design
from straightedge.design.categories import CategoryDesign
from straightedge.design.dense import DenseDesign
from straightedge.design.gram import mirrored, panels
from straightedge.design.own_maps import OwnMaps
from straightedge.design.pairs import PairProducts
from straightedge.design.side_by_side import SideBySide
from straightedge.design.sparse import SparseDesign
from straightedge.design.sweep import Block, ScoreFunction
from straightedge.design.weights import RowWeights, Stratum

__all__ = [
    "Block",
    "CategoryDesign",
    "DenseDesign",
    "Design",
    "OwnMaps",
    "PairProducts",
    "RowWeights",
    "ScoreFunction",
    "SideBySide",
    "SparseDesign",
    "Stratum",
    "mirrored",
    "panels",
]
