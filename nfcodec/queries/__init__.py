"""What engines and robots ask of a surface: what is closest, what does a ray hit. In world coordinates, many at once.

`surface` gives signed offsets and slopes, `closest` and `rays` answer. Needs numpy only; any number of threads may ask.
"""

from .closest import ClosestPoints, Seeds, closest_points
from .rays import RayHits, cast_rays

__all__ = ["ClosestPoints", "RayHits", "Seeds", "cast_rays", "closest_points"]
