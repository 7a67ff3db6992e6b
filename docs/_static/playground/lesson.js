/* What is trained in the playground: points in the plane, a teacher, pairs of students,
   and the statistics of many pairs. Like the engine one function, for the worker. */
function playgroundLesson(engine) {
  "use strict";
  const { stream, shuffled, MLP, Adam, trainStep, accuracy } = engine;

  // ---- points in the plane --------------------------------------------------------

  const polar = (angle, far) => [far * Math.cos(angle), far * Math.sin(angle)];
  const blurred = ([x, y], deviation, r) =>
    [x + deviation * r.normal(), y + deviation * r.normal()];

  /** K classes, and how a point of class k is drawn. Axes have a deviation near 1. */
  const SETS = {
    spirals: { K: 3, draw(k, r) {
      const along = Math.sqrt(r.uniform());
      const angle = 2 * Math.PI * (k / 3 + 0.62 * along);
      return blurred(polar(angle, 0.3 + 1.9 * along), 0.2, r);
    } },
    rings: { K: 3, draw(k, r) {
      const angle = 2 * Math.PI * r.uniform();
      return polar(angle, 0.45 + 0.75 * k + 0.22 * r.normal());
    } },
    islands: { K: 4, draw(k, r) { // three islands for each class, the rows shifted
      const row = r.below(3);
      return blurred([((k + 2 * row) % 4) - 1.5, 1.1 * (row - 1)], 0.28, r);
    } },
    crescents: { K: 4, draw(k, r) { // two arches, and a bowl that grips each
      const side = k % 2 ? 1 : -1;
      const [x, y] = polar(Math.PI * (r.uniform() + (k % 2)), 1.1);
      const up = (k < 2 ? 1.05 : -1.05) + 0.25 * side;
      return blurred([x + 0.45 * side, up + 0.7 * y], 0.16, r);
    } },
  };

  /** N points, every class as often. A label is wrong with probability `noise`: then it
      is another class. The points do not depend on it, nor the first ones on N. */
  function points(name, N, random, noise = 0) {
    const { K, draw } = SETS[name];
    const [x, y] = [new Float64Array(2 * N), new Int32Array(N)];
    for (let n = 0; n < N; n++) {
      x.set(draw(n % K, random), 2 * n);
      const [lot, other] = [random.uniform(), 1 + random.below(K - 1)];
      y[n] = lot < noise ? (n + other) % K : n % K;
    }
    return { x, y };
  }

  // ---- a teacher, and a pair of students ------------------------------------------

  /** What the reader sets. The decay is of the student of labels; `both`: of both. */
  const DEFAULTS = {
    data: "spirals", seed: 0, T: 4, weight: 0.9, labelled: 24, unlabelled: 300,
    noise: 0, teacherPoints: 1000, width: 16, decay: 0, both: false,
  };

  /** What stays as it is: widths, steps, learning rate, rows a step. */
  const PLAN = {
    teacherSizes: [32, 32], teacherSteps: 800, teacherBatch: 64, testPoints: 2000,
    steps: 1000, rate: 0.01, batch: 32, extra: 64,
  };

  /** The same seed gives each of these a stream of random numbers of its own. */
  const PURPOSES = [
    "teacher's points", "teacher", "teacher's order", "labelled", "unlabelled", "test",
    "student", "order", "extra order",
  ];
  const dice = (seed, purpose) => stream(seed, 1 + PURPOSES.indexOf(purpose));

  const take = (a, rows, width) => {
    const out = new a.constructor(rows.length * width);
    rows.forEach((n, i) => out.set(a.subarray(n * width, (n + 1) * width), i * width));
    return out;
  };

  /** A network that learns from labelled points which its students never see. */
  class Teacher {
    constructor({ data, seed, noise, teacherPoints }) {
      this.points = points(data, teacherPoints, dice(seed, "teacher's points"), noise);
      this.test = points(data, PLAN.testPoints, dice(seed, "test"));
      const sizes = [2, ...PLAN.teacherSizes, SETS[data].K];
      this.net = new MLP(sizes, dice(seed, "teacher"));
      this.adam = new Adam(this.net, PLAN.rate);
      const order = dice(seed, "teacher's order");
      this.next = shuffled(teacherPoints, PLAN.teacherBatch, order);
    }

    get done() {
      return this.adam.t >= PLAN.teacherSteps;
    }

    step() {
      const rows = this.next();
      const { x, y } = this.points;
      trainStep(this.net, this.adam, { x: take(x, rows, 2), y: take(y, rows, 1) });
    }
  }

  /** Two students with the same first weights and the same labelled points in the same
      order. One has the labels alone; the other hears the teacher as well, on these
      points and on points without a label. */
  class Pair {
    constructor(settings, teacher) {
      const { data, seed, labelled, unlabelled, noise, width, decay, both } = settings;
      Object.assign(this, { settings, teacher, t: 0 });
      this.labelled = points(data, labelled, dice(seed, "labelled"), noise);
      this.unlabelled = points(data, unlabelled, dice(seed, "unlabelled"));
      this.next = shuffled(labelled, PLAN.batch, dice(seed, "order"));
      this.nextExtra = shuffled(unlabelled, PLAN.extra, dice(seed, "extra order"));
      const student = (decay) => {
        const net = new MLP([2, width, width, SETS[data].K], dice(seed, "student"));
        return { net, adam: new Adam(net, PLAN.rate, decay) };
      };
      this.alone = student(decay);
      this.distilled = student(both ? decay : 0);
    }

    get done() {
      return this.t >= PLAN.steps;
    }

    /** The next batch: labelled rows first, then rows that only the teacher answers. */
    batch() {
      const { labelled, unlabelled, teacher } = this;
      if (!this.t) { // the teacher has learned, and is held from now on
        const answers = ({ x, y }) => teacher.net.forward(x, y.length).slice();
        this.answers = [answers(labelled), answers(unlabelled)];
      }
      const [rows, extra, K] = [this.next(), this.nextExtra(), teacher.net.K];
      const join = (a, b) => Float64Array.of(...a, ...b);
      const x = take(labelled.x, rows, 2);
      return {
        x, y: take(labelled.y, rows, 1), all: join(x, take(unlabelled.x, extra, 2)),
        zt: join(take(this.answers[0], rows, K), take(this.answers[1], extra, K)),
      };
    }

    /** A step of each student; the values of their losses. */
    step() {
      const { T, weight } = this.settings;
      const { x, y, all, zt } = this.batch();
      const learn = ({ net, adam }, ...lesson) => trainStep(net, adam, ...lesson);
      this.t++;
      return {
        alone: learn(this.alone, { x, y }),
        distilled: learn(this.distilled, { x: all, y, zt }, T, weight),
      };
    }

    /** Shares of the test points that each network has right. */
    accuracies() {
      const { teacher, alone, distilled } = this;
      const of = ({ net }) => accuracy(net, teacher.test);
      return { teacher: of(teacher), alone: of(alone), distilled: of(distilled) };
    }
  }

  /** The accuracies after a whole training, teacher included, with one seed. */
  function train(settings) {
    const teacher = new Teacher(settings);
    while (!teacher.done) teacher.step();
    const pair = new Pair(settings, teacher);
    while (!pair.done) pair.step();
    return { seed: settings.seed, ...pair.accuracies() };
  }

  // ---- statistics -----------------------------------------------------------------

  /** P(|t| ≤ value) for Student's t with whole degrees of freedom: a finite sum in
      θ = atan(value / sqrt(df)) (Abramowitz and Stegun 1964, 26.7.3 and 26.7.4). */
  function within(value, df) {
    const theta = Math.atan(value / Math.sqrt(df));
    const [sin, cos2] = [Math.sin(theta), Math.cos(theta) ** 2];
    const odd = df % 2;
    let [term, sum] = [odd ? Math.cos(theta) : 1, 0];
    for (let k = odd ? 1 : 0; k <= df - 2; k += 2) {
      sum += term;
      term *= (cos2 * (k + 1)) / (k + 2);
    }
    return odd ? (2 / Math.PI) * (theta + sin * sum) : sin * sum;
  }

  /** Mean of independent values and the half width of its 95 % t-interval. */
  function interval(values, level = 0.95) {
    const n = values.length;
    const mean = values.reduce((a, b) => a + b, 0) / n;
    if (n < 2) return { mean, half: Infinity, n };
    let [low, high] = [0, 1];
    while (within(high, n - 1) < level) high *= 2;
    for (let i = 0; i < 60; i++) {
      const middle = (low + high) / 2;
      if (within(middle, n - 1) < level) low = middle;
      else high = middle;
    }
    const variance = values.reduce((a, b) => a + (b - mean) ** 2, 0) / (n - 1);
    return { mean, half: high * Math.sqrt(variance / n), n };
  }

  /** An effect is shown where the interval does not reach zero. */
  function verdict({ mean, half }) {
    return mean - half > 0 ? "helps" : mean + half < 0 ? "hurts" : "no effect shown";
  }

  return {
    SETS, PLAN, DEFAULTS, points, Teacher, Pair, train, within, interval, verdict,
  };
}
globalThis.kdplay = { ...playgroundEngine() };
Object.assign(kdplay, playgroundLesson(kdplay));
