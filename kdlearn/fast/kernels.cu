// CUDA kernels of kdlearn.fast. REAL is float or double, defined when this file is compiled.
//
// It includes nothing, so that NVRTC takes it as it stands. Where a sum over classes is formed, it is
// formed in double: two float answers at a high temperature differ where float ends ([response.4]).

typedef REAL real;
typedef long long integer;

// The sum (or the largest) of one number a thread, for every thread of a block; blockDim.x is a power of two.
__device__ double over_block(double x, double* room, bool largest) {
    int i = threadIdx.x;
    room[i] = x;
    __syncthreads();
    for (int half = blockDim.x / 2; half > 0; half /= 2) {
        if (i < half) room[i] = largest ? fmax(room[i], room[i + half]) : room[i] + room[i + half];
        __syncthreads();
    }
    double result = room[0];
    __syncthreads();  // before anybody writes to the room again
    return result;
}

// One row a block from here on: blockIdx.x is the row, its threads share the K classes.

// Cross-entropy with hard labels ([response.1]) and its gradient, before the mean over rows.
extern "C" __global__ void cross_entropy(
    const real* z, const integer* y, integer K, double smoothing, real* rows, real* dz) {
    __shared__ double room[1024];
    integer n = blockIdx.x, label = y[n];
    const real* s = z + n * K;
    int first = threadIdx.x, step = blockDim.x;

    double top = s[0];
    for (integer k = first; k < K; k += step) top = fmax(top, (double)s[k]);
    top = over_block(top, room, true);

    double sum = 0, all = 0;
    for (integer k = first; k < K; k += step) {
        sum += exp(s[k] - top);
        if (smoothing != 0) all += s[k] - top;
    }
    sum = over_block(sum, room, false);
    if (smoothing != 0) all = over_block(all, room, false);

    for (integer k = first; k < K; k += step)
        dz[n * K + k] = exp(s[k] - top) / sum - smoothing / K - (k == label ? 1 - smoothing : 0);
    if (first == 0) {
        bool there = 0 <= label && label < K;  // a label outside is nobody's, and reads nothing
        double entropy = log(sum) - (there ? (1 - smoothing) * (s[label] - top) : 0);
        if (smoothing != 0) entropy -= smoothing / K * all;
        rows[n] = entropy;
    }
}

// The divergence from a softened teacher ([response.2]) and its gradient, before the mean over rows.
extern "C" __global__ void soft_targets(
    const real* z_s, const real* z_t, integer K, double T, real* rows, real* dz) {
    __shared__ double room[1024];
    integer n = blockIdx.x;
    const real *s = z_s + n * K, *t = z_t + n * K;
    int first = threadIdx.x, step = blockDim.x;

    double top_s = s[0], top_t = t[0];
    for (integer k = first; k < K; k += step) {
        top_s = fmax(top_s, (double)s[k]);
        top_t = fmax(top_t, (double)t[k]);
    }
    top_s = over_block(top_s, room, true);
    top_t = over_block(top_t, room, true);

    double sum_q = 0, sum_p = 0;
    for (integer k = first; k < K; k += step) {
        sum_q += exp((s[k] - top_s) / T);
        sum_p += exp((t[k] - top_t) / T);
    }
    sum_q = over_block(sum_q, room, false);
    sum_p = over_block(sum_p, room, false);

    double log_q = log(sum_q), log_p = log(sum_p), divergence = 0;
    for (integer k = first; k < K; k += step) {
        double u_q = (s[k] - top_s) / T, u_p = (t[k] - top_t) / T, q = exp(u_q) / sum_q, p = exp(u_p) / sum_p;
        double r = u_q - u_p - (log_q - log_p);
        divergence += p > 1e-290 ? p * (expm1(r) - r) : q;  // no summand is negative
        dz[n * K + k] = T * (q - p);
    }
    divergence = over_block(divergence, room, false);
    if (first == 0) rows[n] = T * T * divergence;
}

// One number a thread from here on.

// [optim.2] and, with keep below 1, [optim.3]; the moments are those of the reference, divided by 1 - beta.
extern "C" __global__ void adam(
    real* theta, const real* grad, real* m, real* v, integer n, double beta1, double beta2, double rate, double eps,
    double decay, double keep) {
    integer i = (integer)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    real g = grad[i] + (real)decay * theta[i];
    m[i] = (real)beta1 * m[i] + g;
    v[i] = (real)beta2 * v[i] + g * g;
    theta[i] = (real)keep * theta[i] - (real)rate * (m[i] / (sqrt(v[i]) + (real)eps));
}

// [optim.1]; without momentum v is not read.
extern "C" __global__ void sgd(
    real* theta, const real* grad, real* v, integer n, double rate, double momentum, integer nesterov, double decay) {
    integer i = (integer)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    real g = grad[i] + (real)decay * theta[i], move = g;
    if (momentum != 0) {
        v[i] = (real)momentum * v[i] + g;
        move = nesterov ? g + (real)momentum * v[i] : v[i];
    }
    theta[i] -= (real)rate * move;
}
