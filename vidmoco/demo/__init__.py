"""The demo: sample videos, the whole way, a picture of what was learnt."""
