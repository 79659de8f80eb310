"""Silence around calls that talk."""
import contextlib
import io
import logging
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def quiet(logger: logging.Logger) -> Iterator[None]:
    """Keep to itself what is printed, warned about, or logged below an error.

    Args:
        logger: The one that would talk; made before, or it would go on writing to where it is redirected.
    """
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter('ignore')
            yield
    finally:
        logger.setLevel(level)
