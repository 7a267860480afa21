"""A real notebook, run without a browser: its kernel has an event loop of its own, and shows the result as HTML.

Needs the extra `notebook`.
"""

import pytest

CELLS = [
    """
import numpy as np, torch, stitchtui
from sklearn.datasets import load_digits
digits = load_digits()
x, y = (digits.images * 15.9375).astype(np.uint8), digits.target
images = x[:600], y[:600], x[600:900], y[600:900]
def network(seed):
    torch.manual_seed(seed)
    layers = torch.nn
    return layers.Sequential(layers.Conv2d(1, 8, 3), layers.ReLU(), layers.Flatten(), layers.Linear(288, 10))
""",
    "result = stitchtui.stitch(network(0), network(1), images, cuts=['1'], steps=5, device='cpu')\nresult",
    "assert len(result.penalties) == 1",
]


@pytest.mark.slow
def test_a_notebook_shows_the_grid() -> None:
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in CELLS])
    NotebookClient(notebook, timeout=250, kernel_name="python3").execute()
    shown = [output for cell in notebook.cells for output in cell.outputs]
    assert not [output for output in shown if output.output_type in ("error", "stream")]
    assert any("<table" in output.get("data", {}).get("text/html", "") for output in shown)
