"""Limits of the format, checked before anything is allocated: spec/format.md lists the same, and a test compares them."""

from __future__ import annotations

MAX_DIMS = 4
MAX_CHANNELS = 16
MAX_PARTS = 4  # encodings side by side
MAX_LEVELS = 32
MAX_FEATURES_PER_LEVEL = 16
MAX_RESOLUTION = 1 << 22  # of one axis of one level
MAX_GRID_INTEGERS = 1 << 27  # over all levels
MAX_LOG2_HASHMAP_SIZE = 24
MAX_LOG2_CODEBOOK_SIZE = 12
MAX_LOG2_POINTS = 16
MAX_LOG2_VERTICES = 14  # of the meshes that carry features
MAX_REACH = 1 << 20  # of a point, in cells of its level's lattice
MAX_NEIGHBOURS = 256  # points of a level that reach into one cell of `reach` vertices a side
MAX_MLP_LAYERS = 16
MAX_MLP_WIDTH = 1024
MAX_EXTENT = 1 << 24  # of one axis of the source
MAX_SCENE_FIELDS = 1000
MAX_SCENE_NODES = 1 << 14
MAX_SCENE_BYTES = 1 << 23  # of all nodes, before they are compressed
MAX_SCENE_DEPTH = 32  # nodes one below another
MAX_SCENE_SCALE = 10**9  # of a node, and 1 over it the least
MAX_SCENE_TRANSLATION = 10**18
MAX_NAME_BYTES = 255  # of a node, UTF-8
MAX_OUTPUT_VALUES = 1 << 28  # default cap of one decode call; the caller's choice, never the file's
