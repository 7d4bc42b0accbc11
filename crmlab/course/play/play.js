"use strict";
(() => {
  // --- mathematics: the same formulas as crmlab.chains and crmlab.value --------------------------

  function occupancy(matrix, start, periods) {
    let law = start.slice();
    for (let t = 0; t < periods; t++) {
      law = law.map((_, j) => law.reduce((sum, share, i) => sum + share * matrix[i][j], 0));
    }
    return law;
  }

  // V = R + keep P V, repeated until nothing moves: keep < 1, so it always settles.
  function stageValue(matrix, margins, keep) {
    let value = margins.slice();
    for (let round = 0; round < 5000; round++) {
      const next = margins.map((margin, i) =>
        margin + keep * matrix[i].reduce((sum, p, j) => sum + p * value[j], 0));
      const moved = Math.max(...next.map((v, i) => Math.abs(v - value[i])));
      value = next;
      if (moved < 1e-9) break;
    }
    return value;
  }

  // Give one move of a row another probability; the others keep their proportions.
  function withMove(matrix, from, to, probability) {
    const rest = 1 - matrix[from][to];
    return matrix.map((row, i) => i !== from ? row : row.map((p, j) =>
      j === to ? probability : rest > 0 ? p * (1 - probability) / rest : (j === from ? 1 - probability : 0)));
  }

  // A beta density on a grid, normalised on it, with its equal-tailed interval.
  function betaLaw(a, b, points = 1001) {
    const x = Array.from({ length: points }, (_, i) => (i + 0.5) / points);
    const logs = x.map(v => (a - 1) * Math.log(v) + (b - 1) * Math.log(1 - v));
    const top = Math.max(...logs);
    const raw = logs.map(l => Math.exp(l - top));
    const total = raw.reduce((sum, d) => sum + d, 0);
    const quantile = q => {
      let held = 0;
      return x[raw.findIndex(d => (held += d / total) >= q)];
    };
    return { x, density: raw.map(d => d / total * points), low: quantile(0.05), high: quantile(0.95) };
  }

  const lifetimeValue = (margin, retention, discount) =>
    margin * (1 + discount) / (1 + discount - retention);

  // --- drawing -----------------------------------------------------------------------------------

  function make(tag, attributes = {}, text = "") {
    const svg = ["svg", "path", "line", "circle", "text"].includes(tag);
    const node = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag)
      : document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    if (text) node.textContent = text;
    return node;
  }

  function slider(label, low, high, step, value, show, moved) {
    const row = make("label");
    const input = make("input", { type: "range", min: low, max: high, step });
    const output = make("output");
    input.value = value;
    output.textContent = show(value);
    input.addEventListener("input", () => {
      output.textContent = show(+input.value);
      moved(+input.value);
    });
    row.append(make("span", {}, label), input, output);
    return row;
  }

  function path(xs, ys, toX, toY) {
    return xs.map((x, i) => `${i ? "L" : "M"}${toX(x).toFixed(1)} ${toY(ys[i]).toFixed(1)}`).join("");
  }

  const WIDE = 640, HIGH = 240, LEFT = 44, BOTTOM = 30;

  function chart(low, high, top, ticks, label) {
    const svg = make("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, "aria-hidden": "true" });
    const toX = x => LEFT + (x - low) / (high - low) * (WIDE - LEFT - 10);
    const toY = y => HIGH - BOTTOM - y / top * (HIGH - BOTTOM - 12);
    svg.append(make("line", { class: "axis", x1: LEFT, x2: WIDE - 10, y1: toY(0), y2: toY(0) }));
    for (const tick of ticks) {
      svg.append(make("text", { x: toX(tick), y: HIGH - 12, "text-anchor": "middle" }, String(tick)));
    }
    svg.append(make("text", { x: toX(low) + 4, y: HIGH - BOTTOM - 6, "text-anchor": "start" }, label));
    return { svg, toX, toY };
  }

  // --- the pieces --------------------------------------------------------------------------------

  const pieces = {
    staircase(data, board, say) {
      let matrix = data.matrix, from = 0, quarters = data.quarters;
      const began = stageValue(data.matrix, data.margins, data.keep)[0];
      const stairs = make("div", { class: "stairs" });
      const moves = make("div");
      const start = data.names.map((_, i) => i === 0 ? 1 : 0);
      // Left column: coming together, the top last; right column: coming apart, the top first.
      const steps = data.names.map((name, i) => {
        const button = make("button", { class: "step", type: "button" });
        button.style.gridColumn = i < 5 ? 1 : 2;
        button.style.gridRow = i < 5 ? 5 - i : i - 4;
        button.append(make("small"), make("span"));
        button.lastChild.style.background = data.colours[i];
        button.addEventListener("click", () => { from = i; listMoves(); draw(); });
        stairs.append(button);
        return button;
      });
      function listMoves() {
        const open = data.names.map((_, j) => j).filter(j => j !== from && data.matrix[from][j] > 0);
        moves.replaceChildren(make("p", {}, open.length
          ? `Moves from ${data.names[from]} in a quarter:` : `Nobody moves on from ${data.names[from]}.`));
        for (const j of open) {
          moves.append(slider(`to ${data.names[j]}`, 0, 0.95, 0.01, matrix[from][j],
            p => `${Math.round(100 * p)} %`, p => { matrix = withMove(matrix, from, j, p); listOthers(j); draw(); }));
        }
        listed = open;
      }
      let listed = [];
      function listOthers(moved) {
        const rows = moves.querySelectorAll("label");
        listed.forEach((j, at) => {
          if (j === moved) return;
          rows[at].querySelector("input").value = matrix[from][j];
          rows[at].querySelector("output").textContent = `${Math.round(100 * matrix[from][j])} %`;
        });
      }
      function draw() {
        const law = occupancy(matrix, start, quarters);
        const worth = stageValue(matrix, data.margins, data.keep)[0];
        steps.forEach((step, i) => {
          step.firstChild.textContent = `${data.names[i]} ${(100 * law[i]).toFixed(0)}`;
          step.lastChild.style.width = `${100 * Math.min(1, law[i] / 0.6)}%`;
          step.setAttribute("aria-pressed", i === from);
        });
        const together = law.slice(0, 5).reduce((a, b) => a + b), gone = law[9];
        say(`After ${quarters} quarters ${(100 * together).toFixed(0)} of 100 newcomers are coming ` +
          `together, ${(100 * (1 - together - gone)).toFixed(0)} coming apart, ${(100 * gone).toFixed(0)} ` +
          `are gone; a newcomer is worth ${worth.toFixed(0)} euros (at first: ${began.toFixed(0)}).`);
      }
      const again = make("button", { type: "button" }, "Begin again");
      again.addEventListener("click", () => { matrix = data.matrix; listMoves(); draw(); });
      board.append(stairs, slider("quarters", 0, 40, 1, quarters, String,
        t => { quarters = t; draw(); }), moves, again);
      listMoves();
      draw();
    },

    posterior(data, board, say) {
      const now = { ...data }, picture = make("div");
      function draw() {
        const stayed = Math.min(now.stayed, now.seen);
        const prior = [now.mean * now.weight, (1 - now.mean) * now.weight];
        const before = betaLaw(...prior), after = betaLaw(prior[0] + stayed, prior[1] + now.seen - stayed);
        const top = 1.05 * Math.max(...after.density, ...before.density.slice(20, -20));
        const { svg, toX, toY } = chart(0, 1, top, [0, 0.2, 0.4, 0.6, 0.8, 1], "retention rate");
        const inside = after.x.map((x, i) => [x, after.density[i]]).filter(([x]) => x >= after.low && x <= after.high);
        const area = path(inside.map(p => p[0]), inside.map(p => p[1]), toX, toY);
        svg.append(
          make("path", { class: "area", d: `${area}L${toX(after.high)} ${toY(0)}L${toX(after.low)} ${toY(0)}Z` }),
          make("path", { class: "before", d: path(before.x, before.density.map(d => Math.min(d, top)), toX, toY) }),
          make("path", { class: "line", d: path(after.x, after.density, toX, toY) }));
        picture.replaceChildren(svg);
        say(`${stayed} of ${now.seen} customers stayed: retention lies between ${after.low.toFixed(2)} and ` +
          `${after.high.toFixed(2)} with probability 90 %, equal tails (dashed: the prior, worth ${now.weight} customers).`);
      }
      const part = (name, label, low, high, step) =>
        slider(label, low, high, step, now[name], String, v => { now[name] = v; draw(); });
      board.append(picture, part("mean", "prior mean", 0.05, 0.95, 0.05),
        part("weight", "worth customers", 2, 100, 1), part("seen", "customers seen", 0, 200, 1),
        part("stayed", "of whom stayed", 0, 200, 1));
      draw();
    },

    retention(data, board, say) {
      const now = { ...data }, picture = make("div");
      function draw() {
        const x = Array.from({ length: 200 }, (_, i) => 0.5 + 0.49 * i / 199);
        const y = x.map(r => lifetimeValue(now.margin, r, now.discount));
        const worth = lifetimeValue(now.margin, now.retention, now.discount);
        const half = lifetimeValue(now.margin, 1 - (1 - now.retention) / 2, now.discount);
        const { svg, toX, toY } = chart(0.5, 0.99, 1.05 * y[199], [0.5, 0.6, 0.7, 0.8, 0.9], "retention rate per year");
        svg.append(make("path", { class: "line", d: path(x, y, toX, toY) }),
          make("circle", { class: "mark", cx: toX(now.retention), cy: toY(worth), r: 6 }),
          make("text", { x: toX(now.retention) - 10, y: toY(worth) - 10, "text-anchor": "end" }, `${worth.toFixed(0)} euros`));
        picture.replaceChildren(svg);
        say(`At retention ${now.retention.toFixed(2)} a customer of ${now.margin} euros a year is worth ` +
          `${worth.toFixed(0)} euros; with half as many leaving, ${half.toFixed(0)}.`);
      }
      const part = (name, label, low, high, step) =>
        slider(label, low, high, step, now[name], String, v => { now[name] = v; draw(); });
      board.append(picture, part("retention", "retention rate", 0.5, 0.99, 0.01),
        part("margin", "margin, euros a year", 10, 500, 10), part("discount", "discount rate a year", 0.01, 0.3, 0.01));
      draw();
    },
  };

  function begin() {
    for (const section of document.querySelectorAll(".play")) {
      const board = section.querySelector(".play-board"), reading = section.querySelector(".play-reading");
      const data = JSON.parse(section.querySelector("script").textContent);
      pieces[section.dataset.piece](data, board, sentence => { reading.textContent = sentence; });
      section.querySelector(".play-first").hidden = true;
      board.hidden = reading.hidden = false;
    }
  }

  if (typeof document === "undefined") {  // under a test: only the mathematics
    module.exports = { occupancy, stageValue, withMove, betaLaw, lifetimeValue };
  } else if (document.readyState === "loading") {
    document.addEventListener("DOMContentLoaded", begin);
  } else {
    begin();
  }
})();
