"""The HTML report of a comparison: whole, self-contained, escaped, and showing what was measured and decoded."""

import base64
import dataclasses
import io
import math
import re
import runpy
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from surfaces import inverted, sphere, without

from nfcodec.compare import report
from nfcodec.compare.match import matches, sentences
from nfcodec.compare.report import surfaces
from nfcodec.compare.report.colours import ramp
from nfcodec.compare.report.curves import Axis, Point, Series, chart
from nfcodec.compare.report.gallery import end_of_scale
from nfcodec.compare.report.images import largest_box, pixel_errors
from nfcodec.compare.report.render import View, distances, rasterise, seen_points, shade
from nfcodec.compare.report.volumes import slices_of
from nfcodec.compare.rows import NFCODEC, Codec, Comparison, Row, Skipped
from nfcodec.compare.sets import SetComparison
from nfcodec.errors import MissingExtraError
from nfcodec.geometry import TriangleTree
from nfcodec.measure import Report
from nfcodec.spec import Mesh, Signal

pytest.importorskip("matplotlib", reason="the report needs matplotlib")
Image = pytest.importorskip("PIL.Image", reason="the report needs pillow")
pytest.importorskip("igl", reason="distances need libigl")

ROOT = Path(__file__).resolve().parents[1]
NASTY = "<script>alert(1)</script>\"'&.png"
VOID = {"meta", "link", "img", "input", "br"}

SIZE = 64  # of pictures of surfaces here, for speed


@pytest.fixture(autouse=True)
def small_views(monkeypatch):
    monkeypatch.setattr(surfaces, "_SIZE", SIZE)


# ---------------------------------------------------------------- comparisons


def decoded_of(signal, strength):
    """The signal with an error that grows with `strength`."""
    if signal.mesh is not None:
        return Mesh(signal.mesh.vertices * (1 + strength / 1000), signal.mesh.faces)
    values = signal.values
    wave = np.resize([strength, -strength, 0], values.shape)
    if values.dtype.kind == "f":
        return values + wave.astype(values.dtype) / 100
    top = np.iinfo(values.dtype).max
    return np.clip(values.astype(np.int64) + wave, 0, top).astype(values.dtype)


def measured(signal, strength):
    """Figures that are right in kind; the report shows them and does not compute them."""
    if signal.mesh is not None:
        rms = strength / 1000
        return Report(-20 * math.log10(rms or 1e-12), 2 * rms, rms, rms / 2, 1.5, 3 * rms, 2.5, None, 1 - rms)
    db = math.inf if strength == 0 else 48 - 20 * math.log10(strength)
    return Report(db, float(strength), strength / 2, ssim=1 - strength / 100 if signal.kind == "image" else None)


def comparison_of(signal, codecs, **others):
    """codecs: name -> (strengths of its files' errors, small files last; lossless)."""
    rows, strengths = [], {}
    for c, (name, (levels, _)) in enumerate(codecs.items()):
        for rung, level in enumerate(levels):
            key = f"{name} {rung}"
            n_bytes = int((9000 + 1000 * c) / (1 + level)) + 100 + rung
            encode_s = 0.25 if name != NFCODEC else None
            rows.append(Row(name, f"level={level}", n_bytes, measured(signal, level), encode_s, 0.5, key, rung))
            strengths[key] = level
    defaults = dict(
        name="thing",
        signal=signal,
        source_bytes=54321,
        n_samples=math.prod(signal.extent) if signal.mesh is None else len(signal.mesh.vertices),
        codecs=tuple(Codec(name, f"lib{name} 1.2", "as it is", "", lossless) for name, (_, lossless) in codecs.items()),
        rows=tuple(rows),
        skipped=(Skipped("absent", "needs absentlib", "pip install absentlib"),),
        is_closed=True,
        unfinished="",
        facts={"machine": "a machine", "seconds": 12.0},
        decode=lambda row: decoded_of(signal, strengths[row.key]),
    )
    return Comparison(**{**defaults, **others})


CODECS = {NFCODEC: ((4, 8, 2), False), "A&B": ((3, 6, 12), False), "other": ((5, 9), False), "exact": ((0,), True)}


