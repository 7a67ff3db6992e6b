/* What the pages need beside their styles: boxes that scroll can be reached by key, tables become cards, can be sorted, and chosen by their headings. */
(() => {
  "use strict";

  /** A box that scrolls takes the focus, so that the arrow keys move it. */
  const reach = new ResizeObserver((seen) => {
    for (const { target } of seen) {
      if (target.scrollWidth > target.clientWidth + 1) target.tabIndex = 0;
      else target.removeAttribute("tabindex");
    }
  });
  document.querySelectorAll("pre, div.math > div, .table-wrapper").forEach((box) => reach.observe(box));

  /** The arguments of a signature are set as a list of definitions that defines nothing. */
  document.querySelectorAll("dl.py > dt > dl, dl.py > dt > dl > dd").forEach((part) => part.setAttribute("role", "none"));

  /** Each part of the page has a name, for those who go from one to the next by ear; the search has a heading. */
  document.querySelector(".sidebar-drawer")?.setAttribute("aria-label", "site");
  document.querySelector(".toc-drawer")?.setAttribute("aria-label", "this page");
  if (document.querySelector("#search-results") && !document.querySelector("h1")) {
    const head = document.createElement("h1");
    head.textContent = "Search";
    document.querySelector("#search-results").before(head);
  }

  /** The number that a cell begins with, or its words. */
  const value = (row, column) => {
    const words = row.cells[column].textContent.trim();
    const number = parseFloat(words.replaceAll("−", "-").replaceAll(",", ""));
    return Number.isNaN(number) ? words.toLowerCase() : number;
  };
  const compare = (a, b) =>
    typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true });

  function sort(table, column, head) {
    const up = head.getAttribute("aria-sort") !== "ascending";
    table.querySelectorAll("th").forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const rows = [...table.tBodies[0].rows];
    rows.sort((a, b) => (up ? 1 : -1) * compare(value(a, column), value(b, column)));
    table.tBodies[0].append(...rows);
  }

  for (const table of document.querySelectorAll("table.docutils")) {
    const heads = [...(table.tHead?.rows[0]?.cells ?? [])];
    const rows = [...(table.tBodies[0]?.rows ?? [])];
    if (!heads.length || rows.some((row) => row.cells.length !== heads.length)) continue;
    table.classList.add("cards");
    for (const row of rows) heads.forEach((head, i) => (row.cells[i].dataset.head = head.textContent.trim()));
    const counts = (i) => rows.filter((row) => typeof value(row, i) === "number").length > rows.length / 2;
    if (rows.length < 8 || !heads.some((_, i) => i && counts(i))) continue;
    heads.forEach((head, i) => {
      if (!head.textContent.trim()) return;
      const button = document.createElement("button");
      button.type = "button";
      button.className = "sort";
      button.append(...head.childNodes);
      button.onclick = () => sort(table, i, head);
      head.append(button);
    });
  }

  /** Sections named "family: task", as on the page of what helps, can be chosen by either. */
  const named = [...document.querySelectorAll("section > h3")]
    .map((head) => [head.parentElement, ...head.firstChild.textContent.split(": ")])
    .filter((part) => part.length === 3);
  if (named.length > 5) {
    const bar = document.createElement("p");
    bar.className = "choose";
    const choices = ["Family", "Task"].map((name, i) => {
      const select = document.createElement("select");
      for (const word of ["all", ...new Set(named.map((part) => part[i + 1]))]) select.add(new Option(word));
      select.onchange = show;
      const label = document.createElement("label");
      label.append(name + " ", select);
      bar.append(label);
      return select;
    });
    function show() {
      const left = new Set();
      for (const [section, ...words] of named) {
        section.hidden = choices.some((select, i) => select.value !== "all" && select.value !== words[i]);
        if (!section.hidden) left.add(section.parentElement);
      }
      for (const [section] of named) section.parentElement.hidden = !left.has(section.parentElement);
      for (const link of document.querySelectorAll(".toc-tree a[href^='#']")) {
        const to = document.getElementById(link.hash.slice(1));
        if (to) link.parentElement.hidden = to.closest("[hidden]") !== null;
      }
    }
    named[0][0].parentElement.before(bar);
  }
})();
