"""The folders of CUDA's libraries that Python packages carry, as LD_LIBRARY_PATH takes them."""

import sys
from pathlib import Path

folders = []
for root in dict.fromkeys(map(Path, sys.path)):
    folders += [*sorted(root.glob("nvidia/*/lib")), root / "torch/lib"]
print(":".join(str(folder) for folder in folders if folder.is_dir()))
