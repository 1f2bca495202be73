/* A plane of latents from its stream: the wavefronts of entropy.levels._decode_plane, and their order, in C, for
   programs that have just been started.

   Inputs of some positions of a wavefront are gathered, the context network runs on 16 of them at a time, lane by lane,
   then their values are drawn one by one: spec/entropy.md, sections 3, 5 and 6. Where all values seen are 0, as they are
   around most positions of a fine level, the network says what it said the first time. Integers only. Sums wrap at 32
   bits, which the last of them never leave, so they are unsigned. What comes in has been checked where it was read; its
   only caller is kernels/native.py. */

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("O3")
#endif
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>

enum { OK, EXHAUSTED, BAD_ESCAPE, BAD_VALUE }; /* as in entropy.rans */
enum {
    LANES = 16,
    BATCH = 256, /* positions between two looks at the network */
    MAX_DIMS = 4,
    MAX_INPUTS = 64,
    MAX_LAYERS = 4,
    CLIP = 255,
    FRACTION_BITS = 8,
    MAX_HIDDEN = (1 << 16) - 1,
    PRECISION = 14,
    SLOT = (1 << PRECISION) - 1,
    N_TABLE_SCALES = 46,
    N_SCALES = 82,
    SCALE_OFFSET = 27,
    SCALES_PER_OCTAVE = 6,
    MAX_MU8 = 8 * 2047,
    MAX_RAW_BITS = 14,
    MAX_EXPONENT = 24,
    MAX_VALUE = 1 << 24
};

/* compilers that know how choose the machine's widest vectors when the program runs */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && defined(__GLIBC__)
#define WIDEST __attribute__((target_clones("arch=x86-64-v4", "avx2", "default")))
#else
#define WIDEST
#endif

typedef struct {
    const int32_t *weights, *biases;
    int n_in, n_out, shift;
} Layer;

typedef struct {
    Layer layers[MAX_LAYERS];
    const int32_t *skip;
    int n_layers, n_inputs, skip_shift;
} Net;

typedef struct {
    int n_dims, n_causal, n_collocated;
    int64_t origin;
    const int64_t *shape, *strides, *first, *causal, *collocated, *constants;
    const int32_t *base, *near, *far, *compand;
    const int16_t *coarse, *previous;
    int16_t *current;
} Plane;

typedef struct {
    uint64_t x;
    int64_t position, n_words;
    const uint16_t *words, *cumulative;
    const int32_t *start, *n_tokens, *lowest;
} Stream;

/* a number of each position of a batch; with vectors where the compiler has them, since it finds worse ones by itself */
#if defined(__GNUC__)
typedef uint32_t Vector __attribute__((vector_size(4 * LANES), may_alias));
typedef struct {
    int32_t lane[LANES] __attribute__((aligned(4 * LANES)));
} Row;
#else
typedef struct {
    int32_t lane[LANES];
} Row;
#endif

/* ------------------------------------------------------------ the stream */

static int advance(Stream *s, uint64_t start, uint64_t frequency)
{
    uint64_t x = frequency * (s->x >> PRECISION) + (s->x & SLOT) - start;
    if (x < 1 << 16) {
        if (s->position >= s->n_words)
            return EXHAUSTED;
        x = x << 16 | s->words[s->position++];
    }
    s->x = x;
    return OK;
}

static int raw_bits(Stream *s, int n_bits, uint64_t *value)
{
    *value = 0;
    for (int done = 0; done < n_bits;) {
        int n = n_bits - done < MAX_RAW_BITS ? n_bits - done : MAX_RAW_BITS;
        uint64_t part = (s->x & SLOT) >> (PRECISION - n);
        if (advance(s, part << (PRECISION - n), (uint64_t)1 << (PRECISION - n)))
            return EXHAUSTED;
        *value |= part << done;
        done += n;
    }
    return OK;
}

