"""Loss functions as students of the linear-classifier assignments write them, right and wrong.

Each is a function ``(W, X, y, reg) -> (loss, dW)`` and `STUDENT_FUNCTIONS` says what is true of it. A third of
the right ones and a third of the wrong ones are held back, in files of their own (held_back_*.py): they judge a
gradient check by functions that its author has not read. Which ones was drawn once, by `DRAW_SEED`: one of every
mistake, the rest from all. Files later_*.py hold what was written afterwards, by somebody who had not read the
check, and tried before anything was changed.
"""

import importlib
import pkgutil

from support.student_functions.records import FORM_MISTAKES, FOUND, VALUE_MISTAKES, StudentFunction

# The seed of the draw of the held-back third; it is the number of the course, and no other was tried.
DRAW_SEED = 231

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

STUDENT_FUNCTIONS: tuple[StudentFunction, ...] = tuple(FOUND)

__all__ = ["DRAW_SEED", "FORM_MISTAKES", "STUDENT_FUNCTIONS", "VALUE_MISTAKES", "StudentFunction"]
