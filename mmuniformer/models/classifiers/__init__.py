"""What token labeling needs beyond MMPretrain's ``ImageClassifier``. The configs that use it import its module."""
