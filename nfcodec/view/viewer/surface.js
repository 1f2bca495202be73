/** Surfaces: rays step by their distance, the lattice far from them and the field near them; orbit, light, normals, a slice and levels. */
import { edgesOf } from "./box.js";
import { DrawnField, drawLattice } from "./drawn.js";
import { MeshDrawing, meshOf } from "./mesh.js";
import { Placing, rectangleOf } from "./placing.js";
import { surfaceRays } from "./surface-rays.js";
import { CHOSEN, CLAY, surfaceFragment, surfacePacking, surfaceWords } from "./surface-shader.js";
import { SpaceView } from "./space.js";

const LEAST_PIXELS = 0.1; // of a part that is drawn

/** One surface that fills the box; of scenes see scene.js. */
export class SurfaceView extends SpaceView {
  constructor(page, size = edgesOf(page.field.spec)) {
    super(page, size, 1);
    this.shading = this.hasColours ? 0 : 1;
    this.iso = 0; // in units of the view
    /** What is drawn: `{drawn, placing, size, corners}`, fields where they are placed, and corners of their boxes in the view. */
    this.parts = [];
  }

  get deep() {
    return true;
  }

  /** Whether there are colours. */
  get hasColours() {
    const { spec, colour } = this.page.field;
    return surfaceWords(spec).colours !== null || colour !== null;
  }

  /** Of the world, in a unit of the view; null where no values are distances. */
  get unit() {
    const { unit, occupancy } = surfaceWords(this.page.field.spec);
    return occupancy ? null : 1 / unit;
  }

  drawnOf(field) {
    const known = this.drawn.find((drawn) => drawn.field === field);
    if (known) return known;
    const { spec } = field;
    const size = edgesOf(spec);
    const drawn = new DrawnField(this, field, { packing: surfacePacking(spec), fragment: (shader) => surfaceFragment(spec, shader) });
    this.drawn.push(drawn);
    this.parts.push(...this.placesOf(field).map((place) => ({ drawn, size, corners: place.placing.corners(size), ...place })));
    return drawn;
  }

  /** `{placing}` for each time that a field is placed. */
  placesOf() {
    return [{ placing: new Placing() }];
  }

  /** Parts that could be seen in a pane: with the camera of their boxes, and a rectangle of the screen. */
  seen(camera) {
    return this.parts.flatMap((part) => {
      const { drawn, placing, size, corners } = part;
      if (!drawn.lattice || (drawn.gl && !drawn.rough) || part.hidden) return [];
      const rect = rectangleOf(corners, camera);
      if (Math.max(rect[2] - rect[0], rect[3] - rect[1]) < LEAST_PIXELS) return [];
      return [{ part, rect, own: placing.camera(camera, size) }];
    });
  }

  /** Uniforms of a part beside those of its camera. */
  uniforms({ drawn: { lattice, field, exact }, placing: { edge, columns }, chosen }) {
    const { spec } = field;
    const cell = 1 / Math.max(...lattice.shape);
    const own = 1 / Math.max(...spec.extent);
    const { occupancy } = surfaceWords(spec);
    // a distance without sign has its surface where it is least: a thin shell around it is shown
    const shell = spec.kind === "udf" ? 0.6 : 0;
    const iso = occupancy ? 0 : this.iso / edge;
    const plain = field.colour ? [1, 3, 5].map((i) => parseInt(field.colour.slice(i, i + 2), 16) / 255) : CLAY;
    return {
      shading: { int: this.shading }, level: { int: Math.min(this.level, spec.nLevels - 1) }, shift: [iso + shell * cell, iso + shell * own],
      band: occupancy ? 10 : 2 * cell, stride: occupancy ? cell / 2 : 0, reach: exact ? own / 4 : cell / 2, edge, turn: columns.flat(), plain,
      mark: chosen ? CHOSEN : [0, 0, 0, 0],
    };
  }

  ownControls(controls, change) {
    const options = [...(this.hasColours ? [["0", "Colours"]] : []), ["1", "Clay"], ["2", "Normals"]];
    controls.choice("Shading", options, String(this.shading), change((value) => {
      this.shading = Number(value);
    }), "n");
    const { unit } = this;
    if (unit === null) return;
    const most = 0.1;
    const says = (v) => `${v > 0 ? "+" : ""}${Number((v * unit).toPrecision(2))}`;
    controls.slider("Level", { min: -most, max: most, step: most / 50, value: 0, says, keys: [",", "."] }, change((value) => {
      this.iso = Math.abs(value) < most / 1000 ? 0 : value;
    }));
  }

  async loadSource({ facts, inflated }) {
    this.mesh = new MeshDrawing(this.page.gl, meshOf(facts, await inflated()));
    this.sourcePainted = facts.colours;
  }

  drawSource(camera, grain, target, clip) {
    const shading = this.shading === 0 && !this.sourcePainted ? 1 : this.shading;
    this.mesh?.draw({ ...camera, grain, shading: { int: shading } }, target, clip);
  }

  drawField(camera, grain, target, clip) {
    this.drawParts(this.seen(camera), grain, target, clip, (part) => this.uniforms(part));
  }

  /** Draws parts, the nearest of which stays, within the rectangle `clip` of a target. */
  drawParts(seen, grain, target, [x, y, width, height], uniformsOf) {
    const { gl } = this.page;
    gl.enable(gl.DEPTH_TEST);
    for (const { part, rect, own } of seen) {
      const low = [x, y].map((v, k) => Math.max(v, Math.floor(rect[k] / grain)));
      const high = [x + width, y + height].map((v, k) => Math.min(v, Math.ceil(rect[2 + k] / grain)));
      if (low[0] >= high[0] || low[1] >= high[1]) continue;
      gl.scissor(...low, high[0] - low[0], high[1] - low[1]);
      drawLattice(gl, part.drawn.use(grain), part.drawn.lattice, { ...own, grain, ...uniformsOf(part) }, target);
    }
    gl.disable(gl.DEPTH_TEST);
  }

  /** The function (ray, out, at, x, y) that writes the RGBA of what a ray through a place of the screen meets first. */
  tracer(camera, pixel) {
    return this.partTracer(this.seen(camera), pixel, (part) => this.uniforms(part));
  }

  partTracer(seen, pixel, uniformsOf) {
    const parts = seen.map(({ part, rect, own }) => {
      const { drawn, placing } = part;
      return { rect, placing, trace: surfaceRays(drawn.lattice, own, uniformsOf(part), pixel) };
    });
    const inBox = [0, 0, 0];
    return (ray, out, at, x, y) => {
      let most = Infinity;
      for (const { rect, placing, trace } of parts) {
        if (x < rect[0] || y < rect[1] || x > rect[2] || y > rect[3]) continue;
        most = Math.min(most, placing.edge * trace(placing.toBox(ray, inBox), out, at, most / placing.edge));
      }
    };
  }
}
