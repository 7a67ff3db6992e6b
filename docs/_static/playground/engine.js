/* The engine of the playground: random numbers, networks, losses, Adam.

   Plain JavaScript, one function, so that a worker can be made of its text. A test
   holds it to the package: the same weights and batches give the same weights.
   N rows, K classes; a matrix is one Float64Array, row after row. */
function playgroundEngine() {
  "use strict";

  // ---- random numbers: the same seed, the same points -----------------------------

  /** A stream for each seed and purpose (sfc32: Doty-Humphrey, PractRand). */
  function stream(seed, purpose) {
    let [a, b, c, counter] = [seed | 0, purpose | 0, 0x6b646c, 1];
    const bits = () => {
      const out = (a + b + counter++) | 0;
      a = b ^ (b >>> 9);
      b = (c + (c << 3)) | 0;
      c = (((c << 21) | (c >>> 11)) + out) | 0;
      return out >>> 0;
    };
    for (let i = 0; i < 15; i++) bits(); // seeds that are alike grow apart
    const uniform = () => bits() / 2 ** 32;
    const below = (n) => Math.floor(uniform() * n);
    /** Box and Muller 1958; 1 - u is never 0. */
    const normal = () =>
      Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
    return { uniform, below, normal };
  }

  /** Numbers 0 … n-1 in random order, `size` at a time, round after round. */
  function shuffled(n, size, random) {
    const order = Array.from({ length: n }, (_, i) => i);
    let at = n;
    return () => {
      const batch = [];
      while (batch.length < Math.min(size, n)) {
        if (at === n) {
          for (let i = n - 1; i > 0; i--) {
            const j = random.below(i + 1);
            [order[i], order[j]] = [order[j], order[i]];
          }
          at = 0;
        }
        batch.push(order[at++]);
      }
      return batch;
    };
  }

  // ---- the network ----------------------------------------------------------------

  /** Layers y = x W + b with a ReLU between them.

      `theta` is all weights, then all biases. The weights begin as normal numbers of
      deviation gain / sqrt(D), where D is the number of inputs; gain is sqrt(2) before
      a ReLU (He et al. 2015), else 1. Biases begin at 0. */
  class MLP {
    constructor(sizes, random) {
      const shapes = sizes.slice(1).map((H, l) => ({ D: sizes[l], H }));
      this.K = sizes.at(-1);
      this.weights = shapes.reduce((n, { D, H }) => n + D * H, 0);
      const size = this.weights + shapes.reduce((n, { H }) => n + H, 0);
      this.theta = new Float64Array(size);
      this.grad = new Float64Array(size);
      this.memory = new Map();
      let [w, b] = [0, this.weights];
      this.layers = shapes.map(({ D, H }, l) => {
        const part = (a, start, n) => a.subarray(start, start + n);
        const layer = {
          D, H, W: part(this.theta, w, D * H), b: part(this.theta, b, H),
          dW: part(this.grad, w, D * H), db: part(this.grad, b, H),
        };
        const gain = l + 1 < shapes.length ? Math.SQRT2 : 1;
        const deviation = gain / Math.sqrt(D);
        for (let i = 0; i < D * H; i++) layer.W[i] = deviation * random.normal();
        [w, b] = [w + D * H, b + H];
        return layer;
      });
    }

    /** Arrays for N rows, made once: each layer's output, and the gradient by it. */
    room(N) {
      if (!this.memory.has(N)) {
        const make = () => this.layers.map(({ H }) => new Float64Array(N * H));
        this.memory.set(N, { y: make(), dy: make() });
      }
      return this.memory.get(N);
    }

    /** Logits (N, K) of x (N, D). Overwritten by the next call with as many rows. */
    forward(x, N) {
      const { y } = this.room(N);
      this.layers.forEach(({ D, H, W, b }, l) => {
        const [input, out] = [l ? y[l - 1] : x, y[l]];
        for (let n = 0; n < N; n++) {
          for (let j = 0; j < H; j++) out[n * H + j] = b[j];
          for (let d = 0; d < D; d++) {
            const v = input[n * D + d];
            if (v !== 0) for (let j = 0; j < H; j++) out[n * H + j] += v * W[d * H + j];
          }
        }
        if (l + 1 < this.layers.length)
          for (let i = 0; i < out.length; i++) if (out[i] < 0) out[i] = 0;
      });
      return y.at(-1);
    }

    /** From dL/dlogits of the last `forward(x, N)` to `grad`: dL/dW = xᵀ dL/dy,
        dL/db = Σ dL/dy, dL/dx = dL/dy Wᵀ; a ReLU passes it on where y > 0. */
    backward(x, N, dlogits) {
      const { y, dy } = this.room(N);
      this.grad.fill(0);
      for (let l = this.layers.length - 1; l >= 0; l--) {
        const { D, H, W, dW, db } = this.layers[l];
        const out = l + 1 === this.layers.length ? dlogits : dy[l];
        const [input, din] = [l ? y[l - 1] : x, l ? dy[l - 1] : null];
        for (let n = 0; n < N; n++) {
          for (let j = 0; j < H; j++) db[j] += out[n * H + j];
          for (let d = 0; d < D; d++) {
            const v = input[n * D + d];
            let sum = 0;
            if (!din || v > 0)
              for (let j = 0; j < H; j++) {
                dW[d * H + j] += v * out[n * H + j];
                sum += out[n * H + j] * W[d * H + j];
              }
            if (din) din[n * D + d] = sum;
          }
        }
      }
    }
  }

  /** Adam (Kingma and Ba 2015, algorithm 1), an L2 penalty on weights, not on biases:

      g = ∇L + λθ,  m ← β₁m + (1-β₁)g,  v ← β₂v + (1-β₂)g²,
      θ ← θ - η m̂ / (sqrt(v̂) + ε),  m̂ = m / (1-β₁ᵗ),  v̂ = v / (1-β₂ᵗ). */
  class Adam {
    constructor(net, rate, decay = 0, beta1 = 0.9, beta2 = 0.999, eps = 1e-8) {
      Object.assign(this, { net, rate, decay, beta1, beta2, eps, t: 0 });
      this.m = new Float64Array(net.theta.length);
      this.v = new Float64Array(net.theta.length);
    }

    step() {
      const { net, m, v, beta1, beta2 } = this;
      this.t++;
      const [c1, c2] = [1 - beta1 ** this.t, 1 - beta2 ** this.t];
      for (let i = 0; i < m.length; i++) {
        const g = net.grad[i] + (i < net.weights ? this.decay * net.theta[i] : 0);
        m[i] = beta1 * m[i] + (1 - beta1) * g;
        v[i] = beta2 * v[i] + (1 - beta2) * g * g;
        net.theta[i] -= (this.rate * (m[i] / c1)) / (Math.sqrt(v[i] / c2) + this.eps);
      }
    }
  }

  // ---- the losses: each returns its value and adds `weight` times its gradient to dz 

  /** softmax(z / T) of each row, N rows of K. */
  function softmax(z, N, K, T = 1, p = new Float64Array(N * K)) {
    for (let n = 0; n < N; n++) {
      let [most, sum] = [-Infinity, 0];
      for (let k = n * K; k < (n + 1) * K; k++) most = Math.max(most, z[k]);
      for (let k = n * K; k < (n + 1) * K; k++) {
        p[k] = Math.exp((z[k] - most) / T);
        sum += p[k];
      }
      for (let k = n * K; k < (n + 1) * K; k++) p[k] /= sum;
    }
    return p;
  }

  /** L = -1/N Σ log q[y], its gradient (q - onehot(y)) / N, over the first N rows. */
  function crossEntropy(z, y, N, K, weight, dz) {
    const q = softmax(z, N, K);
    let value = 0;
    for (let n = 0; n < N; n++) {
      value -= Math.log(Math.max(q[n * K + y[n]], 1e-300)) / N;
      for (let k = 0; k < K; k++)
        dz[n * K + k] += (weight * (q[n * K + k] - (k === y[n] ? 1 : 0))) / N;
    }
    return value;
  }

  /** L = T²/N Σ KL(p ‖ q), where p and q are softmax(z / T) of teacher and student; its
      gradient is T (q - p) / N. Without T² it would shrink like 1/T²: by the chain
      rule, and as p and q become alike (Hinton, Vinyals and Dean 2015, section 2). */
  function softTargets(zs, zt, N, K, T, weight, dz) {
    const [q, p] = [softmax(zs, N, K, T), softmax(zt, N, K, T)];
    let value = 0;
    for (let i = 0; i < N * K; i++) {
      const ratio = p[i] / Math.max(q[i], 1e-300);
      if (p[i] > 0) value += (T * T * p[i] * Math.log(ratio)) / N;
      dz[i] += (weight * T * (q[i] - p[i])) / N;
    }
    return value;
  }

  /** One step on (1 - w) cross-entropy + w soft targets. The first `y.length` rows of x
      have labels; the teacher's logits `zt` are of all rows (w = 0: not read). */
  function trainStep(net, adam, { x, y, zt }, T = 1, w = 0) {
    const N = x.length / net.layers[0].D;
    const z = net.forward(x, N);
    const dz = new Float64Array(N * net.K);
    const hard = crossEntropy(z, y, y.length, net.K, 1 - w, dz);
    const soft = w ? softTargets(z, zt, N, net.K, T, w, dz) : 0;
    net.backward(x, N, dz);
    adam.step();
    return { hard, soft, loss: (1 - w) * hard + w * soft };
  }

  /** Share of the rows whose largest logit is the label's. */
  function accuracy(net, { x, y }) {
    const [z, K] = [net.forward(x, y.length), net.K];
    let right = 0;
    for (let n = 0; n < y.length; n++) {
      let first = 0;
      for (let k = 1; k < K; k++) if (z[n * K + k] > z[n * K + first]) first = k;
      right += first === y[n];
    }
    return right / y.length;
  }

  return {
    stream, shuffled, MLP, Adam, softmax, crossEntropy, softTargets, trainStep,
    accuracy,
  };
}
