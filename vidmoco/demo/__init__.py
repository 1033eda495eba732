"""The demo: sample videos, pretraining, evaluation, and a picture of what was learnt."""