static int excess(Stream *s, int order, int64_t *value)
{
    uint64_t bit, tail;
    int exponent = 0;
    for (;;) {
        if (raw_bits(s, 1, &bit))
            return EXHAUSTED;
        if (!bit)
            break;
        if (++exponent > MAX_EXPONENT)
            return BAD_ESCAPE;
    }
    if (raw_bits(s, order + exponent, &tail))
        return EXHAUSTED;
    *value = ((int64_t)1 << (order + exponent)) + (int64_t)tail - ((int64_t)1 << order);
    return OK;
}

/* the next value under a location in eighths and a scale: entropy.laplace.LaplaceDecoder.take_list */
static int take(Stream *s, int64_t mu8, int scale, int32_t *found)
{
    int k = 0;
    if (scale >= N_TABLE_SCALES) {
        k = (scale - N_TABLE_SCALES + SCALES_PER_OCTAVE) / SCALES_PER_OCTAVE;
        scale -= SCALES_PER_OCTAVE * k;
        mu8 = (mu8 - ((int64_t)4 << k) + 4 + (1 << k >> 1)) >> k;
    }
    int table = scale << 3 | (int)(mu8 & 7);
    const uint16_t *cumulative = s->cumulative + s->start[table];
    unsigned slot = s->x & SLOT;
    int token = 0, above = s->n_tokens[table]; /* cumulative[token] <= slot < cumulative[above] */
    while (above - token > 1) {
        int middle = (token + above) >> 1;
        if (cumulative[middle] <= slot)
            token = middle;
        else
            above = middle;
    }
    if (advance(s, cumulative[token], cumulative[token + 1] - cumulative[token]))
        return EXHAUSTED;
    int64_t value = (mu8 >> 3) + s->lowest[table] + token - 1;
    int last = s->n_tokens[table] - 1;
    if (k || token == 0 || token == last) {
        if (token == 0 || token == last) {
            int64_t more;
            int order = scale > SCALE_OFFSET ? (scale - SCALE_OFFSET) / SCALES_PER_OCTAVE : 0;
            int status = excess(s, order, &more);
            if (status)
                return status;
            value += token ? more : -more;
        }
        uint64_t remainder;
        if (raw_bits(s, k, &remainder))
            return EXHAUSTED;
        value = value * ((int64_t)1 << k) + (int64_t)remainder;
        if (value > MAX_VALUE || value < -MAX_VALUE)
            return BAD_VALUE;
    }
    *found = (int32_t)value;
    return OK;
}

/* ------------------------------------------------------------ the network */

/* seen: the value that an input has at 0, in every row */
static void begin(const Plane *p, Row *raw, Row *seen)
{
    int n = p->n_causal + 1 + 2 * p->n_dims + p->n_collocated;
    for (int lane = 0; lane < LANES; lane++) {
        for (int row = 0; row < n; row++)
            raw[row].lane[lane] = 0, seen[row].lane[lane] = p->compand[CLIP];
        for (int i = 0; i < 2; i++)
            seen[n + i].lane[lane] = (int32_t)(p->constants[i] * (1 << FRACTION_BITS));
    }
}

/* what the network sees of a position, as values; whether it sees any but 0. at: where it lies in the padded plane */
static int look(const Plane *p, int32_t position, int16_t *values, int64_t *at)
{
    int64_t left = position, here = p->origin, parent = 0, places[MAX_DIMS];
    int d = p->n_dims, any = 0;
    for (int axis = d - 1; axis >= 0; axis--) {
        int64_t coordinate = left % p->shape[axis];
        left /= p->shape[axis];
        here += coordinate * p->strides[axis];
        places[axis] = coordinate + p->first[axis];
        parent += p->base[places[axis]];
    }
    *at = here;
    for (int i = 0; i < p->n_causal; i++)
        any |= *values++ = p->current[here + p->causal[i]];
    any |= *values++ = p->coarse[parent];
    for (int axis = 0; axis < d; axis++)
        any |= *values++ = p->coarse[parent + p->near[places[axis]]];
    for (int axis = 0; axis < d; axis++)
        any |= *values++ = p->coarse[parent + p->far[places[axis]]];
    for (int i = 0; i < p->n_collocated; i++)
        any |= *values++ = p->previous[here + p->collocated[i]];
    return any;
}

