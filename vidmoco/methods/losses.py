"""Contrastive losses: pure functions of embeddings that return the loss and its diagnostics."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from vidmoco.shapes import Bool, Float, Int64

Stats = dict[str, Tensor]
"""The diagnostics of all methods, scalars without gradient:

``top1`` and ``top5``: accuracy in percent of ranking the positive above the negatives. ``positive``
and ``negative``: mean similarities, from -1 to 1. ``loss_minus_chance``: the loss minus the loss of
equal similarities, in nats.
"""


def info_nce(
    query: Float[Tensor, "n c"],
    key: Float[Tensor, "n *p c"],
    negatives: Float[Tensor, "k c"],
    *,
    tau: float,
    masked: Bool[Tensor, "n k"] | None = None,
    positives: Bool[Tensor, "n k"] | None = None,
) -> tuple[Float[Tensor, ""], Stats]:
    """InfoNCE with shared negatives (He et al. 2020, equation 1).

    All vectors have unit length. The loss is in nats, and log(K + 1) at chance.

    Args:
        query: N queries.
        key: the positive of each query, (N, C), or P positives of each, (N, P, C). Each of several
            positives has its own softmax, without the others, and the loss is the mean
            (Feichtenhofer et al. 2021, section 3.1; Gordon et al. 2020, "Watching the World Go By",
            section 3).
        negatives: K keys that all queries share.
        tau: temperature.
        masked: which of the K keys are left out for which query.
        positives: which of the K keys are positives too. The loss is then the negative log
            probability of any positive (Han et al. 2020, "Self-supervised Co-training for Video
            Representation Learning", equation 2).
    """
    # float32 under autocast too: bf16 has three digits, and 1 / tau magnifies the rounding.
    with torch.autocast(query.device.type, enabled=False):
        query, key, negatives = query.float(), key.float(), negatives.float()
        own = torch.einsum("nc,npc->np", query, key.reshape(len(query), -1, key.shape[-1])) / tau
        others = torch.einsum("nc,kc->nk", query, negatives) / tau
    # Not minus infinity: a row that is masked entirely would have the gradient NaN.
    nothing = torch.finfo(others.dtype).min
    if masked is not None:
        others = others.masked_fill(masked, nothing)
    likely = own
    if positives is not None:
        more = others.masked_fill(~positives, nothing).logsumexp(1, keepdim=True)
        likely = torch.logaddexp(own, more)
    losses = torch.logaddexp(own, others.logsumexp(1, keepdim=True)) - likely  # (N, P)
    with torch.no_grad():
        left_out = torch.zeros_like(others, dtype=torch.bool) if masked is None else masked
        negative = ~left_out if positives is None else ~(left_out | positives)
        ranks = [((others >= one[:, None]) & negative).sum(1) for one in own.unbind(1)]
        num_positives = 1 + (0 if positives is None else (positives & ~left_out).sum(1))
        stats = _describe(torch.stack(ranks, 1), own, others, negative, num_positives, tau=tau)
    stats["loss_minus_chance"] += losses.mean().detach()
    return losses.mean(), stats


def _describe(
    rank: Int64[Tensor, "n *p"],
    own: Float[Tensor, "n *p"],
    logits: Float[Tensor, "n m"],
    negative: Bool[Tensor, "n m"],
    num_positives: Int64[Tensor, " n"] | int,
    *,
    tau: float,
) -> Stats:
    """Return the diagnostics of N queries. The caller adds the loss to ``loss_minus_chance``.

    Args:
        rank: number of negatives at least as similar as the positive.
        own: similarity with the positive, divided by tau.
        logits: similarities with all keys, divided by tau.
        negative: which of these keys are negatives.
        num_positives: number of positives of each query.
        tau: temperature.
    """
    num_negatives = negative.sum(1)
    chance = (num_negatives + num_positives).log() - torch.as_tensor(
        num_positives, device=rank.device
    ).log()
    return {
        "top1": (rank < 1).float().mean() * 100,
        "top5": (rank < 5).float().mean() * 100,
        "positive": own.mean() * tau,
        "negative": logits.where(negative, 0).sum() / num_negatives.sum().clamp(min=1) * tau,
        "loss_minus_chance": -chance.mean(),
    }


def in_batch_nce(
    query: Float[Tensor, "n c"],
    keys: Float[Tensor, "m c"],
    labels: Int64[Tensor, " n"],
    *,
    tau: float,
    masked: Bool[Tensor, "n m"] | None = None,
) -> tuple[Float[Tensor, ""], Stats]:
    """InfoNCE over the keys of the batch (Chen et al. 2021, "An Empirical Study …", algorithm 1).

    All vectors have unit length. ``labels`` are the indices of the positives among the M keys of
    all processes. Keys that are ``masked`` for a query are left out.
    """
    with torch.autocast(query.device.type, enabled=False):
        logits = torch.einsum("nc,mc->nm", query.float(), keys.float()) / tau
    return _contrast(logits, labels, tau=tau, masked=masked)


def _contrast(
    logits: Float[Tensor, "n m"],
    labels: Int64[Tensor, " n"],
    *,
    tau: float,
    masked: Bool[Tensor, "n m"] | None = None,
) -> tuple[Float[Tensor, ""], Stats]:
    """Return the cross entropy with ``labels``, and the diagnostics."""
    negative = torch.ones_like(logits, dtype=torch.bool).scatter_(1, labels[:, None], False)
    if masked is not None:
        logits = logits.masked_fill(masked, -torch.inf)
        negative &= ~masked
    loss = functional.cross_entropy(logits, labels)
    with torch.no_grad():
        own = logits.gather(1, labels[:, None])
        rank = ((logits >= own) & negative).sum(1)
        stats = _describe(rank, own[:, 0], logits, negative, 1, tau=tau)
    stats["loss_minus_chance"] += loss.detach()
    return loss, stats


def nt_xent(
    first: Float[Tensor, "n c"],
    second: Float[Tensor, "n c"],
    source_ids: Int64[Tensor, " n"],
    *,
    tau: float,
) -> tuple[Float[Tensor, ""], Stats]:
    """SimCLR's loss over 2N views of N images (Chen et al. 2020, equation 1 and algorithm 1).

    Of views of one source, only the two of one sample are a positive pair; others are left out.
    """
    both = torch.cat([first, second])
    labels = torch.arange(2 * len(first), device=both.device).roll(len(first))
    ids = source_ids.repeat(2)
    masked = (ids[:, None] == ids).scatter(1, labels[:, None], False)  # itself among them
    return in_batch_nce(both, both, labels, tau=tau, masked=masked)


def nce(
    query: Float[Tensor, "n c"],
    positive: Float[Tensor, "n c"],
    noise: Float[Tensor, "n k c"],
    *,
    tau: float,
    num_instances: int,
    constant: Float[Tensor, ""],
) -> tuple[Float[Tensor, ""], Stats]:
    """Noise-contrastive estimation as in InstDisc (Wu et al. 2018, equations 4 to 7).

    The model gives an instance the probability P = exp(similarity / tau) / Z, and the noise gives
    it 1 / n. Each positive is distinguished from its own K noise samples.

    Args:
        query: N queries of unit length.
        positive: the bank's entry of each query's instance.
        noise: K entries of the bank for each query, drawn uniformly.
        tau: temperature.
        num_instances: n, the number of entries of the bank.
        constant: Z, estimated by ``nce_constant``.
    """
    with torch.autocast(query.device.type, enabled=False):
        query, positive, noise = query.float(), positive.float(), noise.float()
        own = torch.einsum("nc,nc->n", query, positive) / tau
        others = torch.einsum("nc,nkc->nk", query, noise) / tau
        # The logits are log(P / (K / n)). Their sigmoid is the probability of data, the paper's h.
        offset = math.log(num_instances / noise.shape[1]) - constant.log()
        of_data = functional.logsigmoid(own + offset)
        of_noise = functional.logsigmoid(-(others + offset)).sum(1)
        losses = -of_data - of_noise
    with torch.no_grad():
        rank = (others >= own[:, None]).sum(1)
        num_noise = noise.shape[1]
        chance = math.log(num_noise + 1) + num_noise * math.log((num_noise + 1) / num_noise)
        stats = {
            "top1": (rank < 1).float().mean() * 100,
            "top5": (rank < 5).float().mean() * 100,
            "positive": own.mean() * tau,
            "negative": others.mean() * tau,
            "loss_minus_chance": losses.mean() - chance,
        }
    return losses.mean(), stats


def nce_constant(
    query: Float[Tensor, "n c"], noise: Float[Tensor, "n k c"], *, tau: float, num_instances: int
) -> Float[Tensor, ""]:
    """Estimate Z as n times the mean of exp(similarity / tau) (equation 6)."""
    with torch.autocast(query.device.type, enabled=False), torch.no_grad():
        similarities = torch.einsum("nc,nkc->nk", query.float(), noise.float())
        return num_instances * (similarities / tau).exp().mean()
