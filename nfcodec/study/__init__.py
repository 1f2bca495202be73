"""Which encoding, activation or structure suits a signal? All fitted at matched bytes, and how each of them learns.

    from nfcodec.study import study, table
    print(*table.as_lines(study("photo.png")), sep="\\n")
"""

from .members import ACTIVATIONS_USUAL, ENCODINGS_USUAL, Member, members_of
from .rows import Course, Moment, Row, Study
from .run import study

__all__ = ["ACTIVATIONS_USUAL", "ENCODINGS_USUAL", "Course", "Member", "Moment", "Row", "Study", "members_of", "study"]