def array(*shape, dtype=np.uint8):
    rng = np.random.default_rng(0)
    return rng.random(shape).astype(dtype) if np.dtype(dtype).kind == "f" else rng.integers(20, 200, shape).astype(dtype)


SIGNALS = {
    "RGB image": Signal("image", array(30, 40, 3)),
    "one pixel": Signal("image", array(1, 1, 3)),
    "grey and alpha": Signal("image", array(12, 9, 2)),
    "16-bit RGB and alpha": Signal("image", array(20, 16, 4, dtype=np.uint16)),
    "float image": Signal("image", array(20, 16, 3, dtype=np.float32)),
    "volume": Signal("volume", array(8, 9, 10, 1)),
    "constant volume": Signal("volume", np.full((4, 4, 4, 1), 7, np.uint8)),
    "frames of channels": Signal("volume", array(5, 4, 6, 7, 2, dtype=np.float32)),
    "plane": Signal("volume", array(6, 50, 1, dtype=np.float64)),
    "line": Signal("volume", array(300, 1, dtype=np.float32)),
    "closed surface": Signal("sdf", mesh=sphere(2)),
    "open surface": Signal("udf", mesh=without(sphere(2), np.arange(128) < 9)),
}


@pytest.fixture(scope="module")
def pages():
    """Every kind of signal, once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(surfaces, "_SIZE", SIZE)
        return make_pages()


def make_pages():
    return {
        name: report.html(comparison_of(signal, CODECS, is_closed="open" not in name)) for name, signal in SIGNALS.items()
    }


class Page(HTMLParser):
    """Elements with their attributes and text; fails where tags do not match."""

    def __init__(self, text):
        super().__init__()
        self.open, self.elements = [], []
        self.feed(text)
        self.close()
        assert self.open == [], "elements that are not closed"

    def handle_starttag(self, tag, attributes):
        element = (tag, dict(attributes), [])
        self.elements.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes), []))

    def handle_endtag(self, tag):
        assert self.open and self.open[-1][0] == tag, f"</{tag}> closes {self.open[-1][0] if self.open else 'nothing'}"
        self.open.pop()

    def handle_data(self, data):
        for _, _, texts in self.open:
            texts.append(data)

    def all(self, tag, **attributes):
        return [(a, "".join(t)) for name, a, t in self.elements if name == tag and attributes.items() <= a.items()]

    def images(self, layer):
        """The pictures of a layer in their order."""
        found = [a["src"] for a, _ in self.all("img", **{"class": f"layer-{layer}"})]
        return [np.asarray(Image.open(io.BytesIO(base64.b64decode(src.partition(",")[2])))) for src in found]


def section_of(page, name):
    """The markup of one section."""
    return re.search(rf'<section id="{name}">.*?</section>', page, re.S)[0]


def cells_of(markup):
    """Texts of a table's body."""
    body = re.search(r"<tbody>(.*?)</tbody>", markup, re.S)[1]
    rows = re.findall(r"<tr.*?</tr>", body, re.S)
    text = [[re.sub(r"<[^>]*>", "", cell).strip() for cell in re.findall(r"<t[hd].*?</t[hd]>", row, re.S)] for row in rows]
    return [[cell.replace("&amp;", "&") for cell in row] for row in text]


# ---------------------------------------------------------------- the page


@pytest.mark.parametrize("name", SIGNALS)
def test_a_page_is_well_formed_and_needs_nothing_else(pages, name):
    page = Page(pages[name])
    assert not re.search(r"https?:|@import|url\((?!#)", pages[name])
    for tag, attributes, _ in page.elements:
        assert "src" not in attributes or (tag == "img" and attributes["src"].startswith("data:image/webp;base64,")), tag
        assert attributes.get("href", "#").startswith(("#", "data:,")), tag
    assert page.all("style")[0][1].strip().startswith(":root") and '"use strict"' in page.all("script")[0][1]
    ids = [attributes["id"] for tag, attributes, _ in page.elements if "id" in attributes and tag == "section"]
    assert ids == ["curves", "matched", "pictures", "files", "how"]


