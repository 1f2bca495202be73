"""The physical box under a change of lattice, and outputs that appear whole or not at all."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nfcodec import io
from nfcodec.errors import UsageError

# ---- rescale_meta


def test_rescale_meta_leaves_an_equal_lattice_alone():
    meta = {"axes": "zyx", "spacing": [2.0, 0.5, 0.25], "origin": [1.0, 2.0, 3.0], "source": "a"}
    assert io.rescale_meta(meta, (4, 5, 6), None, (4, 5, 6)) == meta


def test_rescale_meta_by_hand():
    meta = {"axes": "zyx", "spacing": [1.0, 2.0, 3.0], "origin": [10.0, 20.0, 30.0]}
    got = io.rescale_meta(meta, (4, 4, 4), ((0, 1), (0.5, 1), (0, 1)), (8, 2, 1))
    # z: twice as fine, the first centre at a quarter instead of half of an old cell; y: the upper half; x: one sample
    assert got["spacing"] == [0.5, 2.0, 12.0]
    assert got["origin"] == [9.75, 24.0, 34.5]
    assert meta["spacing"] == [1.0, 2.0, 3.0], "the given meta is not changed"
    assert io.rescale_meta({"spacing": [1.0, 1.0]}, (2, 2), None, (4, 4))["origin"] == [-0.25, -0.25]
    timed = io.rescale_meta({"axes": "tyx", "time_step": 2.0}, (4, 3, 3), ((0.5, 1), (0, 1), (0, 1)), (4, 3, 3))
    assert timed["time_step"] == 1.0 and timed["time_origin"] == 3.5
    assert io.rescale_meta({"dpi": [100.0, 200.0]}, (10, 20), None, (20, 60))["dpi"] == pytest.approx([300, 400])


sizes = st.tuples(*[st.integers(1, 40)] * 3)
cuts = st.tuples(*[st.tuples(st.floats(0, 0.4), st.floats(0.6, 1))] * 3)


def test_parts_of_whole_samples_keep_their_spacing_exactly():
    """52 * (40 / 52 - 10 / 52) is not 30, and a raster of another resolution is not merged with its neighbour."""
    meta = {"spacing": [10.0, 0.1], "dpi": [300.0, 300.0], "geotiff": {"scale": [10.0, 10.0, 0.0], "tiepoints": [0.0] * 6}}
    region = ((10 / 40, 31 / 40), (10 / 52, 40 / 52))
    got = io.rescale_meta(meta, (40, 52), region, (21, 30))
    assert (got["spacing"], got["dpi"], got["geotiff"]["scale"]) == (meta["spacing"], meta["dpi"], meta["geotiff"]["scale"])
    assert got["geotiff"]["tiepoints"][3:5] == [100.0, -100.0] and got["origin"] == [100.0, 1.0]



@settings(max_examples=80, deadline=None)
@given(sizes, cuts, sizes, st.integers(0, 1 << 30))
def test_rescale_meta_keeps_the_physical_box(extent, region, out_shape, seed):
    rng = np.random.default_rng(seed)
    affine = np.eye(4)
    affine[:3] = rng.normal(size=(3, 4))
    spacing = np.linalg.norm(affine[:3, :3], axis=0)[::-1].tolist()
    meta = {"affine": affine.tolist(), "spacing": spacing, "axes": "zyx"}
    got = io.rescale_meta(meta, extent, region, out_shape)
    new = np.array(got["affine"])
    for end in (0, 1):
        # the region's corner in old and in new sample indices (x, y, z)
        old_index = [n * cut[end] - 0.5 for n, cut in zip(extent, region)][::-1]
        new_index = [m * end - 0.5 for m in out_shape][::-1]
        assert np.allclose(affine @ [*old_index, 1], new @ [*new_index, 1], atol=1e-9)
    assert np.allclose(np.linalg.norm(new[:3, :3], axis=0)[::-1], got["spacing"])
    json.dumps(got, allow_nan=False)


# ---- writing whole or not at all


def test_existing_files_are_refused_without_overwrite(tmp_path):
    path = tmp_path / "a.npy"
    io.write_lattice(path, np.zeros((2, 2, 1)))
    before = path.read_bytes()
    with pytest.raises(UsageError, match="--overwrite"):
        io.write_lattice(path, np.ones((2, 2, 1)))
    assert path.read_bytes() == before
    io.write_lattice(path, np.ones((2, 2, 1)), overwrite=True)
    assert np.load(path).min() == 1
    with pytest.raises(UsageError, match="does not exist"):
        io.write_lattice(tmp_path / "no" / "a.npy", np.zeros((2, 2, 1)))
    (tmp_path / "dir.npy").mkdir()
    with pytest.raises(UsageError, match="folder"):
        io.write_lattice(tmp_path / "dir.npy", np.zeros((2, 2, 1)), overwrite=True)
    with pytest.raises(UsageError, match="choose one of"):
        io.write_lattice(tmp_path / "a.stl", np.zeros((2, 2, 1)))
    with pytest.raises(UsageError, match="shape"):
        io.write_lattice(tmp_path / "b.npy", np.zeros(2))
