"""Changes the repository's address wherever the project names it: links, Colab's buttons, the chapters' first cells.

Usage: python book/address.py https://github.com/OWNER/REPO

The address stands in `_config.yml`, and what repeats it is found by it. Outputs of chapters stay as they are.
"""

import re
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
FILES = ("_config.yml", "CITATION.cff", "README.md", "pyproject.toml", "book/*.md", "book/*.ipynb")
GITHUB = re.compile(r"https://github\.com/([\w.-]+/[\w.-]+?)(?:\.git)?/?")  # Colab opens notebooks from there


def change_address(root: Path, address: str) -> list[str]:
    """Writes the address into all files under the root that name the present one, and returns their names."""
    wanted = GITHUB.fullmatch(address)
    if wanted is None:
        raise ValueError(f"the address must be https://github.com/OWNER/REPO, got {address!r}")
    present = GITHUB.fullmatch(yaml.safe_load((root / "_config.yml").read_text())["repository"]["url"])
    assert present, "_config.yml holds such an address"
    mention = re.compile(rf"(github(?:\.com)?/){re.escape(present[1])}(?![\w-])")  # the second kind is Colab's
    changed = []
    for path in sorted(path for pattern in FILES for path in root.glob(pattern)):
        text = path.read_text(encoding="utf-8")
        replaced = mention.sub(rf"\g<1>{wanted[1]}", text)
        if replaced != text:
            path.write_text(replaced, encoding="utf-8")
            changed.append(path.relative_to(root).as_posix())
    return changed


if __name__ == "__main__":
    try:
        print(*change_address(ROOT, *sys.argv[1:]), sep="\n")
    except (TypeError, ValueError) as error:
        sys.exit(f"{error}\n{__doc__}")
