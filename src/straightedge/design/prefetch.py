"""An instruction to fetch memory before it is needed, for loops that Numba compiles.

Rows visited in a random order, and the rows of W that their columns name, lie where no processor expects them: most
of a visit is waiting. Asked for some visits ahead they are there. It changes no result, and never fails.

References:
    LLVM Language Reference Manual, "llvm.prefetch".
"""

from typing import Any

from numba.core import cgutils as generators
from numba.core import types
from numba.extending import intrinsic

cgutils: Any = generators  # which has no annotations
ir = cgutils.ir  # of the llvmlite that Numba works with
READ, KEEP, DATA = 0, 3, 1  # the arguments of llvm.prefetch: to be read, in all caches, no instructions


def _prefetch(typing_context: Any, array: Any, place: Any) -> Any:
    """Return how `prefetch` is called, and what writes its instruction; Numba asks when it compiles a call.

    Args:
        typing_context: Numba's.
        array: Type of the array.
        place: Type of the place in it: a whole number ≥ 0, or two of them for a table.
    """
    several = isinstance(place, types.BaseTuple)
    kinds = tuple(place) if several else (place,)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        own, at = arguments
        values = cgutils.unpack_tuple(builder, at) if several else [at]
        indices = [
            context.cast(builder, value, kind, types.intp) for value, kind in zip(values, kinds, strict=True)
        ]
        table = context.make_array(array)(context, builder, own)
        item = cgutils.get_item_pointer(context, builder, array, table, indices, wraparound=False)
        byte, word = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, word, word, word])
        function = builder.module.declare_intrinsic("llvm.prefetch", [byte], kind)
        builder.call(function, [builder.bitcast(item, byte), word(READ), word(KEEP), word(DATA)])
        return context.get_dummy_value()

    return types.void(array, place), generate


prefetch: Any = intrinsic(_prefetch)
