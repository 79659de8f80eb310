"""Averages of a grid of values over the cells of a finer or coarser, moved grid."""
import math

import numpy as np


def pooling_weights(origins: np.ndarray, size: tuple[int, int], map_size: tuple[int, int]) -> np.ndarray:
    """Weights of a map's values in each cell of an image.

    As RoIAlign (`arXiv 1703.06870 <https://arxiv.org/abs/1703.06870>`_, Sec. 3) with aligned corners: a cell's value is
    the mean of bilinear interpolations at points spread evenly over it. Points that are outside of the map, or were
    once on the way, count 0.

    Args:
        origins: Matrices of shape ``(n, 3, 3)`` that take a place in the image to its place in the map (the first) and
            in images between the two (the others), all from 0 to 1.
        size: Rows and columns of cells.
        map_size: Rows and columns of the map.

    Returns:
        Array of shape ``(cells, places of the map)``, float32, rows and columns row by row.
    """
    # Enough points that none of the map's values falls between two, in the largest crop.
    samples = [math.ceil(places / cells) for places, cells in zip(map_size, size)]
    rows, columns = ((np.arange(cells * n) + 0.5) / (cells * n) for cells, n in zip(size, samples))
    y, x = np.meshgrid(rows, columns, indexing='ij')
    x, y, _ = (origins @ np.stack([x.ravel(), y.ravel(), np.ones(x.size)])).swapaxes(0, 1)
    cell = (np.arange(rows.size)[:, None] // samples[0] * size[1] + np.arange(columns.size) // samples[1]).ravel()
    inside = ((x >= 0) & (x <= 1) & (y >= 0) & (y <= 1)).all(0)
    x, y, cell = x[0, inside], y[0, inside], cell[inside]

    weights = np.zeros((size[0] * size[1], map_size[0] * map_size[1]), np.float32)
    for row, row_share in _neighbours(y, map_size[0]):
        for column, column_share in _neighbours(x, map_size[1]):
            np.add.at(weights, (cell, row * map_size[1] + column), row_share * column_share)
    return weights / (samples[0] * samples[1])


def _neighbours(place: np.ndarray, length: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """The two values that a bilinear interpolation takes along one axis, and their shares."""
    index = (place * length - 0.5).clip(0, length - 1)
    first = np.floor(index).astype(np.int64)
    share = index - first
    return [(first, 1 - share), (np.minimum(first + 1, length - 1), share)]


def softmax(scores: np.ndarray) -> np.ndarray:
    """Softmax over the last axis."""
    exponentials = np.exp(scores - scores.max(-1, keepdims=True))
    return exponentials / exponentials.sum(-1, keepdims=True)
