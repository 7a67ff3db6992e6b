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

// Cross-entropy with hard labels ([response.1]) and softened divergence from a teacher ([response.2]) of
// one row a block, each 1/N of its row, and in the same pass the gradient of hard * the one + soft * the other.
// rows is (3, N): that sum, cross-entropy, divergence. y is read where labels is 1, z_t where teacher is.
extern "C" __global__ void hard_and_soft(
    const real* z_s, const integer* y, const real* z_t, integer N, integer K, integer labels, integer teacher, double T,
    double smoothing, double hard, double soft, real* rows, real* dz) {
    __shared__ double room[1024];
    integer n = blockIdx.x;
    const real *s = z_s + n * K, *t = z_t + n * K;
    int first = threadIdx.x, step = blockDim.x;

    double top_s = s[0], top_t = teacher ? t[0] : 0;
    for (integer k = first; k < K; k += step) {
        top_s = fmax(top_s, (double)s[k]);
        if (teacher) top_t = fmax(top_t, (double)t[k]);
    }
    top_s = over_block(top_s, room, true);
    if (teacher) top_t = over_block(top_t, room, true);

    double sum = 0, sum_q = 0, sum_p = 0, all = 0;
    for (integer k = first; k < K; k += step) {
        double u = s[k] - top_s;
        if (labels) sum += exp(u);
        if (labels && smoothing != 0) all += u;
        if (teacher) {
            sum_q += exp(u / T);
            sum_p += exp((t[k] - top_t) / T);
        }
    }
    if (labels) sum = over_block(sum, room, false);
    if (labels && smoothing != 0) all = over_block(all, room, false);
    if (teacher) {
        sum_q = over_block(sum_q, room, false);
        sum_p = over_block(sum_p, room, false);
    }

    double log_q = teacher ? log(sum_q) : 0, log_p = teacher ? log(sum_p) : 0, divergence = 0;
    for (integer k = first; k < K; k += step) {
        double u = s[k] - top_s, gradient = 0;
        if (labels) gradient = hard / N * (exp(u) / sum - smoothing / K - (k == y[n] ? 1 - smoothing : 0));
        if (teacher) {
            double u_p = (t[k] - top_t) / T, p = exp(u_p) / sum_p, q = exp(u / T) / sum_q;
            double r = u / T - u_p - (log_q - log_p);
            divergence += p > 1e-290 ? p * (expm1(r) - r) : q;  // no summand is negative
            gradient += soft * T / N * (q - p);
        }
        dz[n * K + k] = gradient;
    }
    if (teacher) divergence = T * T / N * over_block(divergence, room, false);
    if (first == 0) {
        double entropy = 0;
        if (labels) {
            bool there = 0 <= y[n] && y[n] < K;  // a label outside is nobody's, and reads nothing
            entropy = log(sum) - (there ? (1 - smoothing) * (s[y[n]] - top_s) : 0);
            if (smoothing != 0) entropy -= smoothing / K * all;
            entropy /= N;
        }
        rows[n] = hard * entropy + soft * divergence;
        rows[N + n] = entropy;
        rows[2 * N + n] = divergence;
    }
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

// y + b, then [layers.2], in place: y is (N, H), b is (H,).
extern "C" __global__ void bias_relu(real* y, const real* b, integer n, integer H) {
    integer i = (integer)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    real a = y[i] + b[i % H];
    y[i] = a < 0 ? (real)0 : a;  // a NaN stays one
}

extern "C" __global__ void relu_backward(const real* dy, const real* h, real* dx, integer n) {
    integer i = (integer)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    dx[i] = h[i] > 0 ? dy[i] : (real)0;
}
