/* A plane of latents from its stream: the wavefronts of entropy.levels._decode_plane, and their order, in C, for
   programs that have just been started.

   The context network runs on some positions of a wavefront, as many side by side as vectors hold (_network.h), then
   their values are drawn one by one (_stream.h): spec/entropy.md, sections 3, 5 and 6. Where all values seen are 0, as they are around most positions of a fine level,
   the network says what it said the first time. Integers only: weights and what they are multiplied with have 16 bits,
   and no sum leaves 32, as entropy.context.ContextNet sees to. What comes in has been checked where it was read; its only
   caller is kernels/native.py. */

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("O3")
#endif
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>

enum { OK, EXHAUSTED, BAD_ESCAPE, BAD_VALUE }; /* as in entropy.rans */
enum {
    GROUP = 4,   /* outputs whose sums stay in registers */
    BATCH = 256, /* positions between two looks at the stream */
    MAX_DIMS = 4,
    MAX_INPUTS = 64,
    MAX_LAYERS = 4,
    CLIP = 255,
    FRACTION_BITS = 8,
    MAX_HIDDEN = (1 << 16) - 1,
    OFFSET = 1 << 15, /* what is taken from hidden values, so that they have a sign and 16 bits */
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

#include "_stream.h"

#if defined(__GNUC__)
#define ALIGNED(declaration) declaration __attribute__((aligned(64)))
#else
#define ALIGNED(declaration) declaration
#endif

/* inputs come in pairs, two int16 in one int32. w: by GROUP outputs, then by pair, then by output of the group */
typedef struct {
    int n_pairs, n_out, shift;
    int32_t first[MAX_INPUTS]; /* bias, rounding and what OFFSET makes of hidden inputs */
    int32_t w[MAX_INPUTS * MAX_INPUTS / 2];
} Layer;

typedef struct {
    Layer hidden[MAX_LAYERS - 1], last;
    int n_hidden, n_inputs, n_skips, skip_shift;
    int32_t skip[MAX_INPUTS / 2];
} Net;

typedef struct {
    int n_dims, n_causal, n_collocated;
    int64_t origin;
    const int64_t *shape, *strides, *first, *causal, *collocated, *constants;
    const int32_t *base, *near, *far, *compand;
    const int16_t *coarse, *previous;
    int16_t *current;
} Plane;

/* ------------------------------------------------------------ the network */

/* what the network sees of a position, as values; whether it sees any but 0. at: the position in the padded plane,
   places: in the tables of the parents, by axis */
static int look(const Plane *p, int64_t at, const int64_t *places, int16_t *values)
{
    int64_t parent = 0;
    int d = p->n_dims, any = 0;
    for (int axis = 0; axis < d; axis++)
        parent += p->base[places[axis]];
    for (int i = 0; i < p->n_causal; i++)
        any |= *values++ = p->current[at + p->causal[i]];
    any |= *values++ = p->coarse[parent];
    for (int axis = 0; axis < d; axis++)
        any |= *values++ = p->coarse[parent + p->near[places[axis]]];
    for (int axis = 0; axis < d; axis++)
        any |= *values++ = p->coarse[parent + p->far[places[axis]]];
    for (int i = 0; i < p->n_collocated; i++)
        any |= *values++ = p->previous[at + p->collocated[i]];
    return any;
}

/* from a flat position to the next, which most often is in the next row, without dividing. at and places: as look has
   them, of `from` and then of `to` */
static int64_t go(const Plane *p, int64_t from, int64_t to, int64_t at, int64_t *places)
{
    int axis = p->n_dims - 1;
    int64_t carry = to - from;
    for (; axis > 0 && carry; axis--) {
        int64_t width = p->shape[axis], before = places[axis] - p->first[axis], place = before + carry;
        carry = 0;
        if (place >= 2 * width || place < 0) {
            carry = place / width - (place % width < 0);
            place -= carry * width;
        } else if (place >= width)
            carry = 1, place -= width;
        places[axis] = p->first[axis] + place;
        at += (place - before) * p->strides[axis];
    }
    places[axis] += carry;
    return at + carry * p->strides[axis];
}

#if defined(__GNUC__)
#define VECTOR_OF(type, n) type __attribute__((vector_size(4 * n), may_alias))
typedef VECTOR_OF(uint32_t, 8) U8;
typedef VECTOR_OF(int32_t, 8) S8;
typedef VECTOR_OF(uint32_t, 16) U16;
typedef VECTOR_OF(int32_t, 16) S16;
#define LANE(v, i) (v)[i]
#define MASK(c) (c)
#else
#define LANE(v, i) (v)
#define MASK(c) -(c)
#endif

#define NAME(x) x##_plain
#define TARGET
#if defined(__GNUC__)
enum { PLAIN_LANES = 8 };
#define LANES 8
#define VECTOR U8
#define SIGNED S8
#else
enum { PLAIN_LANES = 1 };
#define LANES 1
#define VECTOR uint32_t
#define SIGNED int32_t
#endif
#define ADD(sum, x, w) \
    ((sum) + (VECTOR)((SIGNED)((x) << 16) >> 16) * (uint32_t)(int16_t)(w) + (VECTOR)((SIGNED)(x) >> 16) * (uint32_t)((w) >> 16))
#include "_network.h"

/* vectors that not every machine of the kind has are asked for when the module is loaded */
#if defined(__x86_64__) && defined(__GNUC__)
#define HAS_WIDE 1
#include <immintrin.h>

#define NAME(x) x##_avx2
#define TARGET __attribute__((target("avx2")))
#define LANES 8
#define VECTOR U8
#define SIGNED S8
#define ADD(sum, x, w) \
    (VECTOR)_mm256_add_epi32((__m256i)(sum), _mm256_madd_epi16((__m256i)(x), _mm256_set1_epi32(w)))
#include "_network.h"

#define NAME(x) x##_vnni
#define TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")))
#define LANES 16
#define VECTOR U16
#define SIGNED S16
#define ADD(sum, x, w) (VECTOR)_mm512_dpwssd_epi32((__m512i)(sum), (__m512i)(x), _mm512_set1_epi32(w))
#include "_network.h"
#endif

/* predict for so many positions at a time, as this machine does it */
static void (*predict)(const Net *, const int32_t *, const int32_t *, int64_t *, int32_t *) = predict_plain;
static int n_lanes = PLAIN_LANES;

enum { PLAIN, AVX2, VNNI };

/* the best kind of vectors up to one, which is returned */
static int choose(int most)
{
#if HAS_WIDE
    if (most >= VNNI && __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
        predict = predict_vnni, n_lanes = 16;
        return VNNI;
    }
    if (most >= AVX2 && __builtin_cpu_supports("avx2")) {
        predict = predict_avx2, n_lanes = 8;
        return AVX2;
    }
#endif
    (void)most;
    predict = predict_plain, n_lanes = PLAIN_LANES;
    return PLAIN;
}

/* what is seen around the positions of some of a wavefront: inputs, the values they are made of, and what comes of them */
typedef struct {
    ALIGNED(int32_t x[MAX_INPUTS / 2][BATCH]);
    ALIGNED(int32_t values[MAX_INPUTS / 2][BATCH]);
    int64_t mu8[BATCH];
    int32_t scale[BATCH];
} Batch;

/* two weights, or what they are multiplied with */
static inline int32_t pack(int32_t even, int32_t odd)
{
    return (int32_t)((uint32_t)(even & 0xffff) | (uint32_t)odd << 16);
}

/* input k as the first layer takes it, of the values around a position */
static inline int32_t input(const Plane *p, const int16_t *values, int k, int n_seen)
{
    return k < n_seen ? p->compand[values[k] + CLIP] : k < n_seen + 2 ? (int32_t)p->constants[k - n_seen] * (1 << FRACTION_BITS) : 0;
}

/* n positions of a batch from the values around them */
static void fill(const Net *net, const Plane *p, int16_t around[][MAX_INPUTS], int n, Batch *batch)
{
    int n_seen = net->n_inputs - 2;
    for (int k = 0; k < net->n_inputs; k += 2)
        for (int i = 0; i < n; i++) {
            batch->values[k / 2][i] = pack(around[i][k], around[i][k + 1]);
            batch->x[k / 2][i] = pack(input(p, around[i], k, n_seen), input(p, around[i], k + 1, n_seen));
        }
}

static int decode(
    const Net *net, const Plane *plane, Stream *stream, const int32_t *positions, const int64_t *bounds, int64_t n_fronts,
    int32_t *values)
{
    Batch batch;
    int16_t around[BATCH + 1][MAX_INPUTS];
    int64_t at[BATCH], mu8[BATCH], quiet_mu8, here = plane->origin, position = 0, places[MAX_DIMS];
    int which[BATCH + 1];
    int32_t scale[BATCH], quiet_scale;
    for (int axis = 0; axis < plane->n_dims; axis++)
        places[axis] = plane->first[axis];
    memset(&batch, 0, sizeof batch);
    memset(around, 0, sizeof around);
    fill(net, plane, around, 1, &batch);
    predict(net, batch.x[0], batch.values[0], batch.mu8, batch.scale);
    quiet_mu8 = batch.mu8[0], quiet_scale = batch.scale[0];
    for (int64_t front = 0; front < n_fronts; front++)
        for (int64_t first = bounds[front]; first < bounds[front + 1]; first += BATCH) {
            int n = bounds[front + 1] - first < BATCH ? (int)(bounds[front + 1] - first) : BATCH, n_loud = 0;
            for (int i = 0; i < n; i++) { /* without a branch that nobody can foretell */
                here = at[i] = go(plane, position, positions[first + i], here, places);
                position = positions[first + i];
                mu8[i] = quiet_mu8, scale[i] = quiet_scale, which[n_loud] = i;
                n_loud += look(plane, here, places, around[n_loud]) != 0;
            }
            fill(net, plane, around, n_loud, &batch);
            for (int i = 0; i < n_loud; i += n_lanes)
                predict(net, batch.x[0] + i, batch.values[0] + i, batch.mu8 + i, batch.scale + i);
            for (int i = 0; i < n_loud; i++)
                mu8[which[i]] = batch.mu8[i], scale[which[i]] = batch.scale[i];
            for (int i = 0; i < n; i++) {
                int32_t value;
                int status = take(stream, mu8[i], scale[i], &value);
                if (status)
                    return status;
                values[positions[first + i]] = value;
                plane->current[at[i]] = (int16_t)(value < -CLIP ? -CLIP : value > CLIP ? CLIP : value);
            }
        }
    return OK;
}

/* a layer from its n_out x n_in weights and then their biases; where what follows them begins */
static const int32_t *read_layer(Layer *layer, const int32_t *w, int n_in, int n_out, int shift, int offset)
{
    layer->n_pairs = (n_in + 1) / 2, layer->n_out = (n_out + GROUP - 1) / GROUP * GROUP, layer->shift = shift;
    for (int o = 0; o < n_out; o++, w += n_in) {
        int32_t sum = 0;
        for (int i = 0; i < n_in; i++)
            sum += w[i];
        for (int i = 0; i < n_in; i += 2)
            layer->w[(o / GROUP * layer->n_pairs + i / 2) * GROUP + o % GROUP] = pack(w[i], i + 1 < n_in ? w[i + 1] : 0);
        layer->first[o] = sum * offset + (1 << shift >> 1);
    }
    for (int o = 0; o < n_out; o++)
        layer->first[o] += *w++ * (1 << shift);
    return w;
}

/* layers: their number, inputs of the first, the skip's shift, then outputs and shift of each. w: weights and biases of
   each, then the skip. Whether all of it is within the limits */
static int read_net(Net *net, const int64_t *layers, const int32_t *w)
{
    int n_layers = (int)layers[0], n_in = (int)layers[1];
    memset(net, 0, sizeof *net);
    net->n_inputs = n_in, net->skip_shift = (int)layers[2], net->n_hidden = n_layers - 1, net->n_skips = (n_in - 1) / 2;
    if (n_layers < 1 || n_layers > MAX_LAYERS || n_in < 2 || n_in > MAX_INPUTS)
        return 0;
    for (int k = 0; k < n_layers; k++) {
        Layer *layer = k + 1 < n_layers ? net->hidden + k : &net->last;
        int n_out = (int)layers[3 + 2 * k];
        if (n_out < 1 || n_out > MAX_INPUTS)
            return 0;
        w = read_layer(layer, w, n_in, n_out, (int)layers[4 + 2 * k], k ? OFFSET : 0);
        n_in = n_out;
    }
    for (int i = 0; i < net->n_inputs - 2; i += 2)
        net->skip[i / 2] = pack(w[i], i + 1 < net->n_inputs - 2 ? w[i + 1] : 0);
    return 1;
}

/* ------------------------------------------------------------ from Python */

enum {
    WEIGHTS, LAYERS, COMPAND, GEOMETRY, PARENTS, COARSE, PREVIOUS, CUMULATIVE, TABLES, WORDS, POSITIONS, BOUNDS,
    CURRENT, STATE, VALUES, N_ARRAYS
};

static Stream read_stream(const Py_buffer *cumulative, const Py_buffer *tables, const Py_buffer *words, const int64_t *state)
{
    Stream s = {.x = (uint64_t)state[0], .position = state[1], .words = words->buf, .cumulative = cumulative->buf};
    Py_ssize_t n = tables->len / (Py_ssize_t)(3 * sizeof(int32_t));
    s.n_words = words->len / (Py_ssize_t)sizeof(uint16_t);
    s.start = tables->buf, s.n_tokens = s.start + n, s.lowest = s.n_tokens + n;
    return s;
}

static void write_state(const Stream *s, int64_t *state)
{
    state[0] = (int64_t)s->x, state[1] = s->position;
}

static PyObject *decode_plane(PyObject *self, PyObject *args)
{
    (void)self;
    Py_buffer b[N_ARRAYS];
    if (!PyArg_ParseTuple(
            args, "y*y*y*y*y*y*y*y*y*y*y*y*w*w*w*", b, b + 1, b + 2, b + 3, b + 4, b + 5, b + 6, b + 7, b + 8, b + 9,
            b + 10, b + 11, b + 12, b + 13, b + 14))
        return NULL;
    int status = -1;
    const int64_t *geometry = b[GEOMETRY].buf;
    Net net;
    Plane p;
    p.n_dims = (int)geometry[0], p.n_causal = (int)geometry[1], p.n_collocated = (int)geometry[2], p.origin = geometry[3];
    if (p.n_dims > MAX_DIMS || !read_net(&net, b[LAYERS].buf, b[WEIGHTS].buf)) {
        PyErr_SetString(PyExc_ValueError, "decoding a plane: got a network beyond the limits");
        goto done;
    }
    p.shape = geometry + 4, p.strides = p.shape + p.n_dims, p.first = p.strides + p.n_dims;
    p.causal = p.first + p.n_dims, p.collocated = p.causal + p.n_causal, p.constants = p.collocated + p.n_collocated;
    Py_ssize_t n = b[PARENTS].len / (Py_ssize_t)(3 * sizeof(int32_t));
    p.base = b[PARENTS].buf, p.near = p.base + n, p.far = p.near + n;
    p.compand = b[COMPAND].buf, p.coarse = b[COARSE].buf, p.previous = b[PREVIOUS].buf, p.current = b[CURRENT].buf;
    Stream s = read_stream(b + CUMULATIVE, b + TABLES, b + WORDS, b[STATE].buf);
    Py_BEGIN_ALLOW_THREADS
    status = decode(
        &net, &p, &s, b[POSITIONS].buf, b[BOUNDS].buf, b[BOUNDS].len / (Py_ssize_t)sizeof(int64_t) - 1, b[VALUES].buf);
    Py_END_ALLOW_THREADS
    write_state(&s, b[STATE].buf);
done:
    for (int k = 0; k < N_ARRAYS; k++)
        PyBuffer_Release(b + k);
    return status < 0 ? NULL : PyLong_FromLong(status);
}

/* entropy.laplace.LaplaceDecoder.take: values by locations and scales within their ranges, int64 */
static PyObject *take_laplace(PyObject *self, PyObject *args)
{
    (void)self;
    Py_buffer cumulative, tables, words, mu8, scale, state, values;
    if (!PyArg_ParseTuple(args, "y*y*y*y*y*w*w*", &cumulative, &tables, &words, &mu8, &scale, &state, &values))
        return NULL;
    Stream s = read_stream(&cumulative, &tables, &words, state.buf);
    const int64_t *m = mu8.buf, *b = scale.buf;
    int32_t *value = values.buf;
    int status = OK;
    Py_ssize_t n = values.len / (Py_ssize_t)sizeof(int32_t);
    for (Py_ssize_t i = 0; i < n && status == OK; i++)
        status = take(&s, m[i], (int)b[i], value + i);
    write_state(&s, state.buf);
    PyBuffer_Release(&cumulative), PyBuffer_Release(&tables), PyBuffer_Release(&words), PyBuffer_Release(&mu8);
    PyBuffer_Release(&scale), PyBuffer_Release(&state), PyBuffer_Release(&values);
    return PyLong_FromLong(status);
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

static PyObject *choose_vectors(PyObject *self, PyObject *most)
{
    (void)self;
    long kind = PyLong_AsLong(most);
    return kind == -1 && PyErr_Occurred() ? NULL : PyLong_FromLong(choose((int)kind));
}

static PyMethodDef methods[] = {
    {"choose_vectors", choose_vectors, METH_O, "Limits vectors to a kind, from 0 to 2; returns the kind. For tests."},
    {"coding_order", coding_order, METH_VARARGS, "Positions by wavefront. See kernels/native.py."},
    {"decode_plane", decode_plane, METH_VARARGS, "Fills a plane; returns a status of entropy.rans. See kernels/native.py."},
    {"take_laplace", take_laplace, METH_VARARGS, "Values of a stream; returns a status. See kernels/native.py."},
    {NULL, NULL, 0, NULL},
};
static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "_plane", "Planes of latents from their streams, in C.", -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__plane(void)
{
    choose(VNNI);
    return PyModule_Create(&module);
}