@pytest.mark.parametrize("name", SIGNALS)
def test_every_codec_is_everywhere(pages, name):
    page = Page(pages[name])
    assert [text for _, text in page.all("button", **{"class": "key"})] == list(CODECS)
    lossy = [codec for codec, (_, lossless) in CODECS.items() if not lossless]
    n_groups = pages[name].count('<div class="group"')
    captions = [text for _, text in page.all("figcaption")][2:]  # those of the curves come first
    for codec in lossy:
        assert sum(text.startswith(codec) for text in captions) == n_groups, codec
    assert sum(text.startswith("exact") for text in captions) == 0
    how = section_of(pages[name], "how")
    for codec in CODECS:
        assert f"lib{codec} 1.2; as it is".replace("&", "&amp;") in how
    assert "pip install absentlib" in how and "a machine" in how


@pytest.mark.parametrize("name", ["RGB image", "volume", "closed surface", "open surface"])
def test_the_figures_are_those_of_the_rows(pages, name):
    comparison = comparison_of(SIGNALS[name], CODECS, is_closed=name != "open surface")
    rows = [row for codec in comparison.codecs for row in comparison.rows_of(codec.name)]
    found = cells_of(section_of(pages[name], "files"))
    assert [(c[0], c[1], c[2]) for c in found] == [(r.codec, r.setting, f"{r.n_bytes:,}") for r in rows]
    for cells, row in zip(found, rows):
        r = row.report
        if comparison.is_surface:
            errors = [r.rms_symmetric, r.rms, r.rms_back, r.max_error, r.max_back]
            assert [float(c) for c in cells[5:10]] == pytest.approx(errors, rel=0.05)
            assert cells[10:12] == ["1.50\u00b0", "2.50\u00b0"] and float(cells[12]) == pytest.approx(r.iou, abs=1e-5)
        else:
            assert cells[5] == ("lossless" if math.isinf(r.psnr_db) else f"{r.psnr_db:.2f}")
            rest = [r.rms, r.max_error] if name == "volume" else [r.ssim, r.rms, r.max_error]
            assert [float(c) for c in cells[6:-2]] == pytest.approx(rest, rel=1e-3)
        assert cells[-2:] == ["" if row.encode_s is None else "0.2 s", "0.5 s"]
    points = [text for _, text in Page(pages[name]).all("title")[1:]]
    for row in rows:
        starts = f"{row.codec}\n{row.setting}\n{row.n_bytes:,} bytes"
        assert sum(text.startswith(starts) for text in points) == 2, starts  # one in each of both curves


def test_the_matched_table_puts_nfcodec_in_its_place(pages):
    comparison = comparison_of(SIGNALS["RGB image"], CODECS)
    reference = comparison.reference
    found = {match.codec: match for match in matches(comparison, reference)}
    cells = cells_of(section_of(pages["RGB image"], "matched"))
    sizes = {NFCODEC: reference.n_bytes, **{name: match.bytes_at_error or math.inf for name, match in found.items()}}
    assert [row[0] for row in cells] == sorted(sizes, key=sizes.get)
    for row in cells:
        if row[0] != NFCODEC:
            match = found[row[0]]
            if match.bytes_ratio is None:
                assert row[1:3] == ["never as good", ""]
            else:
                assert float(row[2].rstrip("x")) == pytest.approx(match.bytes_ratio, abs=0.006)
            assert row[5:7] == [match.nearest.setting, f"{match.nearest.n_bytes:,}"]
    assert found["other"].bytes_ratio is None  # both cases are there
    assert "never as small" in next(row for row in cells if row[0] == "exact")[3]
    head = Page(pages["RGB image"]).all("p", **{"class": "verdict"})
    assert [text for _, text in head] == sentences(comparison)


