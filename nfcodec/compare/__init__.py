"""Is it worth it for this signal? nfcodec and every installed peer at matched error and matched bytes.

    from nfcodec.compare import compare, sentences
    comparison = compare("photo.png")
    print(*sentences(comparison), sep="\\n")
"""

from .match import Match, matches, sentences
from .rows import NFCODEC, Codec, Comparison, Row, Skipped
from .run import TARGETS, compare
from .sets import SetComparison, by_kind, compare_set, means
from .store import Store, default_folder

__all__ = [
    "NFCODEC",
    "Codec",
    "Comparison",
    "Match",
    "Row",
    "SetComparison",
    "Skipped",
    "Store",
    "TARGETS",
    "by_kind",
    "compare",
    "compare_set",
    "default_folder",
    "matches",
    "means",
    "sentences",
]
