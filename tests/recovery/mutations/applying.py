"""A pytest plugin that breaks one rule in the package, as it is imported.

Which one, `GATEWRIGHT_MUTANT` says; without it nothing is broken, and only the profile is there.
Nothing of it is in the package: the source is changed on its way from the file to the compiler.
"""

import os
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType

import msgspec
from hypothesis import Phase, settings

from tests.recovery.mutations.mutant import Mutant, mutated
from tests.recovery.mutations.running import VARIABLE

__all__: list[str] = []


class _Loader(SourceFileLoader):
    """Compiles a changed source, and leaves the compiled files of the real one alone."""

    def __init__(self, name: str, path: str, mutant: Mutant) -> None:
        super().__init__(name, path)
        self._mutant = mutant

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        source = self.get_data(path).decode()
        code: CodeType = self.source_to_code(mutated(self._mutant, source).encode(), path)
        return code


class _Finder(MetaPathFinder):
    def __init__(self, mutant: Mutant) -> None:
        self._mutant = mutant

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != self._mutant.module:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        assert spec is not None
        assert spec.origin is not None
        spec.loader = _Loader(fullname, spec.origin, self._mutant)
        return spec


def _apply(mutant: Mutant) -> None:
    loaded = [each for each in sys.modules if each.startswith("gatewright")]
    assert not loaded, f"too late to change anything: {loaded}"
    sys.meta_path.insert(0, _Finder(mutant))


# Which failure it is does not matter here, so nothing is spent on a shorter one.
settings.register_profile(
    "mutation",
    deadline=None,
    max_examples=200,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
)
if VARIABLE in os.environ:
    _apply(msgspec.json.decode(os.environ[VARIABLE], type=Mutant))
