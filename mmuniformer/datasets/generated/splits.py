"""How many samples a generated data set has, and which."""
from collections.abc import Sequence


def check_counts(classes: int = 1, what: str = 'images', **counts: int) -> None:
    """Refuse a number of samples that a split can't have.

    Args:
        classes (int): Classes that are to have as many samples each. Defaults to 1.
        what (str): The samples, for the message. Defaults to ``'images'``.
        counts (int): Number of samples by name of the split.

    Raises:
        ValueError: A number is less than 1 or no multiple of ``classes``.
    """
    for name, count in counts.items():
        if classes > 1 and (count < classes or count % classes):
            raise ValueError(f'{name}={count}: the {what} of a split must be a multiple of {classes}, so that every '
                             'class has as many')
        if count < 1:
            raise ValueError(f'{name}={count}: a split needs at least one {what.removesuffix("s")}')


def samples(train: int, val: int, folders: Sequence[str] = ('train', 'val')) -> list[tuple[int, str, int]]:
    """All samples: number of the split (0 training, 1 held out), its folder, and the sample's number in it."""
    return [(split, folder, i) for split, (folder, count) in enumerate(zip(folders, (train, val)))
            for i in range(count)]
