"""Rasters of the earth: their place and their holes come back, whatever the resolution."""

import json

import numpy as np
import pytest

import nfcodec
from nfcodec import io
from nfcodec.cli import main
from nfcodec.spec import Signal

tifffile = pytest.importorskip("tifffile", reason="GeoTIFF needs tifffile")

# EPSG:32632, metres, as GDAL writes it
KEYS = (1, 1, 0, 6, 1024, 0, 1, 1, 1025, 0, 1, 1, 1026, 34737, 22, 0, 2049, 34737, 7, 22, 3072, 0, 1, 32632, 3076, 0, 1, 9001)
ASCII = "WGS 84 / UTM zone 32N|WGS 84|"
SCALE, TIE = (30.0, 20.0, 0.0), (0.0, 0.0, 0.0, 500000.0, 5200000.0, 0.0)


def terrain(h=24, w=32, seed=0):
    """Elevations (h, w) float32 in metres: a few octaves of smooth noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:h, :w] / 8
    out = sum(200 / k * np.sin(k * x + rng.uniform(0, 6)) * np.cos(k * y + rng.uniform(0, 6)) for k in (1, 2, 4))
    return (800 + out).astype(np.float32)


def point_keys():
    keys = list(KEYS)
    keys[keys.index(1025) + 3] = 2
    return tuple(keys)


def save(path, array, nodata=None, keys=KEYS, more=(), place=None, **options):
    place = [(33550, 12, 3, SCALE, True), (33922, 12, 6, TIE, True)] if place is None else place
    tags = [*place, (34735, 3, len(keys), keys, True), (34737, 2, len(ASCII) + 1, ASCII, True), *more]
    if nodata is not None:
        tags.append((42113, 2, len(nodata) + 1, nodata, True))
    tifffile.imwrite(path, array, extratags=tags, metadata=None, **{"photometric": "minisblack", **options})


def geo(path):
    with tifffile.TiffFile(path) as file:
        page = file.pages[0]
        return {code: page.tags[code].value for code in (33550, 33922, 34264, 34735, 34737, 42112, 42113) if code in page.tags}


def world(path, column, row):
    """Where GDAL would see a place of the raster, counted from the corner of its first sample."""
    tags = geo(path)
    keys = tags[34735]
    if 1025 in keys and keys[keys.index(1025) + 3] == 2:
        column, row = column - 0.5, row - 0.5
    if 34264 in tags:
        return tuple((np.array(tags[34264]).reshape(4, 4) @ [column, row, 0, 1])[:2])
    sx, sy, _ = tags[33550]
    i, j, _, x, y, _ = tags[33922]
    return x + (column - i) * sx, y - (row - j) * sy


@pytest.mark.parametrize("keys", [KEYS, point_keys()], ids=["area", "point"])
@pytest.mark.parametrize("place", ["scale", "offset", "matrix"])
def test_the_place_follows_the_lattice(tmp_path, keys, place):
    tags = {
        "scale": None,
        "offset": [(33550, 12, 3, SCALE, True), (33922, 12, 6, (3.0, 5.0, 0.0, 500000.0, 5200000.0, 0.0), True)],
        "matrix": [(34264, 12, 16, (30.0, 4.0, 0.0, 5e5, -3.0, -20.0, 0.0, 5.2e6, 0, 0, 0, 0, 0, 0, 0, 1.0), True)],
    }[place]
    save(tmp_path / "a.tif", terrain(), keys=keys, place=tags)
    signal = io.read(tmp_path / "a.tif")
    h, w = signal.extent
    for number, (region, shape) in enumerate([(None, (24, 32)), (None, (48, 64)), (None, (7, 10)), (((0.25, 0.75), (0.5, 0.625)), (12, 4)), (((0.1, 0.9), (0.0, 0.3)), (50, 3))]):
        path = tmp_path / f"{number}.tif"
        io.write_lattice(path, np.zeros((*shape, 1), np.float32), io.rescale_meta(signal.meta, (h, w), region, shape))
        (top, bottom), (left, right) = region or ((0, 1), (0, 1))
        for q, (y, x) in {(0, 0): (top, left), (1, 1): (bottom, right), (0, 1): (top, right)}.items():
            assert world(path, q[1] * shape[1], q[0] * shape[0]) == pytest.approx(world(tmp_path / "a.tif", x * w, y * h), abs=1e-6)
        tags = geo(path)
        assert tags[34735] == keys and tags[34737].rstrip("\0") == ASCII


def test_ground_control_points_stay_in_the_world(tmp_path):
    points = (0.0, 0.0, 0.0, 10.0, 20.0, 0.0, 32.0, 24.0, 0.0, 12.0, 18.0, 0.0)
    save(tmp_path / "a.tif", terrain(), place=[(33922, 12, 12, points, True)])
    meta = io.rescale_meta(io.read(tmp_path / "a.tif").meta, (24, 32), ((0.0, 1.0), (0.5, 1.0)), (48, 16))
    io.write_lattice(tmp_path / "b.tif", np.zeros((48, 16, 1), np.float32), meta)
    found = np.array(geo(tmp_path / "b.tif")[33922]).reshape(2, 6)
    assert found[:, 3:5].tolist() == [[10, 20], [12, 18]] and found[:, :2].tolist() == [[-16, 0], [16, 48]]


@pytest.mark.parametrize("dtype, nodata", [(np.float32, "-9999"), (np.float32, "nan"), (np.float32, None), (np.int16, "-32768"), (np.uint16, "0"), (np.uint8, "255"), (np.float64, "-3.4028234663852886e+38")])
def test_holes_are_read_and_written(tmp_path, dtype, nodata):
    values = (terrain() / (5 if dtype == np.uint8 else 1)).astype(dtype)
    holes = np.hypot(*(np.mgrid[:24, :32] - np.array([12, 9])[:, None, None])) < 6
    nothing = np.nan if nodata is None else float(nodata)
    values[holes] = nothing if np.isnan(nothing) else dtype(nothing)
    save(tmp_path / "a.tif", values, nodata)
    signal = io.read(tmp_path / "a.tif")
    assert signal.has_alpha and signal.quantity == "measurement" and not signal.is_picture
    assert signal.values.dtype == dtype and np.array_equal(signal.values[..., 1] < signal.opaque / 2, holes)
    assert np.isfinite(signal.values).all() and signal.values[..., 0].min() == values[~holes].min()
    io.write_lattice(tmp_path / "b.tif", signal.values, signal.meta)
    again = tifffile.imread(tmp_path / "b.tif")
    assert again.dtype == dtype and np.array_equal(again, values, equal_nan=dtype != np.int16 and np.dtype(dtype).kind == "f")
    assert geo(tmp_path / "b.tif") == geo(tmp_path / "a.tif")


def test_other_dtypes_than_the_sources_have_holes_too(tmp_path):
    values = terrain()
    values[:3] = np.nan
    save(tmp_path / "a.tif", values, "nan")
    signal = io.read(tmp_path / "a.tif")
    io.write_lattice(tmp_path / "b.tif", np.rint(signal.values).astype(np.int16), signal.meta)
    assert (tifffile.imread(tmp_path / "b.tif")[:3] == -32768).all() and geo(tmp_path / "b.tif")[42113] == "-32768"


def test_colours_stay_colours(tmp_path):
    rgb = np.stack([terrain() / 5, terrain(seed=1) / 5, terrain(seed=2) / 5], -1).astype(np.uint8)
    rgb[:4] = 0
    save(tmp_path / "a.tif", rgb, "0", photometric="rgb")
    signal = io.read(tmp_path / "a.tif")
    assert signal.channels == 4 and signal.is_picture and signal.opaque == 255 and set(np.unique(signal.values[..., 3])) == {0, 255}
    changed = signal.values.copy()
    changed[10, 10, :3] = 0  # what is there must not become a hole
    io.write_lattice(tmp_path / "b.tif", changed, signal.meta)
    again = tifffile.imread(tmp_path / "b.tif")
    assert again.shape == rgb.shape and not again[:4].any() and again[10, 10].any()
    save(tmp_path / "c.tif", rgb.astype(np.uint16) * 9, photometric="minisblack", planarconfig="contig")
    signal = io.read(tmp_path / "c.tif")
    assert signal.channels == 3 and not signal.is_picture and not signal.has_alpha


def test_hostile_tags_are_dropped(tmp_path):
    io.write_lattice(tmp_path / "a.tif", np.zeros((3, 4, 1), np.float32), {"geotiff": {
        "scale": [1, "x", 2], "tiepoints": [1.0] * 5, "transformation": [float("inf")] * 16, "keys": [1, 1, 0, -1], "nodata": 7, "ascii": "\u00e9"}})
    assert geo(tmp_path / "a.tif") == {}
    assert io.rescale_meta({"geotiff": 7}, (3, 4), None, (6, 8))["geotiff"] == 7
    save(tmp_path / "b.tif", terrain(), place=[(33550, 12, 2, (1.0, 2.0), True)])
    with pytest.warns(UserWarning, match="scale is malformed"):
        assert "scale" not in io.read(tmp_path / "b.tif").meta["geotiff"]


def test_elevations_from_end_to_end(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    values = terrain(40, 48)
    holes = np.hypot(*(np.mgrid[:40, :48] - np.array([20, 20])[:, None, None])) < 9
    values[holes] = -9999
    save("a.tif", values, "-9999")
    assert main(["encode", "a.tif", "--effort", "1", "--json", "--quality", "70"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["kind"] == "image" and facts["psnr_db"] > 25 and facts["n_wrong_holes"] <= 8
    assert main(["verify", "a.nfld", "a.tif"]) == 0 and "wrong holes" in capsys.readouterr().out
    assert main(["decode", "a.nfld", "--out-dir", "back"]) == 0
    assert main(["decode", "a.nfld", "-o", "double.tif", "--scale", "2"]) == 0
    back, double = tifffile.imread("back/a.tif"), tifffile.imread("double.tif")
    assert back.dtype == np.float32 and ((back == -9999) != holes).sum() == facts["n_wrong_holes"]
    there = ~holes & (back != -9999)
    assert np.abs(back - values)[there].max() == pytest.approx(facts["max_error"]) and back[there].min() >= values[~holes].min()
    assert double.shape == (80, 96) and abs((double == -9999).mean() - holes.mean()) < 0.02
    assert geo("double.tif")[33550] == (15.0, 10.0, 0.0) and geo("double.tif")[33922] == TIE
    assert geo("back/a.tif") == geo("a.tif")


def test_a_guarantee_keeps_every_hole(tmp_path):
    values = (terrain() * 2).astype(np.int16)
    values[5:9, 3:20] = -32768
    save(tmp_path / "a.tif", values, "-32768")
    encoded = nfcodec.encode(tmp_path / "a.tif", tmp_path / "a.nfld", max_error=3, effort=1)
    assert encoded.report.n_wrong_holes == 0 and encoded.report.max_error <= 3
    assert main(["decode", str(tmp_path / "a.nfld"), "-o", str(tmp_path / "b.tif"), "--quiet"]) == 0
    again = tifffile.imread(tmp_path / "b.tif")
    assert np.array_equal(again == -32768, values == -32768) and np.abs(again.astype(int) - values).max() <= 3


def test_gdal_sees_the_same(tmp_path):
    rasterio = pytest.importorskip("rasterio", reason="GDAL itself was not asked: rasterio is not installed")
    values = terrain()
    values[:3] = -9999
    save(tmp_path / "a.tif", values, "-9999", keys=point_keys())
    signal = io.read(tmp_path / "a.tif")
    io.write_lattice(tmp_path / "b.tif", signal.values, signal.meta)
    half = io.rescale_meta(signal.meta, (24, 32), None, (12, 16))
    io.write_lattice(tmp_path / "c.tif", signal.values[::2, ::2], half)
    with rasterio.open(tmp_path / "a.tif") as a, rasterio.open(tmp_path / "b.tif") as b, rasterio.open(tmp_path / "c.tif") as c:
        assert a.crs == b.crs == c.crs and a.crs.to_epsg() == 32632 and a.transform == b.transform and a.nodata == b.nodata == -9999
        assert a.bounds == pytest.approx(c.bounds) and c.res == (60, 40)
        assert np.array_equal(a.read(1), b.read(1)) and a.dtypes == b.dtypes


def test_measurements_have_no_white():
    values = np.full((4, 4, 1), 700, np.uint16)
    assert Signal("image", values).is_picture and not Signal("image", values, meta={"quantity": "measurement"}).is_picture
