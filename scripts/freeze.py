"""Writes constraints.txt: Moneyback's dependencies, and theirs, at the versions installed beside this Python.

A name and a version a line, nothing else: where a package comes from is the business of whoever installs it.
"""

import tomllib
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent


def main() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pins = sorted(set(pinned(declared(project))), key=lambda pin: pin.split("=="))
    (ROOT / "constraints.txt").write_text("\n".join(pins) + "\n", encoding="utf-8")
    print(f"constraints.txt: {len(pins)} packages")


def declared(project: dict[str, Any]) -> list[Requirement]:
    """Every requirement that pyproject.toml states, those of its extras included."""
    extras = project.get("optional-dependencies", {}).values()
    return [Requirement(each) for group in (project["dependencies"], *extras) for each in group]


def pinned(requirements: Iterable[Requirement]) -> Iterator[str]:
    """`name==version` of each requirement that applies here, and of all that it needs in turn."""
    waiting = [(requirement, extra) for requirement in requirements for extra in ("", *requirement.extras)]
    seen = set()
    while waiting:
        requirement, extra = waiting.pop()
        name = canonicalize_name(requirement.name)
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        try:
            found = distribution(name)
        except PackageNotFoundError:
            raise SystemExit(f"{name} is needed and not installed: run `make test` first, then freeze") from None
        yield f"{name}=={found.version}"
        for need in map(Requirement, found.requires or ()):
            if need.marker is None or need.marker.evaluate({"extra": extra}):
                waiting += [(need, wanted) for wanted in ("", *need.extras)]


if __name__ == "__main__":
    main()
