"""Volumes in and out: every format over dtypes and axes, placement in the world, and what is refused."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nfcodec import io
from nfcodec.errors import SignalError, UsageError
from nfcodec.io.lattice import arrange, axes_of
from nfcodec.io.placement import affine_of, affine_ras, spacing_of
from nfcodec.spec import Signal

h5py = pytest.importorskip("h5py", reason="HDF5 needs h5py")
nibabel = pytest.importorskip("nibabel", reason="NIfTI needs nibabel")
nrrd = pytest.importorskip("nrrd", reason="NRRD needs pynrrd")
tifffile = pytest.importorskip("tifffile", reason="TIFF needs tifffile")

SUFFIXES = [".h5", ".npy", ".npz", ".nrrd", ".nii", ".nii.gz", ".tif", ".raw"]
SHAPES = {"yx": (5, 6), "zyx": (4, 5, 6), "tzyx": (3, 4, 5, 6)}
DTYPES = ["bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "float16", "float32", "float64"]


def lattice(shape, dtype, channels=1, seed=0):
    rng = np.random.default_rng(seed)
    values = rng.normal(0, 50, (*shape, channels))
    if np.issubdtype(dtype, np.unsignedinteger) or dtype == "bool":
        values = np.abs(values)
    return (values > 30) if dtype == "bool" else values.astype(dtype)


def read_back(path, values, axes):
    """Read with what a bare format has to be told."""
    array_shape = values.shape if axes.endswith("c") else values.shape[:-1]
    if path.suffix == ".raw":
        return io.read(path, shape=array_shape, dtype=values.dtype, axes=axes)
    if path.suffix in (".npy", ".npz") and axes.endswith("c"):
        return io.read(path, axes=axes)
    return io.read(path)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("axes", SHAPES)
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_scalar_round_trip(tmp_path, suffix, axes, dtype):
    values = lattice(SHAPES[axes], dtype)
    path = tmp_path / f"a{suffix}"
    io.write_lattice(path, values, {"axes": axes})
    signal = read_back(path, values, axes)
    assert np.array_equal(signal.values, values if suffix != ".tif" or dtype != "bool" or axes != "yx" else values * 255)
    assert signal.meta["axes"] == axes
    assert signal.kind == ("image" if (suffix, axes) == (".tif", "yx") else "volume")
    assert signal.values.flags.c_contiguous and signal.values.dtype.isnative
    # formats without bool or half floats widen them
    assert signal.values.dtype == dtype or (suffix[:3] in (".nr", ".ni", ".ti") and dtype in ("bool", "float16"))
    json.dumps(signal.meta, allow_nan=False)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("channels", [2, 3, 4])
@pytest.mark.parametrize("axes", SHAPES)
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_channels_round_trip(tmp_path, suffix, axes, channels, dtype):
    values = lattice(SHAPES[axes], dtype, channels)
    path = tmp_path / f"a{suffix}"
    io.write_lattice(path, values, {"axes": f"{axes}c"})
    signal = read_back(path, values, f"{axes}c")
    if suffix[:4] == ".nii" and axes == "yx":
        # NIfTI has no vectors in a plane: a slice of depth 1
        assert np.array_equal(signal.values.reshape(values.shape), values)
    else:
        assert np.array_equal(signal.values, values)
        assert signal.meta["axes"] == f"{axes}c"


def test_a_single_stored_channel_keeps_its_axis(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((3, 4, 5, 1), np.uint8))
    signal = io.read(tmp_path / "a.npy", axes="zyxc")
    io.write_lattice(tmp_path / "b.npy", signal.values, signal.meta)
    assert np.load(tmp_path / "b.npy").shape == (3, 4, 5, 1)


# ---- axes and dtypes


@settings(max_examples=60, deadline=None)
@given(st.permutations("tzyxc"), st.integers(0, 3))
def test_arrange_puts_any_order_into_ours(order, missing):
    axes = "".join(a for a in order if a not in ("", "t", "z", "c")[missing])
    sizes = {"t": 2, "z": 3, "y": 4, "x": 5, "c": 6}
    array = np.arange(np.prod([sizes[a] for a in axes])).reshape([sizes[a] for a in axes])
    values, ordered = arrange("a", array, axes)
    assert values.shape == tuple(sizes[a] for a in "tzyx" if a in axes) + ((6,) if "c" in axes else (1,))
    index = {a: sizes[a] - 1 for a in axes}
    index["x"] = 1
    assert values[tuple(index.get(a, 0) for a in (ordered if "c" in axes else ordered + "c"))] == array[tuple(index[a] for a in axes)]


def test_axes_default_and_errors(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((4, 5, 3), np.uint8))
    assert io.read(tmp_path / "a.npy").extent == (4, 5, 3)
    signal = io.read(tmp_path / "a.npy", "image", axes="yxc")
    assert (signal.kind, signal.extent, signal.channels) == ("image", (4, 5), 3)
    assert np.array_equal(io.read(tmp_path / "a.npy", "image").values, signal.values)  # as an array given to `encode` is
    assert io.read(tmp_path / "a.npy", "image", quantity="normals").quantity == "normals"
    for shape in ((3, 5, 17), (2, 3, 4, 5)):
        np.save(tmp_path / "b.npy", np.zeros(shape, np.uint8))
        with pytest.raises(UsageError, match="an image has 2 axes.*; name its channels with axes, such as yxc"):
            io.read(tmp_path / "b.npy", "image")
    with pytest.raises(UsageError, match="one axis as flow"):
        np.save(tmp_path / "d.npy", np.zeros((9, 2), np.uint8))
        io.read(tmp_path / "d.npy", axes="tc", quantity="flow")
    io.write_lattice(tmp_path / "c.png", np.zeros((4, 5, 1), np.uint8))
    with pytest.raises(UsageError, match="store it as .npy and name its channels"):  # PNG takes no axes
        io.read(tmp_path / "c.png", quantity="flow")
    for axes in ("yx", "yyx", "abc", "zyc"):
        with pytest.raises(UsageError, match="axes"):
            io.read(tmp_path / "a.npy", axes=axes)
    np.save(tmp_path / "none.npy", np.zeros(()))
    with pytest.raises(SignalError, match="0-D"):
        io.read(tmp_path / "none.npy")
    np.save(tmp_path / "many.npy", np.zeros((4, 4, 17)))
    with pytest.raises(SignalError, match="17 channels"):
        io.read(tmp_path / "many.npy", axes="yxc")
    assert axes_of({"axes": "xy"}, 2) == "yx" and axes_of({"axes": "tyxc"}, 3) == "tyx" and axes_of({"axes": 7}, 4) == "tzyx"


def test_foreign_dtypes(tmp_path):
    def read(array):
        np.save(tmp_path / "a.npy", array)
        return io.read(tmp_path / "a.npy")

    values = np.arange(12).reshape(3, 4)
    big = read(values.astype(">i2"))
    assert big.values.dtype == np.dtype("int16") and np.array_equal(big.values[..., 0], values)
    wide = read(values.astype(np.int64))
    assert wide.values.dtype == np.int32 and wide.meta["stored_dtype"] == "int64" and wide.meta["dtype"] == "int32"
    assert read(values.astype(np.uint64) + 2**31).values.dtype == np.uint32
    assert np.array_equal(read(np.asfortranarray(values.astype("f4"))).values[..., 0], values)
    with pytest.raises(SignalError, match="64-bit integers from"):
        read(values.astype(np.int64) - 2**40)
    with pytest.raises(SignalError, match="complex"):
        read(values.astype(np.complex64))
    with pytest.raises(SignalError, match="dtype"):
        read(values.astype("U3"))


def test_non_finite_values_are_read_and_named(tmp_path):
    values = lattice((3, 4, 5), "float32")
    io.check_finite(Signal("volume", values))
    io.check_finite(Signal("volume", np.full((2, 2, 1), 3e38, np.float32)))
    values[1, 2, 3] = np.nan
    values[2, 0, 0] = -np.inf
    io.write_lattice(tmp_path / "a.npy", values)
    signal = io.read(tmp_path / "a.npy")
    json.dumps(signal.meta, allow_nan=False)
    with pytest.raises(SignalError, match=r"a.npy: 2 of 60 values are NaN or infinite, the first at index \(1, 2, 3, 0\)"):
        io.check_finite(signal)
    nothing = np.full((2, 2), np.nan)
    np.save(tmp_path / "n.npy", nothing)
    assert "value_range" not in io.read(tmp_path / "n.npy").meta


# ---- placement

PLACED = {
    "spacing": [2.0, 0.5, 0.25],
    "units": "mm",
    "space": "LPS",
    "affine": [[0.25, 0, 0, 10.0], [0, 0.5, 0, -20.0], [0, 0, 2.0, 30.0], [0, 0, 0, 1]],
}


@pytest.mark.parametrize("suffix", [".h5", ".nrrd", ".nii.gz"])
def test_placement_survives(tmp_path, suffix):
    values = lattice((4, 5, 6), "int16")
    io.write_lattice(tmp_path / f"a{suffix}", values, PLACED)
    meta = io.read(tmp_path / f"a{suffix}").meta
    assert meta["spacing"] == pytest.approx(PLACED["spacing"])
    assert meta["units"] == "mm"
    got = affine_ras(affine_of(meta, 3), meta["space"])
    assert np.allclose(got, affine_ras(np.array(PLACED["affine"]), "LPS"))
    assert got[0, 0] == -0.25 and got[1, 3] == 20 and got[2, 2] == 2


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", "float64"])
@pytest.mark.parametrize("suffix", [".h5", ".nrrd", ".nii", ".tif"])
def test_spacing_and_time_survive(tmp_path, suffix, dtype):
    meta = {"spacing": [3.0, 2.0, 0.5], "units": "mm", "time_step": 0.125, "axes": "tzyx"}
    io.write_lattice(tmp_path / f"a{suffix}", lattice((2, 3, 4, 5), dtype), meta)
    got = io.read(tmp_path / f"a{suffix}").meta
    assert got["spacing"] == pytest.approx(meta["spacing"])
    assert got["time_step"] == 0.125 and got["units"] == "mm"


def test_nrrd_header_survives(tmp_path):
    header = {
        "kinds": ["RGB-color", "domain", "domain", "domain"],
        "space": "left-posterior-superior",
        "space directions": np.array([[np.nan] * 3, [0, 2.0, 0], [1.0, 0, 0], [0, 0, 3.0]]),
        "space origin": [1.0, 2.0, 3.0],
        "space units": ["mm"] * 3,
        "content": "a head",
        "site": "B 12",
    }
    data = lattice((4, 5, 6), "uint8", 3)
    nrrd.write(str(tmp_path / "a.nrrd"), data, header, index_order="C")
    signal = io.read(tmp_path / "a.nrrd")
    assert np.array_equal(signal.values, data)
    assert signal.meta["spacing"] == [3.0, 1.0, 2.0] and signal.meta["space"] == "LPS"
    assert signal.meta["affine"] == [[0, 1, 0, 1], [2, 0, 0, 2], [0, 0, 3, 3], [0, 0, 0, 1]]
    io.write_lattice(tmp_path / "b.nrrd", signal.values, signal.meta)
    back = nrrd.read_header(str(tmp_path / "b.nrrd"))
    for key in ("space", "content", "site"):
        assert back[key] == header[key]
    assert np.array_equal(back["space directions"], header["space directions"], equal_nan=True)
    assert np.array_equal(back["space origin"], header["space origin"])
    assert io.read(tmp_path / "b.nrrd").meta == {**signal.meta, "source": "b.nrrd"}


def test_nrrd_lists_the_fastest_axis_first(tmp_path):
    (tmp_path / "a.nrrd").write_bytes(
        b"NRRD0004\ntype: uint8\ndimension: 3\nsizes: 4 3 2\nspacings: 0.5 1 2\nencoding: raw\n\n" + bytes(range(24))
    )
    signal = io.read(tmp_path / "a.nrrd")
    assert signal.extent == (2, 3, 4) and signal.meta["spacing"] == [2, 1, 0.5]
    assert signal.values[0, 0, 1, 0] == 1 and signal.values[1, 0, 0, 0] == 12


def test_nifti_header_survives(tmp_path):
    affine = np.array([[0, -2.0, 0, 7], [1.5, 0, 0, 8], [0, 0, 3, 9], [0, 0, 0, 1]])
    data = lattice((6, 5, 4), "int16")[..., 0]  # x, y, z
    image = nibabel.Nifti1Image(data, affine)
    image.set_sform(affine, 4)
    image.set_qform(affine, 1)
    header = image.header
    header.set_xyzt_units("micron", "msec")
    header["descrip"], header["cal_max"], header["intent_name"] = b"test 1", 99.5, b"what"
    raw = bytearray(image.to_bytes())
    raw[112:120] = np.array([0.5, -3.0], "<f4").tobytes()  # scl_slope, scl_inter
    (tmp_path / "a.nii").write_bytes(raw)

    signal = io.read(tmp_path / "a.nii")
    assert np.array_equal(signal.values[..., 0], data.transpose(2, 1, 0)), "as stored, slope not applied"
    assert signal.meta["spacing"] == [3, 2, 1.5] and signal.meta["units"] == "um"
    io.write_lattice(tmp_path / "b.nii.gz", signal.values, signal.meta)
    back = nibabel.load(tmp_path / "b.nii.gz")
    assert np.array_equal(back.affine, affine)
    assert back.dataobj.slope == 0.5 and back.dataobj.inter == -3
    assert np.array_equal(back.dataobj.get_unscaled(), data)
    for key in ("descrip", "cal_max", "intent_name", "sform_code", "qform_code", "bitpix"):
        assert back.header[key] == header[key], key
    assert np.allclose(back.get_qform(), affine, atol=1e-5)
    assert back.header.get_xyzt_units()[0] == "micron"
    assert io.read(tmp_path / "b.nii.gz").meta == {**signal.meta, "source": "b.nii.gz"}


def test_hdf5_dataset_and_attributes(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["small"] = np.zeros((2, 3, 4), np.uint8)
        file["deep/large"] = lattice((4, 5, 6), "uint16")[..., 0]
        file["deep/large"].attrs.update({"spacing_xyz": [1.0, 2.0, 3.0], "who": "me", "units": "um", "n": 3, "bad": np.nan})
        file["text"] = "hello"
        file["line"] = np.zeros(10000)
    signal = io.read(tmp_path / "a.h5")
    assert signal.extent == (4, 5, 6)
    assert signal.meta["spacing"] == [3, 2, 1] and signal.meta["units"] == "um"
    assert signal.meta["hdf5"]["dataset"] == "deep/large"
    json.dumps(signal.meta, allow_nan=False)
    assert io.read(tmp_path / "a.h5", dataset="/small").extent == (2, 3, 4)
    with pytest.raises(UsageError, match="'deep/large', 'line', 'small'"):
        io.read(tmp_path / "a.h5", dataset="nothing")

    io.write_lattice(tmp_path / "b.h5", signal.values, signal.meta)
    with h5py.File(tmp_path / "b.h5") as file:
        attrs = dict(file["deep/large"].attrs)
        assert attrs["who"] == "me" and attrs["n"] == 3 and "spacing_xyz" not in attrs
        assert attrs["spacing_zyx"].tolist() == [3, 2, 1]


def test_hdf5_and_npz_choose_or_ask(tmp_path):
    same = {"a": np.zeros((2, 3)), "b": np.ones((3, 2))}
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for key, value in same.items():
            file[key] = value
    np.savez(tmp_path / "a.npz", **same)
    for name in ("a.h5", "a.npz"):
        with pytest.raises(UsageError, match="equally large; name one with dataset: 'a', 'b'"):
            io.read(tmp_path / name)
        assert io.read(tmp_path / name, dataset="b").values.min() == 1
    np.savez(tmp_path / "c.npz", big=np.zeros((3, 4)), small=np.zeros((1, 2)))
    signal = io.read(tmp_path / "c.npz")
    assert signal.meta["npz"] == "big"
    io.write_lattice(tmp_path / "d.npz", signal.values, {**signal.meta, "spacing": [1.0, 2.0]})
    with np.load(tmp_path / "d.npz") as back:
        assert back["big"].shape == (3, 4) and back["spacing"].tolist() == [1, 2]
    np.savez(tmp_path / "none.npz", words=np.array(["a"]))
    with pytest.raises(SignalError, match="no numeric array"):
        io.read(tmp_path / "none.npz")


def test_tiff_stacks_of_other_tools(tmp_path):
    data = lattice((4, 5, 6), "uint8")[..., 0]
    tifffile.imwrite(tmp_path / "plain.tif", data.astype("f8"), photometric="minisblack", metadata=None)
    assert io.read(tmp_path / "plain.tif").meta["axes"] == "zyx"
    rgb = lattice((3, 5, 6), "uint8", 3)
    tifffile.imwrite(tmp_path / "rgb.tif", rgb, photometric="rgb", metadata=None)
    signal = io.read(tmp_path / "rgb.tif")
    assert signal.meta["axes"] == "zyxc" and np.array_equal(signal.values, rgb)
    multi = lattice((2, 3, 5, 6), "uint16")[..., 0]
    tifffile.imwrite(tmp_path / "zc.tif", multi, imagej=True, metadata={"axes": "ZCYX", "spacing": 2.5, "unit": "\\u00B5m"})
    signal = io.read(tmp_path / "zc.tif")
    assert signal.extent == (2, 5, 6) and signal.channels == 3 and signal.meta["units"] == "um"
    assert np.array_equal(signal.values, np.moveaxis(multi, 1, -1))


def test_malformed_placement_is_unknown_not_fatal(tmp_path):
    bad = {
        "spacing": [0, "x", float("nan")], "origin": "here", "affine": [[1, 2], 3], "dpi": [0, 1], "axes": "zzz", "units": 5,
        "time_step": "soon", "nrrd": [1], "nifti": {"slope": "a", "descrip": "\u20ac", "sform_code": 99}, "hdf5": {"dataset": "/", "attrs": 3},
        "npz": "../x", "icc_profile": "!!", "space": 3,
    }  # fmt: skip
    assert spacing_of(bad, 3) is None and affine_of(bad, 3) is None
    assert io.rescale_meta(bad, (2, 2, 2), None, (4, 4, 4)) == bad
    values = lattice((3, 4, 5), "uint8")
    for suffix in SUFFIXES:
        path = tmp_path / f"a{suffix}"
        io.write_lattice(path, values, bad)
        assert np.array_equal(read_back(path, values, "zyx").values, values)


# ---- refusals


@pytest.mark.parametrize("suffix", [".h5", ".npy", ".npz", ".nrrd", ".nii", ".nii.gz", ".tif"])
def test_cut_empty_and_foreign_files_get_one_line(tmp_path, suffix):
    values = lattice((4, 5, 6), "uint16")
    path = tmp_path / f"a{suffix}"
    io.write_lattice(path, values)
    data = path.read_bytes()
    rng = np.random.default_rng(2)
    # what ends a TIFF stack of ImageJ is a list of pages that its first page already tells
    cuts = [data[: len(data) // 2], data[: -40 if suffix != ".tif" else len(data) // 3], data[:7], b"not a volume at all " * 30]
    flips = []
    for _ in range(30):
        broken = bytearray(data)
        for at in rng.integers(0, min(len(data), 400), 3):
            broken[at] ^= 1 << rng.integers(8)
        flips.append(bytes(broken))
    for content in cuts:
        path.write_bytes(content)
        with pytest.raises(SignalError) as caught:
            io.read(path)
        assert "\n" not in str(caught.value) and path.name in str(caught.value)
    for content in flips:
        path.write_bytes(content)
        try:
            io.read(path)
        except UsageError as err:
            assert "\n" not in str(err)
    path.write_bytes(b"")
    with pytest.raises(SignalError, match="0 bytes"):
        io.read(path)


def test_claims_are_checked_before_memory_is_taken(tmp_path):
    (tmp_path / "bomb.nrrd").write_bytes(b"NRRD0004\ntype: uint8\ndimension: 3\nsizes: 90000 90000 90000\nencoding: raw\n\n")
    header = nibabel.Nifti1Header()
    header.set_data_dtype(np.float64)
    header.set_data_shape((30000, 30000, 30000))
    header["vox_offset"] = 352
    (tmp_path / "bomb.nii").write_bytes(header.binaryblock + bytes(4))
    with h5py.File(tmp_path / "bomb.h5", "w") as file:
        file.create_dataset("v", shape=(1 << 14, 1 << 14, 1 << 14), dtype="f8", chunks=(64, 64, 64))
    for name in ("bomb.nrrd", "bomb.nii", "bomb.h5"):
        with pytest.raises(SignalError, match="the limit is"):
            io.read(tmp_path / name)
    np.save(tmp_path / "zero.npy", np.zeros((3, 0, 4)))
    with pytest.raises(SignalError, match="holds no samples"):
        io.read(tmp_path / "zero.npy")


def test_objects_are_never_unpickled(tmp_path):
    np.save(tmp_path / "a.npy", np.array([[{}, {}]], object), allow_pickle=True)
    np.savez(tmp_path / "a.npz", x=np.array([[{}, {}]], object))
    for name in ("a.npy", "a.npz"):
        with pytest.raises(SignalError):
            io.read(tmp_path / name)


def test_raw_needs_the_right_shape(tmp_path):
    (tmp_path / "a.raw").write_bytes(bytes(range(24)))
    with pytest.raises(UsageError, match="pass shape"):
        io.read(tmp_path / "a.raw")
    with pytest.raises(SignalError, match="24 bytes, but shape .* takes 48"):
        io.read(tmp_path / "a.raw", shape=(2, 3, 4), dtype="uint16")
    with pytest.raises(UsageError, match="numpy dtype"):
        io.read(tmp_path / "a.raw", shape=(2, 3, 4), dtype="wide")
    assert io.read(tmp_path / "a.raw", shape=(2, 3, 4)).values[1, 0, 0, 0] == 12
    assert io.read(tmp_path / "a.raw", shape=(4, 3, 2), axes="xyz").extent == (2, 3, 4)
    assert io.read(tmp_path / "a.raw", shape=(3, 4), dtype=">u2").values[0, 1, 0] == 0x0203
