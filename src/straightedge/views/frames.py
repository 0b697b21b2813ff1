"""Tables of pandas, which is asked for when it is needed."""

from collections.abc import Mapping
from typing import Any

from straightedge.errors import InputError


def frame(columns: Mapping[str, Any]) -> Any:
    """Return columns of equal length as a ``pandas.DataFrame``."""
    try:
        import pandas
    except ImportError as error:
        raise InputError("pandas-missing", "to_frame needs pandas", mend="pip install pandas") from error
    return pandas.DataFrame(dict(columns))
