"""Colours of a mesh's parts, as trimesh reads and writes them: vertex and face colours, materials, textures.

Everything inside is sRGB-encoded; the vertex colours and factors of glTF are linear (glTF 2.0, section 3.9) and are
converted on the way in and out.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np

from nfcodec.errors import SignalError, UsageError
from nfcodec.spec import Mesh, Paint

from .gltf import COLOUR

__all__ = ["Painter", "glb_colours", "has_one_texture", "read_texture", "textured_surface", "to_bytes"]

_MAX_TEXELS = 1 << 28
_KNEE = 0.0031308  # of the sRGB curve, IEC 61966-2-1


def to_linear(colours: np.ndarray) -> np.ndarray:
    """sRGB-encoded -> linear light, 0 to 1."""
    return np.where(colours <= 12.92 * _KNEE, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)


def from_linear(colours: np.ndarray) -> np.ndarray:
    """Linear light -> sRGB-encoded, 0 to 1."""
    colours = np.clip(colours, 0, 1)
    return np.where(colours <= _KNEE, colours * 12.92, 1.055 * colours ** (1 / 2.4) - 0.055)


def to_bytes(colours: np.ndarray) -> np.ndarray:
    """Colours (V, 3) in 0 to 1 as opaque (V, 4) uint8."""
    out = np.full((len(colours), 4), 255, np.uint8)
    out[:, :3] = np.rint(np.clip(colours, 0, 1) * 255)
    return out


def glb_colours(surface: Any, colours: np.ndarray) -> Any:
    """Gives a trimesh mesh linear vertex colours in float32; returns the `tree_postprocessor` of its export.

    trimesh itself writes 8 bits, which linear light has too few of for dark colours.
    """
    surface.vertex_attributes["_COLOR_0"] = to_linear(np.clip(colours, 0, 1)).astype(np.float32)

    def name_colours(tree: dict[str, Any]) -> None:
        for mesh in tree["meshes"]:
            for primitive in mesh["primitives"]:
                if "_COLOR_0" in primitive["attributes"]:  # other meshes of a scene may have none
                    primitive["attributes"]["COLOR_0"] = primitive["attributes"].pop("_COLOR_0")

    return name_colours


def has_one_texture(paint: Paint | None) -> bool:
    """Whether all colours are those of a single texture."""
    return paint is not None and len(paint.textures) == 1 and bool((paint.which == 0).all() and (paint.corners == 1).all())


def textured_surface(trimesh: Any, mesh: Mesh, normals: np.ndarray | None) -> Any:
    """A trimesh mesh with the one texture of a painted mesh: vertices on seams become several."""
    from PIL import Image

    vertices = mesh.faces.reshape(-1)
    rows = np.empty(len(vertices), [("vertex", np.int64), ("u", np.float32), ("v", np.float32)])
    rows["vertex"] = vertices
    rows["u"], rows["v"] = mesh.paint.uv.reshape(-1, 2).T
    found, index = np.unique(rows, return_inverse=True)
    material = trimesh.visual.material.PBRMaterial(
        baseColorTexture=Image.fromarray(mesh.paint.textures[0]), metallicFactor=0.0, roughnessFactor=1.0
    )
    visual = trimesh.visual.TextureVisuals(uv=np.stack([found["u"], found["v"]], 1), material=material)
    ids = found["vertex"]
    return trimesh.Trimesh(
        mesh.vertices[ids], index.reshape(-1, 3), vertex_normals=None if normals is None else normals[ids], visual=visual,
        process=False, validate=False,
    )  # fmt: skip


def read_texture(path: str | Path) -> np.ndarray:
    """An image as (H, W, 3) uint8. UsageError where there is none, SignalError for what is no image."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            return _pixels(image, Path(path).name)
    except FileNotFoundError as err:
        raise UsageError(f"reading {str(path)!r}: there is no such file; check the path of the texture") from err
    except OSError as err:
        raise SignalError(f"reading {Path(path).name!r}: got no image ({err}), expected a texture such as a PNG") from err


def _pixels(image: Any, name: str) -> np.ndarray:
    if image.width * image.height > _MAX_TEXELS:
        raise SignalError(f"reading {name!r}: got a texture of {image.width} x {image.height}, expected fewer texels")
    return np.asarray(image.convert("RGB"))


