"""Whether a batch's embeddings have collapsed, by their statistics (``diagnostics``)."""

# assumption: an untrained network has a spread of 0.1 to 0.3. A lower spread or rank after a tenth
# of the training is a collapse. The share of the greatest rank is for batches of few embeddings.
LEAST_SPREAD, LEAST_RANK, LEAST_SHARE_OF_RANK = 0.1, 3.0, 0.5


def collapse_of(described: dict[str, float], *, most_rank: int) -> str:
    """Return a warning that the embeddings have collapsed, or an empty string.

    ``most_rank`` is the smaller of the number of embeddings and their dimension.
    """
    spread, rank = described["spread"], described["effective_rank"]
    if spread >= LEAST_SPREAD and rank >= min(LEAST_RANK, LEAST_SHARE_OF_RANK * most_rank):
        return ""
    return (
        f"The embeddings have collapsed: their spread is {spread:.2g} (1 is the whole sphere), "
        f"their effective rank {rank:.1f}. The backbone does not learn in this state. Try a lower "
        "--optim.lr, a warm-up (--optim.warmup-epochs) or, with MoCo, a smaller queue."
    )
