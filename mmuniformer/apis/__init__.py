"""Prediction on files, over the frameworks' own inferencers."""
from .errors import PredictError
from .predictor import Predictor, predict
from .zoo import zoo

__all__ = ['PredictError', 'Predictor', 'predict', 'zoo']
