"""A whole fit, from a source to a run folder: read, choose, fit, prove, judge once, write."""

from straightedge.workflow.options import FitOptions
from straightedge.workflow.run import run_fit

__all__ = ["FitOptions", "run_fit"]
