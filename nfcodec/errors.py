"""The exceptions of nfcodec. Every message is one line: what was done, got, expected, and what to do next.

    NfldError                     exit   anything that nfcodec refuses
    +-- UsageError                  2    arguments that do not fit together or the signal
    |   +-- SignalError             2    an input that cannot be encoded (NaN, empty mesh, unknown suffix ...)
    +-- TargetError                 1    the file is sound, but a target (size, PSNR, ...) was not met
    +-- FormatError                 3    bytes that are not a sound .nfld file
    |   +-- TruncatedError          3    the file ends before its own length
    |   +-- ChecksumError           3    a checksum does not match
    |   +-- LimitError              3    a count or size beyond the format's limits
    +-- UnsupportedError            4    a sound file of another draft, or with a feature this reader lacks
    +-- MissingExtraError           4    an optional package is not installed; the message has the pip line
"""

from __future__ import annotations

__all__ = [
    "ChecksumError",
    "FormatError",
    "LimitError",
    "MissingExtraError",
    "NfldError",
    "SignalError",
    "TargetError",
    "TruncatedError",
    "UnsupportedError",
    "UsageError",
]


class NfldError(Exception):
    """Base of every error that nfcodec raises on purpose; `exit_code` is what the command line returns."""

    exit_code = 2


class UsageError(NfldError):
    """Arguments that do not fit together, or do not fit the signal."""


class SignalError(UsageError):
    """An input signal that cannot be encoded."""


class TargetError(NfldError):
    """A requested size, quality or error was not met."""

    exit_code = 1


class FormatError(NfldError):
    """Bytes that are not a sound .nfld file. `code` is stable and names the broken rule (see spec/)."""

    exit_code = 3

    def __init__(self, message: str, code: str = "format"):
        super().__init__(message)
        self.code = code


class TruncatedError(FormatError):
    """The data end before the length that the file states."""

    def __init__(self, message: str, code: str = "truncated"):
        super().__init__(message, code)


class ChecksumError(FormatError):
    """A stored checksum does not match the bytes."""

    def __init__(self, message: str, code: str = "checksum"):
        super().__init__(message, code)


class LimitError(FormatError):
    """A count or size in the file is beyond the limits of the format."""

    def __init__(self, message: str, code: str = "limit"):
        super().__init__(message, code)


class UnsupportedError(NfldError):
    """A sound file that needs another version of nfcodec."""

    exit_code = 4

    def __init__(self, message: str, code: str = "unsupported"):
        super().__init__(message)
        self.code = code


class MissingExtraError(NfldError):
    """An optional dependency is not installed."""

    exit_code = 4

    @classmethod
    def of(cls, package: str, extra: str, what: str) -> "MissingExtraError":
        """The usual message: `what` needs `package`, which `pip install "nfcodec[extra]"` brings."""
        return cls(f'{what} needs the package {package!r}, which is not installed: run pip install "nfcodec[{extra}]"')