static void set_lane(const Plane *p, const int16_t *values, int lane, Row *raw, Row *seen)
{
    int n = p->n_causal + 1 + 2 * p->n_dims + p->n_collocated;
    for (int row = 0; row < n; row++) {
        raw[row].lane[lane] = values[row] * (1 << FRACTION_BITS);
        seen[row].lane[lane] = p->compand[values[row] + CLIP];
    }
}

/* out becomes first plus the weighted sum of rows x, shifted */
static inline void sum_rows(const int32_t *w, int n, const Row *x, uint32_t first, int shift, Row *out)
{
#if defined(__GNUC__)
    Vector sums = (Vector){0} + first;
    for (int i = 0; i < n; i++)
        sums += (uint32_t)w[i] * *(const Vector *)x[i].lane;
    memcpy(out->lane, &sums, sizeof sums);
#else
    uint32_t sums[LANES];
    for (int j = 0; j < LANES; j++)
        sums[j] = first;
    for (int i = 0; i < n; i++)
        for (int j = 0; j < LANES; j++)
            sums[j] += (uint32_t)w[i] * (uint32_t)x[i].lane[j];
    memcpy(out->lane, sums, sizeof sums);
#endif
    for (int j = 0; j < LANES; j++)
        out->lane[j] >>= shift;
}

/* context.finish: location in eighths and scale of every lane; rows of hidden are overwritten */
WIDEST static void evaluate(const Net *net, const Row *raw, const Row *seen, Row *hidden, int64_t *mu8, int *scale)
{
    const Row *x = seen;
    Row *out = hidden, skips;
    for (int k = 0; k < net->n_layers; k++) {
        const Layer *layer = &net->layers[k];
        uint32_t half = 1u << layer->shift >> 1;
        for (int o = 0; o < layer->n_out; o++) {
            uint32_t first = ((uint32_t)layer->biases[o] << layer->shift) + half;
            sum_rows(layer->weights + o * layer->n_in, layer->n_in, x, first, layer->shift, out + o);
            if (k + 1 < net->n_layers)
                for (int j = 0; j < LANES; j++) {
                    int32_t v = out[o].lane[j] > 0 ? out[o].lane[j] : 0;
                    out[o].lane[j] = v < MAX_HIDDEN ? v : MAX_HIDDEN;
                }
        }
        x = out;
        out = out == hidden ? hidden + MAX_INPUTS : hidden;
    }
    sum_rows(net->skip, net->n_inputs - 2, raw, 1u << net->skip_shift >> 1, net->skip_shift, &skips);
    for (int j = 0; j < LANES; j++) {
        int64_t location = (int64_t)x[0].lane[j] + skips.lane[j];
        location = (location + (1 << (FRACTION_BITS - 3) >> 1)) >> (FRACTION_BITS - 3);
        mu8[j] = location < -MAX_MU8 ? -MAX_MU8 : location > MAX_MU8 ? MAX_MU8 : location;
        int64_t s = ((int64_t)x[1].lane[j] * SCALES_PER_OCTAVE + (1 << FRACTION_BITS >> 1)) >> FRACTION_BITS;
        s += SCALE_OFFSET;
        scale[j] = s < 0 ? 0 : s > N_SCALES - 1 ? N_SCALES - 1 : (int)s;
    }
}

