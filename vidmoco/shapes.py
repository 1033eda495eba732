"""Shape annotations: jaxtyping's where it is installed (the tests check them), else plain types.

Letters: N batch, C embedding or channel dimension, K queue length, H W image size, S crop size,
T frames, D feature dimension. ``Float[Tensor, "n c"]`` is a float tensor of shape (N, C).
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Float32, Float64, Int64, UInt8
else:
    try:
        from jaxtyping import Bool, Float, Float32, Float64, Int64, UInt8
    except ImportError:

        class _Unchecked:
            """Replaces jaxtyping: ``Float[Tensor, "n c"]`` is just ``Tensor``."""

            def __class_getitem__(cls, item: tuple[Any, str]) -> Any:
                return item[0]

        Bool = Float = Float32 = Float64 = Int64 = UInt8 = _Unchecked

__all__ = ["Bool", "Float", "Float32", "Float64", "Int64", "UInt8"]