class Painter:
    """Collects the colours of parts in their order; `paint` has those of all faces."""

    def __init__(self, path: Path, format: str, texture: np.ndarray | None):
        """texture: of all parts with texture coordinates, whatever their materials say."""
        self.name, self.is_linear, self.texture = path.name, format in ("glb", "gltf"), texture
        self.dropped: set[str] = set()
        self._parts: list[tuple[np.ndarray, np.ndarray, int]] = []
        self._textures: list[np.ndarray] = []
        self._known: dict[int, int] = {}
        self._is_painted = False
        self._plain: set[tuple[float, ...]] = set()

    def anew(self) -> Painter:
        """One for the same file without any parts yet."""
        other = copy.copy(self)
        other._parts, other._textures, other._known, other._plain, other._is_painted = [], [], {}, set(), False
        return other

    @property
    def one_colour(self) -> np.ndarray | None:
        """The colour (3,) of parts that `paint` has none for, since all have this one; None where no material says one."""
        return np.array(next(iter(self._plain))) if len(self._plain) == 1 and self.paint() is None else None

    def add(self, part: Any, corners: np.ndarray) -> None:
        """The colours of a trimesh part, whose faces have these corners (T, 3), ids into its vertices."""
        visual, n = part.visual, len(corners)
        colours, uv, which = np.ones((n, 3, 3), np.float32), np.zeros((n, 3, 2), np.float32), -1
        kind = getattr(visual, "kind", None)
        material = getattr(visual, "material", None)
        exact = part.vertex_attributes.get(COLOUR)
        if exact is not None:
            colours = self._given(exact)[corners]
            self._is_painted = True
        elif kind == "vertex":
            colours = self._given(visual.vertex_colors)[corners]
            self._is_painted = True
        elif kind == "face" and len(visual.face_colors) == n:
            colours = np.repeat(self._given(visual.face_colors)[:, None], 3, 1)
            self._is_painted = True
        if hasattr(visual, "uv"):
            found = getattr(visual, "uv", None)
            image = _image(material)
            has_uv = found is not None and len(found) == len(part.vertices) and bool(np.isfinite(found).all())
            if has_uv and (image is not None or self.texture is not None):
                which, uv = self._texture(image), np.asarray(found, np.float32)[corners]
            elif found is not None:
                self.dropped.add("uv")
            plain = _plain(material, self.is_linear)
            is_given = which >= 0 and self.texture is not None
            if plain is not None and not is_given and (image is None or self.is_linear):
                colours = colours * plain
                if which < 0:
                    self._plain.add(tuple(plain.tolist()))
        self._parts.append((colours.astype(np.float32), uv, np.full(n, which, np.int32)))

    def paint(self) -> Paint | None:
        """None where all is of one colour, which is no property of the surface that anybody would miss."""
        if not (self._is_painted or self._textures or len(self._plain) > 1):
            return None
        corners, uv, which = (np.concatenate(arrays) for arrays in zip(*self._parts))
        if not self._textures:
            return Paint(corners)
        return Paint(corners, uv, which, tuple(self._textures))

    def _given(self, colours: np.ndarray) -> np.ndarray:
        """(N, 3) float32, 0 to 1, of colours as trimesh has them."""
        colours = np.asarray(colours)[:, :3]
        most = np.iinfo(colours.dtype).max if colours.dtype.kind in "iu" else 1.0
        colours = np.nan_to_num(np.clip(colours / most, 0, 1))
        return (from_linear(colours) if self.is_linear else colours).astype(np.float32)

    def _texture(self, image: Any) -> int:
        key = 0 if self.texture is not None else id(image)
        if key not in self._known:
            self._known[key] = len(self._textures)
            self._textures.append(self.texture if self.texture is not None else _pixels(image, self.name))
        return self._known[key]


def _image(material: Any) -> Any:
    """The picture of a material that says what colour the surface has."""
    image = getattr(material, "baseColorTexture", None)
    if image is None:
        image = getattr(material, "image", None)
        # where a file names none, trimesh makes one up of the material's one colour
        image = image if "file_path" in getattr(image, "info", {}) else None
    return image if hasattr(image, "convert") else None


def _plain(material: Any, is_linear: bool) -> np.ndarray | None:
    """The one colour (3,) that a material has beside its picture."""
    for name in ("baseColorFactor", "diffuse"):
        colour = getattr(material, name, None)
        if colour is not None and np.shape(colour) in ((3,), (4,)):
            colour = np.asarray(colour)
            colour = np.clip(colour[:3] / (255.0 if colour.dtype.kind in "iu" else 1.0), 0, 1)
            return from_linear(colour) if is_linear and name == "baseColorFactor" else colour
    return None
