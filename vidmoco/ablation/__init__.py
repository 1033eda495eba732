"""Compare trainings: rows of settings, seeds, equal budgets, and sets of labelled images."""
