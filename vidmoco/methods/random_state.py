"""A random generator whose state is saved with a method's weights."""

import torch
from torch import Tensor, nn


class RandomState(nn.Module):
    """Holds a CPU generator, whose state is part of the state dict."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.generator = torch.Generator().manual_seed(seed)

    def get_extra_state(self) -> Tensor:
        """Return the state of the generator, uint8."""
        state: Tensor = self.generator.get_state()
        return state

    def set_extra_state(self, state: Tensor) -> None:
        """Restore a state that ``get_extra_state`` returned."""
        self.generator.set_state(state)
