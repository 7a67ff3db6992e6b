/* The pictures of the playground: regions and points on a canvas, curves and intervals as
   SVG. Each function draws what it is given. */
kdplay.pictures = (root) => {
  "use strict";
  const { PLAN, softmax } = kdplay;
  const find = (selector) => root.querySelector(selector);

  // ---- numbers as words -----------------------------------------------------------

  const fix = (v, digits = 1) =>
    v.toFixed(digits).replace(/^-(?=0\.?0*$)/, "").replace("-", "−");
  const signed = (v) => fix(v).replace(/^(?=\d)(?!0\.0$)/, "+");
  const percent = (v) => `${fix(100 * v)}\u00a0%`;

  // ---- pictures -------------------------------------------------------------------

  const COLORS = [[124, 58, 237], [13, 148, 136], [217, 164, 6], [225, 29, 72]];
  const [GRID, SPAN] = [60, 2.7]; // points a side, and the largest coordinate shown
  const lattice = new Float64Array(2 * GRID * GRID);
  for (let i = 0; i < GRID * GRID; i++) {
    lattice[2 * i] = SPAN * ((2 * (i % GRID) + 1) / GRID - 1);
    lattice[2 * i + 1] = -SPAN * ((2 * Math.floor(i / GRID) + 1) / GRID - 1);
  }
  const small = Object.assign(document.createElement("canvas"), { width: GRID, height: GRID });
  const brush = small.getContext("2d");
  const image = brush.createImageData(GRID, GRID);

  const rgb = (property) =>
    getComputedStyle(root)[property].match(/[\d.]+/g).slice(0, 3).map(Number);
  const css = (color) => `rgb(${color.map(Math.round).join(" ")})`;
  const between = (a, b, share) => a.map((v, i) => v + share * (b[i] - v));

  /** The plane in the colours of softmax(z / T): the card's own where all are alike. */
  function paintRegions(net, T, card) {
    const K = net.K;
    const p = softmax(net.forward(lattice, GRID * GRID), GRID * GRID, K, T);
    for (let i = 0; i < GRID * GRID; i++) {
      for (let c = 0; c < 3; c++) {
        let v = card[c];
        for (let k = 0; k < K; k++) {
          const sure = Math.max(0, (p[i * K + k] - 1 / K) / (1 - 1 / K));
          v += 0.5 * sure * (COLORS[k][c] - card[c]);
        }
        image.data[4 * i + c] = v;
      }
      image.data[4 * i + 3] = 255;
    }
    brush.putImageData(image, 0, 0);
  }

  const corners = (n, turn) => Array.from({ length: n }, (_, i) =>
    [Math.cos(2 * Math.PI * (i / n + turn)), Math.sin(2 * Math.PI * (i / n + turn))]);
  const SHAPES = [corners(24, 0), corners(4, 1 / 8), corners(3, -1 / 4), corners(4, 0)];

  function paintPoints(pen, { x, y }, radius, fill, edge) {
    const to = (v, up) => ((up ? -v : v) / SPAN + 1) / 2;
    const side = pen.canvas.width;
    for (let n = 0; n < y.length; n++) {
      const [px, py] = [side * to(x[2 * n]), side * to(x[2 * n + 1], true)];
      pen.beginPath();
      for (const [u, v] of fill ? SHAPES[y[n]] : SHAPES[0])
        pen.lineTo(px + radius * u, py + radius * v);
      pen.closePath();
      if (fill) {
        pen.fillStyle = fill[y[n]];
        pen.fill();
      }
      if (edge) pen.stroke();
    }
  }

  /** One network's panel; drawn only where something in `key` has changed. */
  function paintPanel(name, { net, adam }, T, key, points) {
    const canvas = find(`canvas[data-panel=${name}]`);
    const scale = window.devicePixelRatio || 1;
    const side = Math.round(canvas.clientWidth * scale);
    const [card, ink] = [rgb("backgroundColor"), rgb("color")];
    const all = [...key, net, adam.t, T, side, ...card];
    if (canvas.key?.every((v, i) => v === all[i])) return;
    canvas.key = all;
    if (canvas.width !== side) canvas.width = canvas.height = side;
    const pen = canvas.getContext("2d");
    paintRegions(net, T, card);
    pen.drawImage(small, 0, 0, side, side);
    points(pen, scale * (canvas.clientWidth < 160 ? 0.8 : 1), card, ink);
  }

  function paintPanels({ T }, { teacher, pair }) {
    paintPanel("teacher", teacher, T, [], (pen, unit, card, ink) => {
      const fill = COLORS.map((c) => css(between(c, ink, 0.35)));
      paintPoints(pen, teacher.points, 1.5 * unit, fill);
    });
    const labelled = (pen, unit, card, ink) => {
      [pen.lineWidth, pen.strokeStyle] = [1.5 * unit, css(ink)];
      paintPoints(pen, pair.labelled, 4.5 * unit, COLORS.map(css), true);
    };
    paintPanel("alone", pair.alone, 1, [pair], labelled);
    paintPanel("distilled", pair.distilled, 1, [pair], (pen, unit, card, ink) => {
      [pen.lineWidth, pen.strokeStyle] = [unit, css(between(card, ink, 0.6))];
      paintPoints(pen, pair.unlabelled, 1.8 * unit, null, true);
      labelled(pen, unit, card, ink);
    });
  }

  const SVG = "http://www.w3.org/2000/svg";
  function add(parent, name, attributes, text = "") {
    const node = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    node.textContent = text;
    return parent.appendChild(node);
  }

  /** An empty drawing as large as its box. */
  function sheet(svg) {
    const [W, H] = [svg.clientWidth || 300, svg.clientHeight || 150];
    svg.setAttribute("viewBox", `0 0 ${W} ${H}`);
    svg.replaceChildren();
    return [W, H];
  }

  function paintCurve(curve) {
    const svg = find(".kdp-curve");
    const [W, H] = sheet(svg);
    const named = W > 240; // else the names above the panels have to do
    const X = (t) => 34 + (t / PLAN.steps) * (W - (named ? 116 : 40));
    const Y = (a) => H - 20 - ((a - 0.2) / 0.8) * (H - 46);
    add(svg, "text", { x: 2, y: 13 }, "test accuracy, %");
    for (const a of [0.2, 0.4, 0.6, 0.8, 1]) {
      add(svg, "line", { x1: X(0), x2: X(PLAN.steps), y1: Y(a), y2: Y(a), class: "kdx-grid" });
      add(svg, "text", { x: 30, y: Y(a) + 4, "text-anchor": "end", class: "kdx-small" },
        `${100 * a}`);
    }
    add(svg, "text", { x: X(0), y: H - 4, class: "kdx-small" }, "0");
    add(svg, "text", { x: X(PLAN.steps), y: H - 4, "text-anchor": "end", class: "kdx-small" },
      `${PLAN.steps} steps`);
    if (!curve.length) return;
    const lines = [["teacher", "teacher", "teacher"], ["alone", "label", "labels alone"],
      ["distilled", "student", "distilled"]].map(([who, kind, words]) => {
      const way = curve.map((c) => `${X(c.t).toFixed(1)} ${Y(Math.max(0.2, c[who])).toFixed(1)}`);
      if (who === "teacher") way.push(`${X(PLAN.steps)} ${Y(curve[0].teacher)}`);
      add(svg, "path", { d: `M${way.join("L")}`, class: `kdp-line ${kind}` });
      return { kind, words, y: Y(curve.at(-1)[who]) };
    });
    if (!named) return;
    lines.sort((a, b) => a.y - b.y).reduce((above, line) => { // names that do not collide
      line.y = Math.max(line.y, above + 14);
      return line.y;
    }, 0);
    for (const { kind, words, y } of lines)
      add(svg, "text", { x: X(PLAN.steps) + 4, y: y + 4, class: `kdx-small ${kind}` }, words);
  }

  /** Twenty paired differences, and below them their mean and its interval. */
  function paintStrip(svg, dots, found, [low, high], watch) {
    const [W] = sheet(svg);
    const X = (v) => 14 + ((v - low) / (high - low)) * (W - 28);
    const step = [1, 2, 5, 10, 20, 50].find((s) => (high - low) / s < W / 50);
    for (let v = Math.ceil(low / step) * step; v <= high; v += step) {
      const kind = v === 0 ? "kdx-axis" : "kdx-grid";
      add(svg, "line", { x1: X(v), x2: X(v), y1: 2, y2: 44, class: kind });
      add(svg, "text", { x: X(v), y: 57, "text-anchor": "middle", class: "kdx-small" },
        signed(v).replace(/\.0$/, ""));
    }
    for (const { gap, seed } of dots) {
      const dot = add(svg, "circle", {
        cx: X(gap), cy: 8 + 5 * (seed % 4), r: 4, class: "kdp-dot", "data-gap": gap,
      });
      add(dot, "title", {}, `seed ${seed}: ${signed(gap)} points; click to watch it`);
      dot.addEventListener("click", () => watch(seed));
    }
    if (!found) return;
    const { mean, half } = found;
    add(svg, "line", {
      x1: X(mean - half), x2: X(mean + half), y1: 37, y2: 37, class: "kdp-interval",
    });
    add(svg, "circle", { cx: X(mean), cy: 37, r: 5, class: "kdp-mean" });
  }

  return { fix, signed, percent, paintPanels, paintCurve, paintStrip, add };
};
