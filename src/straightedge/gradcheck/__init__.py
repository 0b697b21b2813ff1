"""Is a gradient right? Central differences (item ② of the notes), with kinks told apart from mistakes.

`check_gradient` takes any ``loss(W, X, y, reg) -> (loss, dW)``, of torch or of NumPy, and says entry by entry
whether dW is the derivative of the loss, and what the likely mistake is where it is not.
"""

from straightedge.gradcheck.check import check_gradient
from straightedge.gradcheck.function import with_rows
from straightedge.gradcheck.report import Diagnosis, GradCheckReport, GradCheckRow

__all__ = ["Diagnosis", "GradCheckReport", "GradCheckRow", "check_gradient", "with_rows"]
