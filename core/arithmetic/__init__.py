"""How one cell of a layer comes about, computed anew by NumPy from the numbers that the layer uses.

Each kind of layer is one function in one of these modules: it finds the patch of the input and the weights that belong
to the cell and says in steps what is done with them. Nothing is taken from TensorFlow's kernels but the numbers that go
in, so that the result can be held against what they gave.
"""

from core.arithmetic.explaining import explain
from core.arithmetic.task import Input, Task, input_number

__all__ = ["Input", "Task", "explain", "input_number"]
