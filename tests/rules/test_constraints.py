"""constraints.txt pins everything that is installed, by name and version alone, so that every install is the same.

Out of date? `make freeze`.
"""

import re
import tomllib
from importlib.metadata import distributions

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from scripts.freeze import declared
from tests.rules import tree

LINES = (tree.ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
PINS = dict(line.split("==", 1) for line in LINES)


def test_a_line_is_a_name_and_a_version():
    assert [line for line in LINES if not re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.+!]*", line)] == []
    names = [line.partition("==")[0] for line in LINES]
    assert names == sorted(set(names))


def test_every_requirement_is_pinned_to_a_version_it_allows():
    project = tomllib.loads((tree.ROOT / "pyproject.toml").read_text())["project"]
    wrong = [str(each) for each in declared(project) if not allowed(each)]
    assert wrong == []


def allowed(requirement: Requirement) -> bool:
    return requirement.specifier.contains(PINS.get(canonicalize_name(requirement.name), "0"))


def test_every_pin_installs_on_the_oldest_python():
    """Some packages refuse Python 3.11.2, which Debian has; for those, pin the newest version that takes it."""
    too_new = {
        each.name: wanted
        for each in distributions()
        for wanted in each.metadata.get_all("Requires-Python") or ()
        if canonicalize_name(each.name) in PINS and "3.11.0" not in SpecifierSet(wanted)
    }
    assert too_new == {}
