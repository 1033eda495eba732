"""Evaluation of frozen backbones on labelled images."""
