# ruff: noqa: T201 — it reports to whoever runs it
"""The codecs under atheris, which finds its own way by what each frame reaches.

    python -m tests.fuzz.atheris_codec [options of libFuzzer, for instance -max_total_time=60]

The first byte of an input chooses the format. Needs the dependency group `fuzz`.
"""

import sys
from importlib import import_module

from gatewright.protocol.codecs import JsonCodec, MsgpackCodec
from tests.fuzz.codec import Fuzzer, dec_hook
from tests.fuzz.corpus import Mutator

__all__ = ["main", "take"]

_FUZZERS = [Fuzzer(JsonCodec(dec_hook)), Fuzzer(MsgpackCodec(dec_hook))]


def take(data: bytes) -> None:
    """Read one input of libFuzzer as a frame; raises with a finding."""
    if data:
        fuzzer = _FUZZERS[data[0] % 2]
        rest = data[1:]
        binary = fuzzer.codec.binary
        fuzzer.take(rest if binary else rest.decode("utf-8", "surrogateescape"))


def main() -> int:
    try:
        # By name: it is optional, and the type checkers need not know it.
        atheris = import_module("atheris")
    except ModuleNotFoundError:
        print("atheris is not installed: install the dependency group `fuzz`", file=sys.stderr)
        return 1
    # What the mutator makes is a good place to start from, also without a corpus in files.
    for binary in (False, True):
        mutator = Mutator(1, binary=binary)
        for _ in range(1000):
            take(bytes([binary]) + mutator.next())
    atheris.instrument_all()
    atheris.Setup(sys.argv, take)
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