def test_names_are_escaped():
    codecs = {NFCODEC: ((4, 8), False), NASTY: ((3, 6), False)}
    comparison = comparison_of(SIGNALS["RGB image"], codecs, name=NASTY, facts={NASTY: NASTY})
    comparison = dataclasses.replace(
        comparison,
        rows=tuple(dataclasses.replace(row, setting=NASTY) for row in comparison.rows),
        codecs=tuple(dataclasses.replace(c, version=NASTY, how=NASTY, aim=NASTY) for c in comparison.codecs),
        skipped=(Skipped(NASTY, NASTY, NASTY),),
        unfinished=NASTY,
    )
    text = report.html(comparison)
    page = Page(text)
    assert "<script>alert" not in text and len(page.all("script")) == 1
    assert page.all("h1") == [({}, NASTY)]
    set_text = report.html_of_set(
        SetComparison(NASTY, (dataclasses.replace(comparison, unfinished=""),), ((NASTY, NASTY),), NASTY)
    )
    assert "<script>alert" not in set_text and Page(set_text).all("h1") == [({}, NASTY)]


def test_the_same_comparison_gives_the_same_bytes(pages):
    for name in ("RGB image", "frames of channels", "closed surface"):
        assert report.html(comparison_of(SIGNALS[name], CODECS)) == pages[name], name


# ---------------------------------------------------------------- what may be missing