static int decode(
    const Net *net, const Plane *plane, Stream *stream, const int32_t *positions, const int64_t *bounds, int64_t n_fronts,
    int32_t *values)
{
    Row raw[MAX_INPUTS], seen[MAX_INPUTS], hidden[2 * MAX_INPUTS];
    int64_t at[BATCH], mu8[LANES], found_mu8[BATCH], quiet_mu8;
    int scale[LANES], found_scale[BATCH], quiet_scale, places[LANES];
    begin(plane, raw, seen);
    evaluate(net, raw, seen, hidden, mu8, scale);
    quiet_mu8 = mu8[0], quiet_scale = scale[0];
    for (int64_t front = 0; front < n_fronts; front++)
        for (int64_t first = bounds[front]; first < bounds[front + 1]; first += BATCH) {
            int n = bounds[front + 1] - first < BATCH ? (int)(bounds[front + 1] - first) : BATCH, n_lanes = 0;
            for (int i = 0; i < n; i++) {
                int16_t around[MAX_INPUTS];
                if (look(plane, positions[first + i], around, at + i)) {
                    set_lane(plane, around, n_lanes, raw, seen);
                    places[n_lanes++] = i;
                } else
                    found_mu8[i] = quiet_mu8, found_scale[i] = quiet_scale;
                if (n_lanes == LANES || (n_lanes && i == n - 1)) {
                    evaluate(net, raw, seen, hidden, mu8, scale);
                    for (int lane = 0; lane < n_lanes; lane++)
                        found_mu8[places[lane]] = mu8[lane], found_scale[places[lane]] = scale[lane];
                    n_lanes = 0;
                }
            }
            for (int i = 0; i < n; i++) {
                int32_t value;
                int status = take(stream, found_mu8[i], found_scale[i], &value);
                if (status)
                    return status;
                values[positions[first + i]] = value;
                plane->current[at[i]] = (int16_t)(value < -CLIP ? -CLIP : value > CLIP ? CLIP : value);
            }
        }
    return OK;
}

/* ------------------------------------------------------------ from Python */

enum {
    WEIGHTS, LAYERS, COMPAND, GEOMETRY, PARENTS, COARSE, PREVIOUS, CUMULATIVE, TABLES, WORDS, POSITIONS, BOUNDS,
    CURRENT, STATE, VALUES, N_ARRAYS
};

static PyObject *decode_plane(PyObject *self, PyObject *args)
{
    (void)self;
    Py_buffer b[N_ARRAYS];
    if (!PyArg_ParseTuple(
            args, "y*y*y*y*y*y*y*y*y*y*y*y*w*w*w*", b, b + 1, b + 2, b + 3, b + 4, b + 5, b + 6, b + 7, b + 8, b + 9,
            b + 10, b + 11, b + 12, b + 13, b + 14))
        return NULL;
    int status = -1;
    const int64_t *layers = b[LAYERS].buf, *geometry = b[GEOMETRY].buf;
    Net net;
    net.n_layers = (int)layers[0], net.n_inputs = (int)layers[1], net.skip_shift = (int)layers[2];
    const int32_t *w = b[WEIGHTS].buf;
    int n_in = net.n_inputs;
    Plane p;
    p.n_dims = (int)geometry[0], p.n_causal = (int)geometry[1], p.n_collocated = (int)geometry[2], p.origin = geometry[3];
    if (net.n_layers > MAX_LAYERS || n_in > MAX_INPUTS || p.n_dims > MAX_DIMS) {
        PyErr_SetString(PyExc_ValueError, "decoding a plane: got a network beyond the limits");
        goto done;
    }
    for (int k = 0; k < net.n_layers; k++) {
        Layer *layer = &net.layers[k];
        layer->n_in = n_in, layer->n_out = (int)layers[3 + 2 * k], layer->shift = (int)layers[4 + 2 * k];
        if (layer->n_out > MAX_INPUTS) {
            PyErr_SetString(PyExc_ValueError, "decoding a plane: got a layer beyond the limits");
            goto done;
        }
        layer->weights = w, w += (int64_t)layer->n_out * n_in;
        layer->biases = w, w += layer->n_out;
        n_in = layer->n_out;
    }
    net.skip = w;
    p.shape = geometry + 4, p.strides = p.shape + p.n_dims, p.first = p.strides + p.n_dims;
    p.causal = p.first + p.n_dims, p.collocated = p.causal + p.n_causal, p.constants = p.collocated + p.n_collocated;
    Py_ssize_t n = b[PARENTS].len / (Py_ssize_t)(3 * sizeof(int32_t));
    p.base = b[PARENTS].buf, p.near = p.base + n, p.far = p.near + n;
    p.compand = b[COMPAND].buf, p.coarse = b[COARSE].buf, p.previous = b[PREVIOUS].buf, p.current = b[CURRENT].buf;
    int64_t *state = b[STATE].buf;
    Stream s;
    s.x = (uint64_t)state[0], s.position = state[1], s.n_words = b[WORDS].len / (Py_ssize_t)sizeof(uint16_t);
    s.words = b[WORDS].buf, s.cumulative = b[CUMULATIVE].buf;
    n = b[TABLES].len / (Py_ssize_t)(3 * sizeof(int32_t));
    s.start = b[TABLES].buf, s.n_tokens = s.start + n, s.lowest = s.n_tokens + n;
    Py_BEGIN_ALLOW_THREADS
    status = decode(
        &net, &p, &s, b[POSITIONS].buf, b[BOUNDS].buf, b[BOUNDS].len / (Py_ssize_t)sizeof(int64_t) - 1, b[VALUES].buf);
    Py_END_ALLOW_THREADS
    state[0] = (int64_t)s.x, state[1] = s.position;
done:
    for (int k = 0; k < N_ARRAYS; k++)
        PyBuffer_Release(b + k);
    return status < 0 ? NULL : PyLong_FromLong(status);
}

