/* The playground's page: controls, loop, twenty seeds. What is trained stands in lesson.js,
   how it is trained in engine.js, how it is drawn in pictures.js. */
(() => {
  "use strict";
  const { PLAN, DEFAULTS, Teacher, Pair, interval, verdict } = kdplay;
  const root = document.querySelector("[data-playground]");
  const { fix, signed, percent, add, paintPanels, paintCurve, paintStrip }
    = kdplay.pictures(root);
  const find = (selector) => root.querySelector(selector);
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  const SEEDS = 20;

  const say = (values) => {
    for (const [name, words] of Object.entries(values))
      root.querySelectorAll(`[data-v="${name}"]`).forEach((n) => (n.textContent = words));
  };

  // ---- what is set ----------------------------------------------------------------

  const upTo = (n, step) => Array.from({ length: n + 1 }, (_, i) => i * step);
  const CONTROLS = {
    T: ["temperature T", [0.5, 1, 2, 4, 8, 16, 32], (v) => `T = ${v}`],
    weight: ["weight of soft targets", upTo(10, 0.1).map((v) => +v.toFixed(1)),
      (v) => `weight ${v}`],
    labelled: ["labelled points", [6, 12, 24, 50, 100, 200, 500], (v) => `${v} labelled`],
    unlabelled: ["unlabelled points", [0, 30, 100, 300, 1000], (v) => `${v} unlabelled`],
    noise: ["share of wrong labels", [0, 0.1, 0.2, 0.3, 0.4], (v) => `${100 * v} % wrong`],
    teacherPoints: ["the teacher's points", [30, 100, 300, 1000],
      (v) => `teacher of ${v}`],
    width: ["width of the students", [2, 4, 8, 16, 32], (v) => `width ${v}`],
    decay: ["weight decay, labels alone", [0, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1],
      (v) => `decay ${v}`],
    seed: ["seed", upTo(SEEDS - 1, 1), (v) => `seed ${v}`],
  };
  const NEW_TEACHER = ["data", "seed", "noise", "teacherPoints"];

  const settings = { ...DEFAULTS };
  const show = []; // functions that bring a control to what is set

  function makeControls() {
    for (const [name, [words, values, write]] of Object.entries(CONTROLS)) {
      const label = document.createElement("label");
      label.innerHTML = `${words} <output></output><input type="range" step="1" min="0">`;
      const input = label.querySelector("input");
      Object.assign(input, { name, max: values.length - 1 });
      input.addEventListener("input", () => change({ [name]: values[input.value] }));
      show.push(() => {
        input.value = values.indexOf(settings[name]);
        input.setAttribute("aria-valuetext", write(settings[name]));
        label.querySelector("output").textContent =
          name === "noise" ? `${100 * settings[name]}\u00a0%` : settings[name];
      });
      find(".kdp-controls").insertBefore(label, find("[data-last]"));
    }
    const both = find("input[name=both]");
    both.addEventListener("change", () => change({ both: both.checked }));
    show.push(() => (both.checked = settings.both));
    root.querySelectorAll("input[name=kdp-data]").forEach((radio) => {
      radio.addEventListener("change", () => change({ data: radio.value }));
      show.push(() => (radio.checked = radio.value === settings.data));
    });
    root.querySelectorAll("button[data-set]").forEach((b) => b.addEventListener("click",
      () => change({ ...DEFAULTS, ...JSON.parse(b.dataset.set) })));
  }

  /** What differs from the first settings, in words; the seed aside. */
  function difference(of) {
    const words = Object.entries(CONTROLS)
      .filter(([name]) => name !== "seed" && of[name] !== DEFAULTS[name])
      .map(([name, [, , write]]) => write(of[name]));
    if (of.both && of.decay) words.push("for both");
    return [of.data, ...words].join(", ");
  }

  // ---- training -------------------------------------------------------------------

  const now = { playing: false, paused: false, losses: null, curve: [] };
  Object.assign(kdplay, { settings, now, studies: [] });

  function begin(teacherToo) {
    if (teacherToo || !now.teacher) now.teacher = new Teacher(settings);
    now.pair = new Pair({ ...settings }, now.teacher);
    Object.assign(now, { losses: null, curve: [] });
    measure();
  }

  function measure() {
    now.accuracies = now.pair.accuracies();
    if (now.teacher.done) now.curve.push({ t: now.pair.t, ...now.accuracies });
  }

  /** n steps of the teacher, or, once it has learned, of both students. */
  function advance(n) {
    const { teacher, pair } = now;
    for (let i = 0; i < n && !pair.done; i++) {
      if (!teacher.done) {
        teacher.step();
        if (teacher.adam.t % 100 === 0) measure();
      } else {
        now.losses = pair.step();
        if (pair.t % 20 === 0) measure();
      }
    }
  }

  function frame() {
    if (!now.playing) return;
    advance(now.teacher.done ? 4 : 16);
    if (now.pair.done) now.playing = false;
    else now.next = requestAnimationFrame(frame);
    paint();
  }

  function play(on) {
    now.playing = on && !now.pair.done;
    cancelAnimationFrame(now.next); // never two loops
    if (now.playing) now.next = requestAnimationFrame(frame);
    paint();
  }

  function toTheEnd() {
    Object.assign(now, { playing: false, paused: false });
    advance(Infinity);
    paint();
  }

  /** Settings are changed: the training begins anew. Who wants no motion sees its end. */
  function change(values) {
    const teacherToo = NEW_TEACHER.some((k) => k in values && values[k] !== settings[k]);
    Object.assign(settings, values);
    if (!now.worker) say({ verdict: sayAsSet() });
    show.forEach((update) => update());
    begin(teacherToo);
    if (!calm.matches) return play(!now.paused);
    now.playing = false;
    paint();
    clearTimeout(now.later); // one training for a whole drag of a slider
    if (!now.paused) now.later = setTimeout(toTheEnd, 60);
  }

  function makeButtons() {
    const click = (name, f) => find(`[data-do=${name}]`).addEventListener("click", f);
    click("play", () => {
      now.paused = now.playing;
      clearTimeout(now.later);
      if (now.pair.done) begin(true);
      play(!now.paused);
    });
    click("step", () => {
      Object.assign(now, { playing: false, paused: true });
      clearTimeout(now.later);
      advance(10);
      paint();
    });
    click("end", toTheEnd);
    click("again", () => {
      clearTimeout(now.later);
      begin(true);
      play(!calm.matches && !now.paused);
    });
    click("study", () => (now.worker ? endStudy("Stopped") : startStudy()));
  }

  function paint() {
    paintPanels(settings, now);
    paintCurve(now.curve);
    const { teacher, pair, accuracies, losses } = now;
    const { T, seed } = settings;
    const gap = signed(100 * (accuracies.distilled - accuracies.alone));
    const waits = `learns first: step ${teacher.adam.t} of ${PLAN.teacherSteps}`;
    say({
      step: pair.t, seed, gap, T, play: now.playing ? "pause" : "play",
      teacher: percent(accuracies.teacher), alone: percent(accuracies.alone),
      distilled: percent(accuracies.distilled),
      stage: teacher.done ? `its answers, softened by T = ${T}` : waits,
      aloneLoss: losses ? `CE ${fix(losses.alone.hard, 3)}` : "waits",
      distilledLoss: losses ? `CE ${fix(losses.distilled.hard, 3)}, `
        + `T² KL ${fix(losses.distilled.soft, 3)}` : "waits",
    });
  }

  // ---- twenty seeds ---------------------------------------------------------------

  function startStudy() {
    const source = `const { train } = (${playgroundLesson})((${playgroundEngine})());
      onmessage = ({ data }) => {
        for (let seed = 0; seed < ${SEEDS}; seed++) postMessage(train({ ...data, seed }));
      };`;
    const address = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
    const study = { settings: { ...settings }, rows: [] };
    now.worker = new Worker(address);
    kdplay.studies.unshift(study);
    now.worker.onmessage = ({ data }) => {
      URL.revokeObjectURL(address);
      study.rows.push(data);
      if (study.rows.length === SEEDS) endStudy();
      else paintStudies();
    };
    now.worker.onerror = () => endStudy("This browser stopped the work");
    now.worker.postMessage(study.settings);
    paintStudies();
  }

  /** A verdict needs all seeds: to stop when the dots look good would bias it. */
  function endStudy(why) {
    now.worker.terminate();
    now.worker = null;
    if (why) {
      const { rows } = kdplay.studies.shift();
      say({ verdict: `${why} after ${rows.length} of ${SEEDS} seeds: no verdict.` });
    }
    paintStudies();
    if (!why) say({ verdict: sayAsSet() });
  }

  /** The verdict of what is set now; one of other settings keeps its row, under its name. */
  function sayAsSet() {
    const same = ({ settings: of }) => difference(of) === difference(settings);
    const study = kdplay.studies.find(same);
    return study ? sentence(study) : "";
  }

  const gaps = ({ rows }) => rows.map((r) => 100 * (r.distilled - r.alone));
  const mean = ({ rows }, who) => rows.reduce((sum, r) => sum + r[who], 0) / rows.length;

  const told = (found) =>
    `${signed(found.mean)} ± ${fix(found.half)} points: ${verdict(found)}`;

  function sentence(study) {
    const found = interval(gaps(study));
    return `Over ${SEEDS} seeds distillation changes test accuracy by ${told(found)} `
      + `(labels alone ${percent(mean(study, "alone"))}, distilled `
      + `${percent(mean(study, "distilled"))}, teacher ${percent(mean(study, "teacher"))}).`;
  }

  function paintStudies() {
    const { studies } = kdplay;
    studies.splice(4);
    const list = find(".kdp-studies");
    const done = now.worker ? studies[0].rows.length : 0;
    find("progress").hidden = !now.worker;
    find("progress").value = done;
    say({ study: now.worker ? "stop" : "twenty seeds" });
    if (now.worker) say({ verdict: done ? "" : "Twenty pairs are trained …" });
    const all = studies.flatMap(gaps);
    const [low, high] = [Math.min(-5, ...all) - 1, Math.max(5, ...all) + 1];
    list.replaceChildren();
    for (const study of studies) {
      const item = list.appendChild(document.createElement("li"));
      const found = study.rows.length === SEEDS ? interval(gaps(study)) : null;
      const words = `${difference(study.settings)}: ${found ? told(found) : "…"}`;
      item.textContent = words;
      const svg = add(item, "svg", { role: "img", class: "kdp-strip", "aria-label": words });
      const dots = gaps(study).map((gap, i) => ({ gap, seed: study.rows[i].seed }));
      const watch = (seed) => change({ ...study.settings, seed });
      paintStrip(svg, dots, found, [low, high], watch);
    }
  }

  // ---- it begins ------------------------------------------------------------------

  root.querySelectorAll("canvas").forEach((c) => c.setAttribute("role", "img"));
  makeControls();
  makeButtons();
  find(".kdx-live").hidden = false;
  find(".kdx-still").hidden = true;
  show.forEach((update) => update());
  begin(true);
  paint();
  const repaint = () => {
    paint();
    if (kdplay.studies.length) paintStudies();
  };
  addEventListener("resize", repaint);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
  new MutationObserver(repaint).observe(document.body, { attributeFilter: ["data-theme"] });
  if (calm.matches) toTheEnd();
  else {
    new IntersectionObserver(([entry], seen) => { // the training waits for its reader
      if (!entry.isIntersecting) return;
      seen.disconnect();
      if (!now.paused && !now.pair.t) play(true);
    }, { threshold: 0.2 }).observe(find(".kdp-panels"));
  }
})();
