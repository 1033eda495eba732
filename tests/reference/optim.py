"""The optimisers of the papers restated: one parameter at a time, as their papers write them."""

import math


def sgd(p, g, state, *, lr, momentum, decay):
    """V = m v + (g + wd p); p = p - lr v."""
    d = g + decay * p
    state["v"] = momentum * state.get("v", 0) + d
    return p - lr * state["v"]


def lars(p, g, state, *, lr, momentum, decay, trust, excluded):
    """MoCo v3's: excluded parameters are plain momentum SGD without decay."""
    d = g
    if not excluded:
        d = d + decay * p
        p_norm, d_norm = float((p * p).sum()) ** 0.5, float((d * d).sum()) ** 0.5
        d = d * (trust * p_norm / d_norm if p_norm > 0 and d_norm > 0 else 1.0)
    state["mu"] = momentum * state.get("mu", 0) + d
    return p - lr * state["mu"]


def adamw(p, g, state, *, lr, decay, beta1=0.9, beta2=0.999, eps=1e-8):
    """Loshchilov and Hutter, algorithm 2, with the schedule in ``lr``."""
    state["t"] = t = state.get("t", 0) + 1
    state["m"] = beta1 * state.get("m", 0) + (1 - beta1) * g
    state["v"] = beta2 * state.get("v", 0) + (1 - beta2) * g * g
    m, v = state["m"] / (1 - beta1**t), state["v"] / (1 - beta2**t)
    return p - lr * decay * p - lr * m / (v.sqrt() + eps)


def rate(step):
    return 0.1 * (1 + math.cos(math.pi * step / 50)) / 2