/* Lattice.coding_order: counts, (latest time + 2,) zeros, become where the wavefront of each time begins */
static PyObject *coding_order(PyObject *self, PyObject *args)
{
    (void)self;
    Py_buffer shape, weights, coded, positions, counts;
    if (!PyArg_ParseTuple(args, "y*y*y*w*w*", &shape, &weights, &coded, &positions, &counts))
        return NULL;
    const int64_t *n = shape.buf, *weight = weights.buf;
    const char *is_coded = coded.len ? coded.buf : NULL;
    int32_t *position = positions.buf;
    int64_t *begins = counts.buf, n_times = counts.len / (Py_ssize_t)sizeof(int64_t) - 1;
    int d = (int)(shape.len / (Py_ssize_t)sizeof(int64_t));
    int64_t rows = 1, width = n[d - 1], step = weight[d - 1];
    for (int axis = 0; axis < d - 1; axis++)
        rows *= n[axis];
    Py_BEGIN_ALLOW_THREADS
    for (int turn = 0; turn < 2; turn++) { /* counts, then fills */
        for (int64_t row = 0; row < rows; row++) {
            int64_t left = row, time = 0, at = row * width;
            for (int axis = d - 2; axis >= 0; axis--) {
                time += left % n[axis] * weight[axis];
                left /= n[axis];
            }
            for (int64_t k = 0; k < width; k++) {
                if (is_coded) { /* most are not */
                    const char *next = memchr(is_coded + at + k, 1, (size_t)(width - k));
                    if (!next)
                        break;
                    k = next - is_coded - at;
                }
                if (turn)
                    position[begins[time + k * step]++] = (int32_t)(at + k);
                else
                    begins[time + k * step + 1]++;
            }
        }
        for (int64_t time = 0; !turn && time < n_times; time++)
            begins[time + 1] += begins[time];
    }
    /* every place now has the end of its wavefront, where the next one begins */
    memmove(begins + 1, begins, (size_t)n_times * sizeof *begins);
    begins[0] = 0;
    Py_END_ALLOW_THREADS
    PyBuffer_Release(&shape), PyBuffer_Release(&weights), PyBuffer_Release(&coded);
    PyBuffer_Release(&positions), PyBuffer_Release(&counts);
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"coding_order", coding_order, METH_VARARGS, "Positions by wavefront. See kernels/native.py."},
    {"decode_plane", decode_plane, METH_VARARGS, "Fills a plane; returns a status of entropy.rans. See kernels/native.py."},
    {NULL, NULL, 0, NULL},
};
static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "_plane", "Planes of latents from their streams, in C.", -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__plane(void)
{
    return PyModule_Create(&module);
}