@pytest.mark.parametrize("package", ["matplotlib", "PIL"])
def test_without_a_package_the_error_names_it(package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    for write in (lambda: report.html(comparison_of(SIGNALS["volume"], CODECS)), report.require):
        with pytest.raises(MissingExtraError, match=r"nfcodec\[compare\]"):
            write()


def test_without_peers():
    text = report.html(comparison_of(SIGNALS["RGB image"], {NFCODEC: ((4, 8), False)}))
    assert [row[0] for row in cells_of(section_of(text, "matched"))] == [NFCODEC]
    assert len(Page(text).images(0)) == 2  # the source and ours


@pytest.mark.parametrize("name", ["RGB image", "volume", "closed surface"])
def test_with_lossless_peers_only(name):
    codecs = {NFCODEC: ((4, 8), False), "exact": ((0,), True)}
    text = report.html(comparison_of(SIGNALS[name], codecs))
    Page(text)
    assert text.count(">lossless</text>") == 2  # the row above each of both curves


def test_a_codec_without_files_is_named_but_not_drawn():
    text = report.html(comparison_of(SIGNALS["volume"], {**CODECS, "empty": ((), False)}))
    assert "empty" not in [label for _, label in Page(text).all("button")]
    assert "libempty 1.2" in section_of(text, "how")


def test_without_files_of_nfcodec():
    text = report.html(comparison_of(SIGNALS["volume"], {**CODECS, NFCODEC: ((), False)}))
    Page(text)
    assert 'id="matched"' not in text and 'id="files"' in text and "nfcodec has no file of this signal" in text


def test_without_any_file():
    text = report.html(comparison_of(SIGNALS["volume"], {NFCODEC: ((), False)}))
    Page(text)
    assert 'id="curves"' not in text and 'id="how"' in text


def test_an_unfinished_comparison_says_so(pages):
    text = report.html(comparison_of(SIGNALS["volume"], CODECS, unfinished="time limit"))
    assert "Not finished (time limit)" in Page(text).all("p", **{"class": "warning"})[0][1]
    assert Page(pages["volume"]).all("p", **{"class": "warning"}) == []


@pytest.mark.parametrize("name", ["RGB image", "volume", "closed surface"])
def test_ours_without_error(name):
    codecs = {NFCODEC: ((0, 8), False), "other": ((0,), False), "lossy": ((5, 9), False)}
    Page(report.html(comparison_of(SIGNALS[name], codecs)))


def test_without_decoded_output():
    comparison = comparison_of(SIGNALS["volume"], CODECS, decode=None)
    text = report.html(comparison)
    assert "no decoded output at hand" in section_of(text, "pictures") and Page(text).all("img") == []


@pytest.mark.parametrize("name", ["RGB image", "volume", "closed surface"])
@pytest.mark.parametrize("failing", [NFCODEC, "other"])
def test_one_file_that_cannot_be_decoded(name, failing):
    comparison = comparison_of(SIGNALS[name], CODECS)

    def decode(row):
        if row.codec == failing:
            raise ValueError("the cache is <gone>")
        return comparison.decode(row)

    text = report.html(dataclasses.replace(comparison, decode=decode))
    assert text.count("ValueError: the cache is &lt;gone&gt;") == text.count('<div class="group"')
    assert len(Page(text).images(1)) == 2 * text.count('<div class="group"')  # error maps of the others


# ---------------------------------------------------------------- pictures


def test_pictures_are_the_decoded_pixels_and_maps_their_errors(pages):
    signal = SIGNALS["RGB image"]
    comparison = comparison_of(signal, CODECS)
    nearest = [comparison.reference, *(m.nearest for m in matches(comparison, comparison.reference) if m.codec != "exact")]
    page = Page(pages["RGB image"])
    pictures, maps = page.images(0), page.images(1)
    assert np.array_equal(pictures[0], signal.values)
    errors = [pixel_errors(signal.values, comparison.decode(row)) for row in nearest]
    end = end_of_scale(errors[0].ravel(), lambda: 0.0)
    for row, picture, shown, error in zip(nearest, pictures[1:], maps, errors, strict=True):
        assert np.array_equal(picture, comparison.decode(row))
        assert np.array_equal(shown, ramp(error / end)), row.codec  # one scale for all
    captions = [text for _, text in page.all("figcaption")][3:]
    for row, caption in zip(nearest[1:], captions[1:], strict=True):
        ratio = row.n_bytes / nearest[0].n_bytes
        assert ("as nfcodec" in caption) == (abs(ratio - 1) <= 0.02) and row.setting in caption
        if abs(ratio - 1) > 0.02:
            assert f"{ratio:.3g} times nfcodec's" in caption


def test_the_scale_ends_where_our_errors_do():
    assert end_of_scale(np.arange(1001) / 1000, lambda: 9.0) == 1.0  # 0.995, two digits, rounded up
    assert end_of_scale(np.zeros(5), lambda: 0.0312) == pytest.approx(0.032)
    assert end_of_scale(np.empty(0), lambda: 0.0) == 1.0
    assert end_of_scale(np.full(3, 2e-7), lambda: 0.0) == pytest.approx(2e-7)


def test_large_pictures_are_cropped_where_errors_are_largest():
    rng = np.random.default_rng(1)
    signal = Signal("image", rng.integers(60, 190, (700, 900, 3)).astype(np.uint8))
    places = {NFCODEC: (100, 650), "other": (500, 200)}
    comparison = comparison_of(signal, {NFCODEC: ((4,), False), "other": ((3, 6), False), "third": ((9,), False)})

    def decode(row):
        values = signal.values.copy()
        if row.codec in places:
            y, x = places[row.codec]
            values[y : y + 20, x : x + 20] += 50
        return values

    text = report.html(dataclasses.replace(comparison, decode=decode))
    titles = [title for _, title in Page(text).all("h3")][:2]
    assert "of nfcodec is largest" in titles[0] and "of other is largest, apart from crop 1" in titles[1]
    ours, theirs, third = (Page(text).images(1)[i::3] for i in range(3))
    zero = ramp(np.zeros(1))[0]
    assert (ours[0] != zero).any() and (ours[1] == zero).all()
    assert (theirs[1] != zero).any() and (theirs[0] == zero).all()
    assert all((picture == zero).all() for picture in third)
    page = Page(text)
    assert len(page.all("div", **{"class": "overview"})) == 1
    source = page.images(0)[0]
    assert max(source.shape) <= 384
    windows = np.lib.stride_tricks.sliding_window_view(signal.values[..., 0], source.shape[:2])
    assert (windows[:, :, 0, 0] == source[0, 0, 0]).any()
    y, x = next(
        (y, x)
        for y, x in np.argwhere(windows[:, :, 0, 0] == source[0, 0, 0])
        if np.array_equal(windows[y, x], source[..., 0])
    )
    assert y <= 100 and 120 <= y + source.shape[0] and x <= 650 and 670 <= x + source.shape[1]


def test_boxes_hold_the_largest_sum_and_keep_apart():
    errors = np.zeros((60, 80))
    errors[10:14, 20:24] = 5
    errors[40:44, 60:64] = 4
    first = largest_box(errors, 16)
    assert errors[first].sum() == 16 * 5 and errors[first].shape == (16, 16)
    second = largest_box(errors, 16, first)
    assert errors[second].sum() == 16 * 4
    assert largest_box(errors, 500) == (slice(0, 60), slice(0, 80))
    assert largest_box(errors, 500, first) == (slice(0, 60), slice(0, 80))


def test_slices_are_the_middle_ones():
    values = array(5, 8, 10, 12, 2, dtype=np.float32)
    titles, planes, step = slices_of(values, 64)
    assert titles[0] == "Slice z = 4 of 8, frame 2 of 5" and step == 1
    frame = values[2, ..., 0]
    for plane, expected in zip(planes, (frame[4], frame[:, 5], frame[:, :, 6]), strict=True):
        assert np.array_equal(plane, expected)
    titles, planes, step = slices_of(values[0], 6)
    assert step == 2 and np.array_equal(planes[0], values[0, 4, ::2, ::2, 0])
    assert [plane.shape for plane in slices_of(values[0, 0], 64)[1]] == [(10, 12)]
    assert [plane.shape for plane in slices_of(values[0, 0, 0], 64)[1]] == [(1, 12)]


def test_volumes_are_shown_in_the_range_of_the_source(pages):
    signal = SIGNALS["volume"]
    low, high = int(signal.values.min()), int(signal.values.max())
    expected = np.rint((signal.values[4, ..., 0].astype(float) - low) * 255 / (high - low))
    assert np.array_equal(Page(pages["volume"]).images(0)[0][..., 0], expected)


# ---------------------------------------------------------------- curves


def places_of(drawing):
    """(x, y, opacity) of the marks of a chart, by the first line of their title."""
    found = re.findall(r'<g class="point"[^>]*><title>(.*?)</title>(.*?)</g>\s*</g>', drawing, re.S)
    out = {}
    for title, body in found:
        use = re.search(r'<use [^>]*x="([\d.]+)" y="([\d.]+)" style="([^"]*)"', body)
        opacity = re.search(r"fill-opacity: ([\d.]+)", use[3])
        out[title.split("\n")[1]] = float(use[1]), float(use[2]), float(opacity[1]) if opacity else 1.0
    return out


@pytest.mark.parametrize("log", [False, True])
def test_curves_join_the_front_and_better_is_higher(log):
    points = [Point(100, 20, "a"), Point(1000, 25, "b"), Point(10000, 24, "c"), Point(100000, 30, "d")]
    drawing = chart(
        "c", [Series(0, "ours", points), Series(1, "exact", [Point(5000, math.inf, "e")], True)], Axis("q", log)
    )
    places = places_of(drawing)
    x = [places[name][0] for name in "abcd"]
    assert np.diff(x) == pytest.approx([x[1] - x[0]] * 3, abs=0.01)  # decades of bytes are equally far
    y = {name: places[name][1] for name in places}
    assert y["e"] < y["d"] < y["b"] < y["c"] < y["a"]  # y counts downwards
    if not log:
        assert (y["a"] - y["b"]) / (y["a"] - y["d"]) == pytest.approx(0.5, abs=1e-3)
    assert [places[name][2] for name in "abcde"] == [1, 1, 0.3, 1, 1]
    (line,) = re.findall(r'<g class="line" data-codec="0">.*?d="([^"]*)"', drawing, re.S)
    assert len(re.findall(r"[ML] ", line)) == 3


def test_a_chart_of_one_point_and_of_none():
    assert "<svg" in chart("c", [Series(0, "ours", [Point(5, 20, "a")])], Axis("q"))
    assert chart("c", [Series(0, "ours", [])], Axis("q")) == ""


# ---------------------------------------------------------------- surfaces


def test_a_sphere_is_seen_as_a_sphere():
    mesh = sphere(4)
    view = View.around(mesh, 30, 20, "y", 96)
    face, depth = rasterise(mesh, view)
    assert (face >= 0).mean() == pytest.approx(math.pi / 4 / 1.06**2, abs=0.01)
    points = seen_points(face, depth, view)
    assert np.linalg.norm(points, axis=1) == pytest.approx(1, abs=0.01)
    assert (points @ view.axes[2] > -0.1).all()  # the near side
    other = sphere(4, radius=1.25)
    found = distances(face, depth, view, TriangleTree(other.vertices, other.faces))
    assert found[face >= 0] == pytest.approx(0.25, abs=0.01) and (found[face < 0] == 0).all()


def test_faces_from_behind_are_red():
    mesh = sphere(2)
    view = View.around(mesh, 0, 0, "y", 32)
    for seen, is_red in ((mesh, False), (inverted(mesh), True)):
        rgba = shade(seen, rasterise(seen, view)[0], view)
        middle = rgba[16, 16]
        assert (middle[0] > 2 * middle[2]) == is_red and middle[3] == 1
        assert rgba[0, 0, 3] == 0


def test_surfaces_are_coloured_by_distance_in_one_scale():
    """Spheres around the source: every pixel of a map has the colour of their distance."""
    comparison = comparison_of(SIGNALS["closed surface"], {NFCODEC: ((20,), False), "other": ((10,), False)})
    text = report.html(comparison)
    page = Page(text)
    end = float(re.search(r"<span>([\d.e-]+) of the diagonal or more", text)[1])
    assert end == pytest.approx(0.02 / math.sqrt(12), rel=0.1)
    for layer in (1, 2):
        ours, theirs = page.images(layer)[:2]
        for picture, lightest in ((ours, True), (theirs, False)):
            seen = picture[picture[..., 3] == 255][:, :3].astype(float)
            assert len(seen) > 0.3 * picture.shape[0] * picture.shape[1]
            # nfcodec's distance is the end of the scale, yellow; half of it is red to orange
            assert (np.median(seen[:, 1]) > 150) == lightest


def test_the_tool_draws_with_the_same_rasteriser(tmp_path, monkeypatch):
    pytest.importorskip("trimesh", reason="meshes need trimesh")
    from nfcodec import io as signals

    signals.write_mesh(tmp_path / "a.ply", sphere(2))
    signals.write_mesh(tmp_path / "b.ply", sphere(2, radius=1.01))
    arguments = [str(tmp_path / "a.ply"), str(tmp_path / "b.ply"), "-o", str(tmp_path / "out.png"), "--size", "40"]
    monkeypatch.setattr(sys, "argv", ["render.py", *arguments])
    runpy.run_path(str(ROOT / "tools" / "render.py"), run_name="__main__")
    with Image.open(tmp_path / "out.png") as picture:
        assert picture.size == (160, 60)
        assert len(np.unique(np.asarray(picture).reshape(-1, 3), axis=0)) > 10


# ---------------------------------------------------------------- sets


def test_a_set_has_its_averages_and_every_signal():
    image = comparison_of(SIGNALS["RGB image"], CODECS, name="one.png")
    found = SetComparison(
        "folder",
        (
            image,
            dataclasses.replace(image, name="two.png"),
            comparison_of(SIGNALS["closed surface"], CODECS, name="a.obj"),
            comparison_of(SIGNALS["open surface"], CODECS, name="b.obj", is_closed=False),
            dataclasses.replace(image, name="cut.png", unfinished="interrupted"),
        ),
        (("bad.png", "reading bad.png: got nothing"),),
        "interrupted",
    )
    text = report.html_of_set(found)
    page = Page(text)
    assert not re.search(r"https?:", text) and text == report.html_of_set(found)
    assert [title for _, title in page.all("h2")] == ["2 images", "2 surfaces", "Not read or not encoded"]
    assert "one.png" in text and "cut.png" not in text and "reading bad.png" in text and "Not finished" in text
    images = section_of(text, "image")
    means = {row[0]: row for row in cells_of(images)}
    ratios = {match.codec: match.bytes_ratio for match in matches(image, image.reference)}
    for codec, ratio in ratios.items():  # two equal signals: their mean is theirs
        assert (ratio is None) == (means[codec][2] == "")
        assert ratio is None or float(means[codec][2].rstrip("x")) == pytest.approx(ratio, abs=0.006), codec
    surfaces = section_of(text, "surface")
    assert "A closed source is judged by" in surfaces and "An open source is judged each way apart" in surfaces
    assert report.html_of_set(SetComparison("empty", (), (), "")).count("<h1>") == 1
