/* The figures of docs/explore: plain JavaScript and SVG, nothing loaded from anywhere.

   A figure is `<figure class="kdx" data-kdx="temperature" …>` with a still picture, which stays where no script runs, and
   a hidden part that takes its place. Its numbers are `<span data-v="name">`; the only state is the range input of log2 T,
   the rows of logits `t` (teacher) and `s` (student), and the label `y`. The mathematics is `window.kdexplore`. */
(() => {
  "use strict";

  // ---- the mathematics, one row at a time ------------------------------------------------------------------------

  const sum = (a) => a.reduce((x, y) => x + y, 0);
  const norm = (a) => Math.hypot(...a);
  const centred = (z) => z.map((v) => v - sum(z) / z.length);

  function softmax(z, T = 1) {
    const m = Math.max(...z);
    const e = z.map((v) => Math.exp((v - m) / T));
    return e.map((v) => v / sum(e));
  }

  /** In nats. */
  const entropy = (p) => -sum(p.map((v) => (v > 0 ? v * Math.log(v) : 0)));

  /** T² KL(p ‖ q), from logarithms of probabilities, which do not underflow. */
  function softTargets(s, t, T) {
    const logs = (z) => z.map((v) => (v - Math.max(...z)) / T - Math.log(sum(z.map((w) => Math.exp((w - Math.max(...z)) / T)))));
    const [p, lp, lq] = [softmax(t, T), logs(t), logs(s)];
    return Math.max(0, T * T * sum(p.map((v, k) => v * (lp[k] - lq[k]))));
  }

  /** Its derivative by the student's logits: T (q - p). */
  function softTargetsGradient(s, t, T) {
    const [p, q] = [softmax(t, T), softmax(s, T)];
    return q.map((v, k) => T * (v - p[k]));
  }

  const crossEntropy = (z, y) => Math.max(...z) - z[y] + Math.log(sum(z.map((v) => Math.exp(v - Math.max(...z)))));
  const crossEntropyGradient = (z, y) => softmax(z).map((v, k) => v - (k === y ? 1 : 0));

  /** What softTargetsGradient becomes as T grows: centred logits matched, over K. */
  function hotLimit(s, t) {
    const [a, b] = [centred(s), centred(t)];
    return a.map((v, k) => (v - b[k]) / a.length);
  }

  window.kdexplore = { softmax, entropy, softTargets, softTargetsGradient, crossEntropy, crossEntropyGradient, hotLimit };

  // ---- numbers as words ------------------------------------------------------------------------------------------

  const CLASSES = ["A", "B", "C", "D", "E"];
  const clamp = (v, lo, hi) => Math.min(hi, Math.max(lo, v));
  const fix = (v, digits = 2) =>
    Number.isFinite(v) ? v.toFixed(digits).replace(/^-(?=0\.?0*$)/, "").replace("-", "−") : "–";
  const signed = (v, digits = 2) => fix(v, digits).replace(/^(?=\d)(?!0\.?0*$)/, "+");
  const digits3 = (v) => (v >= 100 ? v.toFixed(0) : v > 0 && v < 0.001 ? v.toExponential(1).replace("-", "−") : String(+v.toPrecision(3)));
  const percent = (p) => (p < 1e-4 ? "under 0.01\u00a0%" : `${(100 * p).toFixed(p < 0.1 ? 2 : 1)}\u00a0%`);

  // ---- SVG -------------------------------------------------------------------------------------------------------

  function set(node, attributes) {
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    return node;
  }

  function add(parent, name, attributes = {}, text = "") {
    const node = set(document.createElementNS("http://www.w3.org/2000/svg", name), attributes);
    node.textContent = text;
    return parent.appendChild(node);
  }

  const W = 340; // the width of every panel in its own units

  const panel = (f, label, height) =>
    add(f.panels, "svg", { viewBox: `0 0 ${W} ${height}`, role: "group", "aria-label": label });

  /** A linear scale from values to x: call it, or ask for the value `at` an x. */
  function scale(lo, hi, x0, x1, step) {
    const X = (v) => x0 + ((v - lo) / (hi - lo)) * (x1 - x0);
    return Object.assign(X, { lo, hi, step, at: (x) => lo + ((x - x0) / (x1 - x0)) * (hi - lo) });
  }

  /** A thing that is moved along x by mouse, finger or arrow keys. Returns what repaints it at height y. */
  function handle(svg, X, { name, kind, get, set: put, words }) {
    const g = add(svg, "g", {
      class: `kdx-handle ${kind}`, tabindex: 0, role: "slider", "aria-label": name,
      "aria-valuemin": X.lo, "aria-valuemax": X.hi,
    });
    add(g, "rect", { x: -20, y: { teacher: -16, student: -8 }[kind] ?? -20, width: 40, height: kind === "here" ? 40 : 24, class: "kdx-touch" });
    add(g, "path", { d: kind === "teacher" ? "M0-8L8 0L0 8L-8 0Z" : "M-7 0A7 7 0 1 1 7 0A7 7 0 1 1-7 0Z" });
    const note = add(g, "text", { y: 4, class: "kdx-small" });
    const move = (v) => put(clamp(Math.round(v / X.step) * X.step, X.lo, X.hi));
    const x = (e) => {
      const box = svg.getBoundingClientRect();
      return ((e.clientX - box.left) / box.width) * W;
    };
    let grip = 0;
    g.addEventListener("pointerdown", (e) => {
      grip = x(e) - X(get());
      g.setPointerCapture(e.pointerId);
    });
    g.addEventListener("pointermove", (e) => {
      if (g.hasPointerCapture(e.pointerId)) move(X.at(x(e) - grip));
    });
    g.addEventListener("keydown", (e) => {
      const steps = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: 10, PageDown: -10 }[e.key];
      const to = { Home: X.lo, End: X.hi }[e.key] ?? get() + steps * X.step;
      if (Number.isNaN(to)) return;
      e.preventDefault();
      e.stopPropagation(); // a page may have arrow keys of its own
      move(to);
    });
    return (y) => {
      const v = get();
      const right = X(v) < W - 50;
      set(g, { transform: `translate(${X(v)} ${y})`, "aria-valuenow": +v.toFixed(6), "aria-valuetext": words() });
      set(note, { x: right ? 13 : -13, "text-anchor": right ? "start" : "end" }).textContent = kind === "here" ? "" : fix(v, 1);
    };
  }

  // ---- what the figures have in common ---------------------------------------------------------------------------

  function figure(root) {
    const find = (selector) => root.querySelector(selector);
    const range = find("input[type=range]");
    const f = { root, panels: find(".kdx-panels"), painters: [], y: Number(root.dataset.y) };
    const take = (data) => ["s", "t"].forEach((who) => data[who] && (f[who] = data[who].split(",").map(Number)));
    take(root.dataset);
    Object.defineProperty(f, "T", { get: () => 2 ** range.value });
    f.hot = { get: () => Number(range.value), set: (v) => ((range.value = v), f.update()) };
    f.say = (values) => {
      for (const [name, words] of Object.entries(values))
        root.querySelectorAll(`[data-v="${name}"]`).forEach((node) => (node.textContent = words));
    };
    f.update = () => {
      range.setAttribute("aria-valuetext", `T = ${digits3(f.T)}`);
      f.say({ T: digits3(f.T) });
      f.painters.forEach((paint) => paint());
    };
    range.addEventListener("input", f.update);
    root.querySelectorAll("button[data-s], button[data-t]").forEach((b) =>
      b.addEventListener("click", () => (take(b.dataset), f.update())));
    return f;
  }

  const ROW = 50;
  const row = (k) => 52 + ROW * k;

  /** The frame of a panel of rows, one for each class: a line of names, a base line each, ticks at the foot. */
  function rows(svg, X, title, ticks, names = true) {
    const head = add(svg, "text", { x: (X(X.lo) + X(X.hi)) / 2, y: 16, "text-anchor": "middle" });
    for (const [words, kind] of title) add(head, "tspan", { class: kind ?? "" }, words);
    CLASSES.forEach((name, k) => {
      add(svg, "line", { x1: X(X.lo), x2: X(X.hi), y1: row(k), y2: row(k), class: "kdx-grid" });
      if (names) add(svg, "text", { x: 2, y: row(k) + 4, class: "kdx-name" }, name);
    });
    for (const v of ticks) {
      add(svg, "line", { x1: X(v), x2: X(v), y1: 26, y2: row(4) + 26, class: v === 0 ? "kdx-axis" : "kdx-grid" });
      add(svg, "text", { x: X(v), y: row(4) + 42, "text-anchor": "middle", class: "kdx-small" }, fix(v, 0));
    }
  }

  /** Logits as handles, those of the teacher above the line of their class, those of the student below. */
  function logits(f, svg, X, who, title) {
    rows(svg, X, title, [-8, 0, 8]);
    const names = { t: "teacher", s: "student" };
    who.forEach((w, i) => CLASSES.forEach((c, k) => {
      const paint = handle(svg, X, {
        name: `logit of class ${c}, ${names[w]}`, kind: names[w], words: () => fix(f[w][k], 1),
        get: () => f[w][k], set: (v) => ((f[w] = f[w].map((u, j) => (j === k ? v : u))), f.update()),
      });
      f.painters.push(() => paint(row(k) + (who.length === 1 ? 0 : 18 * i - 9)));
    }));
  }

  const BOTH = [["logits of "], ["◆ teacher ", "teacher"], ["● student", "student"]];
  const SIDE = [26, 322];
  const HEIGHT = row(4) + 50;

  /** A plot over log2 T with a handle on its first curve. `lines`: {kind, label, at: T => y}; y is drawn as `scaleY(y)`. */
  function plot(f, { label, top, X, Y, yTicks, yLabel, lines, words }) {
    const svg = panel(f, label, HEIGHT);
    const [x0, x1, y0] = [X(X.lo), X(X.hi), HEIGHT - 42];
    add(svg, "text", { x: x0, y: 16 }, yLabel);
    for (const [v, text] of yTicks) {
      add(svg, "line", { x1: x0, x2: x1, y1: Y(v), y2: Y(v), class: "kdx-grid" });
      add(svg, "text", { x: x0 - 5, y: Y(v) + 4, "text-anchor": "end", class: "kdx-small" }, text);
    }
    for (let v = Math.ceil(X.lo); v <= X.hi; v += 2) {
      add(svg, "text", { x: X(v), y: y0 + 16, "text-anchor": "middle", class: "kdx-small" }, v < 0 ? `1/${2 ** -v}` : 2 ** v);
    }
    add(svg, "line", { x1: x0, x2: x1, y1: y0, y2: y0, class: "kdx-axis" });
    add(svg, "text", { x: (x0 + x1) / 2, y: HEIGHT - 8, "text-anchor": "middle" }, "temperature T");
    const here = add(svg, "line", { class: "kdx-here", y1: top, y2: y0 });
    const drawn = lines.map((l) => ({
      ...l, path: add(svg, "path", { class: `kdx-line ${l.kind}` }),
      text: add(svg, "text", { class: `kdx-small ${l.kind}`, "text-anchor": l.beside ? "start" : "end" }, l.label),
      dot: add(svg, "circle", { r: 4, class: l.kind }),
    }));
    const paintHandle = handle(svg, X, { name: "temperature T", kind: "here", words, ...f.hot });
    const height = (l, v) => clamp(Y(l.at(2 ** v)), top, y0);
    f.painters.push(() => {
      const v = f.hot.get();
      set(here, { x1: X(v), x2: X(v) });
      for (const l of drawn) {
        const points = Array.from({ length: 241 }, (_, i) => X.lo + (i / 240) * (X.hi - X.lo))
          .map((u) => [X(u), Y(l.at(2 ** u))]).filter(([, y]) => y > top - 1 && y < y0 + 1);
        set(l.path, { d: points.map(([u, y], i) => `${i ? "L" : "M"}${u.toFixed(1)} ${y.toFixed(1)}`).join("") });
        set(l.dot, { cx: X(v), cy: height(l, v) });
        const at = l.where ?? X.hi;
        set(l.text, { x: X(at) + (l.beside ? 6 : 0), y: height(l, at) + (l.below ? 16 : -7) });
      }
      paintHandle(height(drawn[0], v));
    });
  }

  /** Buttons that take step after step until nothing moves, they are pressed again, or anything else is. */
  function play(f, step) {
    const still = matchMedia("(prefers-reduced-motion: reduce)");
    const buttons = [...f.root.querySelectorAll("button[data-play]")];
    let timer = 0;
    const stop = () => {
      clearInterval(timer);
      timer = 0;
      buttons.forEach((b) => b.setAttribute("aria-pressed", "false"));
    };
    const go = (loss) => {
      if (still.matches) for (let i = 0; i < 2000 && step(loss); i += 1);
      else timer = setInterval(() => (step(loss) || stop(), f.update()), 50);
      f.update();
    };
    f.root.addEventListener("click", (e) => {
      const b = e.target.closest("button");
      const again = b?.getAttribute("aria-pressed") === "true";
      if (b) stop();
      if (!b?.dataset.play || again) return;
      b.setAttribute("aria-pressed", String(!still.matches));
      go(b.dataset.play);
    });
    stop();
  }

  // ---- the three figures -----------------------------------------------------------------------------------------

  const FIGURES = {
    temperature(f) {
      const svg = panel(f, "logits, and the probabilities they become", HEIGHT);
      logits(f, svg, scale(-8, 8, 26, 172, 0.1), ["t"], [["logits z"]]);
      const X = scale(0, 1, 206, 306, 0.1);
      rows(svg, X, [["softmax(z / T)"]], [0, 1], false);
      const bars = CLASSES.map((_, k) => add(svg, "rect", { x: X(0), y: row(k) - 11, height: 22, class: "teacher" }));
      const notes = CLASSES.map((c, k) => add(svg, "text", { y: row(k) + 4, class: "kdx-small", "data-v": `p-${c}` }));
      const most = Math.log(CLASSES.length);
      const Y = (h) => 252 - (h / 1.8) * 222;
      plot(f, {
        label: "entropy against temperature", top: 26, X: scale(-3, 7, 34, 326, 0.125), Y, yLabel: "entropy, nats",
        yTicks: [[0, "0"], [0.5, "0.5"], [1, "1.0"], [1.5, "1.5"]], words: () => `T = ${digits3(f.T)}`,
        lines: [
          { kind: "teacher", label: "", at: (T) => entropy(softmax(f.t, T)) },
          { kind: "kdx-limit", label: "log 5", at: () => most, where: -2 },
        ],
      });
      f.painters.push(() => {
        const p = softmax(f.t, f.T);
        const first = p.indexOf(Math.max(...p));
        const last = p.indexOf(Math.min(...p));
        p.forEach((v, k) => {
          set(bars[k], { width: X(v) - X(0) });
          set(notes[k], { x: X(v) + 5 }).textContent = fix(v, 3);
        });
        f.say({
          first: CLASSES[first], last: CLASSES[last], most: percent(p[first]), least: percent(p[last]),
          H: fix(entropy(p)), even: fix(Math.exp(entropy(p)), 1),
        });
      });
    },

    gradient(f) {
      const X = scale(-8, 8, ...SIDE, 0.1);
      logits(f, panel(f, "logits of teacher and student", HEIGHT), X, ["t", "s"], BOTH);
      const svg = panel(f, "the push on each logit of the student", HEIGHT);
      const P = scale(-2, 2, 68, 284, 0.1);
      rows(svg, P, [["push of the "], ["■ soft targets ", "teacher"], ["■ label", "label"]], [-2, -1, 0, 1, 2]);
      const kinds = ["teacher", "label"];
      const bars = CLASSES.map((c, k) => kinds.map((kind, i) => ({
        bar: add(svg, "rect", { y: row(k) - 17 + 18 * i, height: 16, class: kind }),
        note: add(svg, "text", { y: row(k) - 5 + 18 * i, class: `kdx-small ${kind}`, "data-v": `${kind}-${c}` }),
      })));
      const radios = f.root.querySelectorAll("input[type=radio]");
      radios.forEach((r, k) => {
        r.checked = k === f.y;
        r.addEventListener("change", () => ((f.y = k), f.update()));
      });
      const pushes = () => ({ soft: softTargetsGradient(f.s, f.t, f.T).map((g) => -g), hard: crossEntropyGradient(f.s, f.y).map((g) => -g) });
      /** One step on a loss; false if it moves nothing that can be seen. */
      const step = (loss) => {
        const push = pushes()[loss];
        const before = f.s;
        f.s = f.s.map((v, k) => clamp(v + push[k], X.lo, X.hi));
        return f.s.some((v, k) => Math.abs(v - before[k]) > 0.002);
      };
      f.root.querySelectorAll("button[data-step]").forEach((b) => b.addEventListener("click", () => (step(b.dataset.step), f.update())));
      play(f, step);
      f.painters.push(() => {
        const { soft, hard } = pushes();
        bars.forEach((pair, k) => pair.forEach(({ bar, note }, i) => {
          const v = [soft, hard][i][k];
          const x = P(clamp(v, P.lo, P.hi));
          set(bar, { x: Math.min(x, P(0)), width: Math.abs(x - P(0)) });
          set(note, { x: x + (v < 0 ? -5 : 5), "text-anchor": v < 0 ? "end" : "start" }).textContent = signed(v);
        }));
        const sizes = soft.map(Math.abs);
        const k = sizes.indexOf(Math.max(...sizes));
        f.say({
          k: CLASSES[k], p: percent(softmax(f.t, f.T)[k]), q: percent(softmax(f.s, f.T)[k]), soft: signed(soft[k]),
          hard: signed(hard[k]), y: CLASSES[f.y], KL: fix(softTargets(f.s, f.t, f.T), 3), CE: fix(crossEntropy(f.s, f.y), 3),
        });
      });
    },

    slopes(f) {
      const size = (T) => norm(softTargetsGradient(f.s, f.t, T));
      const Y = (g) => 26 + ((1 - Math.log10(Math.max(g, 1e-9))) / 6) * 226;
      plot(f, {
        label: "length of the gradient against temperature, both on logarithmic axes", top: 26, X: scale(-3, 9, 40, 326, 0.125), Y,
        yLabel: "length of the gradient", yTicks: [1, 0, -1, -2, -3, -4, -5].map((e) => [10 ** e, `10${e < 0 ? "⁻" : ""}${"⁰¹²³⁴⁵"[Math.abs(e)]}`]),
        words: () => `T = ${digits3(f.T)}`,
        lines: [
          { kind: "student", label: "with T²", at: size, below: true },
          { kind: "teacher", label: "without", at: (T) => size(T) / T ** 2, where: 5, beside: true },
          { kind: "kdx-limit", label: "matching logits", at: () => norm(hotLimit(f.s, f.t)) },
        ],
      });
      logits(f, panel(f, "logits of teacher and student", HEIGHT), scale(-8, 8, ...SIDE, 0.1), ["t", "s"], BOTH);
      f.painters.push(() => {
        const [now, next] = [size(f.T), size(2 * f.T)];
        f.say({
          with: digits3(now), without: digits3(now / f.T ** 2), limit: digits3(norm(hotLimit(f.s, f.t))),
          up: fix(next / now), down: fix(next / now / 4), slope: signed(Math.log2(next / now)), fall: signed(Math.log2(next / now) - 2),
        });
      });
    },
  };

  document.querySelectorAll("figure[data-kdx]").forEach((root) => {
    const f = figure(root);
    FIGURES[root.dataset.kdx](f);
    f.update();
    root.querySelector(".kdx-live").hidden = false;
    root.querySelector(".kdx-still").hidden = true;
  });
})();
