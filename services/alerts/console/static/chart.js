/* Ebbwatch console: charts, each drawn from the table that stands below it. */
(() => {
  "use strict";

  const $ = (selector, from = document) => from.querySelector(selector);
  const $$ = (selector, from = document) => [...from.querySelectorAll(selector)];
  const root = document.documentElement;

  const charts = new Map();
  const DAY = 86400;

  function read(figure) {
    const rows = $$("tr[data-d]", figure).reverse();
    const number = (text) => (text === undefined ? null : Number(text));
    return {
      x: rows.map((row) => Date.parse(`${row.dataset.d}T00:00Z`) / 1000),
      value: rows.map((row) => number(row.dataset.v)),
      usual: rows.map((row) => number(row.dataset.e)),
      low: rows.map((row) => number(row.dataset.l)),
      high: rows.map((row) => number(row.dataset.h)),
      masked: rows.map((row) => row.dataset.m),
      // Not a number, and so on no day, where nothing was raised.
      fired: Date.parse(`${figure.dataset.fired}T00:00Z`) / 1000,
      window: spanOf(figure.dataset.window),
      baseline: spanOf(figure.dataset.baseline),
    };
  }

  // First and last day; none where both are not told.
  function spanOf(text) {
    return text ? text.split("/").map((day) => Date.parse(`${day}T00:00Z`) / 1000) : null;
  }

  function draw(figure) {
    const spot = $(".plot", figure);
    if (!spot.clientWidth || !window.uPlot) return;
    const data = read(figure);
    const colour = (name) => getComputedStyle(root).getPropertyValue(`--${name}`).trim();
    const font = `12px ${getComputedStyle(document.body).fontFamily}`;
    const axis = { stroke: colour("ink-2"), font, grid: { stroke: colour("chart-grid"), width: 1 }, ticks: { show: false } };
    const options = {
      width: spot.clientWidth,
      height: spot.clientHeight,
      padding: [10, 6, 0, 0],
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 7 } },
      scales: { x: { time: true, range: () => window_(figure, data) }, y: { range: (_, __, most) => [0, (most || 1) * 1.06] } },
      axes: [
        { ...axis, size: 30, grid: { show: false }, values: (_, marks) => marks.map(dayOf), space: 74 },
        { ...axis, size: 52, values: (_, marks) => marks.map((mark) => mark.toLocaleString("en-US")) },
      ],
      series: [
        {},
        { stroke: "transparent", points: { show: false } },
        { stroke: "transparent", points: { show: false } },
        { stroke: colour("chart-usual"), width: 1.25, dash: [4, 4], points: { show: false } },
        { stroke: colour("chart-value"), width: 2, points: { show: false } },
      ],
      bands: [{ series: [1, 2], fill: colour("chart-band") }],
      hooks: {
        drawClear: [(plot) => shadeMasked(plot, data, colour("chart-masked"))],
        draw: [(plot) => markSpans(plot, data, colour), (plot) => markFired(plot, data, colour("chart-fired"), colour("card"))],
        setCursor: [(plot) => readOut(figure, data, plot.cursor.idx)],
      },
    };
    const rows = [data.x, data.high, data.low, data.usual, data.value];
    charts.get(figure)?.plot.destroy();
    charts.set(figure, { plot: new uPlot(options, rows, spot), mark: markOf(figure) });
    readOut(figure, data, null);
  }

  function window_(figure, data) {
    const last = data.x.at(-1);
    const pressed = $("[data-span][aria-pressed=true]", figure);
    const days = Number(pressed?.dataset.span ?? 112);
    return [days ? Math.max(data.x[0], last - (days - 1) * DAY) : data.x[0], last];
  }
  function showSpan(button) {
    const figure = button.closest("figure");
    $$("[data-span]", figure).forEach((one) => one.setAttribute("aria-pressed", String(one === button)));
    draw(figure);
  }
  function dayOf(seconds) {
    return new Date(seconds * 1000).toLocaleDateString("en-GB", { day: "numeric", month: "short", timeZone: "UTC" });
  }

  function shadeMasked(plot, data, fill) {
    const { ctx, bbox } = plot;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    ctx.fillStyle = fill;
    data.masked.forEach((reason, i) => {
      if (reason === undefined) return;
      const from = plot.valToPos(data.x[i] - DAY / 2, "x", true);
      const to = plot.valToPos(data.x[i] + DAY / 2, "x", true);
      ctx.fillRect(from, bbox.top, to - from, bbox.height);
    });
    ctx.restore();
  }

  // What is judged and what it is compared with, as strips along the days.
  function markSpans(plot, data, colour) {
    if (!data.window || !data.baseline) return;
    const { ctx, bbox } = plot;
    const height = 4 * (window.devicePixelRatio || 1);
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    for (const [span, name] of [[data.baseline, "chart-usual"], [data.window, "chart-value"]]) {
      const from = plot.valToPos(span[0] - DAY / 2, "x", true);
      const to = plot.valToPos(span[1] + DAY / 2, "x", true);
      ctx.fillStyle = colour(name);
      ctx.fillRect(from, bbox.top + bbox.height - height, to - from, height);
    }
    ctx.restore();
  }

  function markFired(plot, data, colour, ground) {
    const i = data.x.indexOf(data.fired);
    const [from, to] = [plot.scales.x.min, plot.scales.x.max];
    if (i < 0 || data.fired < from || data.fired > to) return;
    const { ctx, bbox } = plot;
    const x = plot.valToPos(data.fired, "x", true);
    const y = plot.valToPos(data.value[i] ?? 0, "y", true);
    const pixel = window.devicePixelRatio || 1;
    ctx.save();
    ctx.strokeStyle = colour;
    ctx.lineWidth = 1.5 * pixel;
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
    ctx.fillStyle = colour;
    ctx.beginPath();
    ctx.arc(x, y, 5 * pixel, 0, 7);
    ctx.fill();
    ctx.strokeStyle = ground;
    ctx.stroke();
    ctx.restore();
  }

  function readOut(figure, data, i) {
    const spot = $(".readout", figure);
    const amount = (value) => (value === null ? "nothing known" : value.toLocaleString("en-US", { maximumFractionDigits: value < 10 ? 1 : 0 }));
    if (i === null || i === undefined) { spot.textContent = "Point at a day to read its values."; return; }
    const parts = [dayOf(data.x[i]), amount(data.value[i])];
    const range = data.low[i] === null ? "" : ` (${amount(data.low[i])} to ${amount(data.high[i])})`;
    if (data.usual[i] !== null) parts.push(`${figure.dataset.usual} ${amount(data.usual[i])}${range}`);
    if (data.masked[i] !== undefined) parts.push(`left out${data.masked[i] ? `: ${data.masked[i]}` : ""}`);
    if (data.x[i] === data.fired) parts.push("raised after this day");
    spot.textContent = parts.join(" · ");
  }

  function drawAll() {
    for (const [figure, { plot }] of charts) if (!figure.isConnected) { plot.destroy(); charts.delete(figure); }
    for (const figure of $$("figure.chart")) if (charts.get(figure)?.mark !== markOf(figure)) draw(figure);
  }
  // A table that changed is drawn again, and no other.
  function markOf(figure) {
    const told = ({ d, v, e, m }) => [d, v, e, m].join(":");
    return $$("tr[data-d]", figure).slice(0, 30).map((row) => told(row.dataset)).join() + figure.dataset.fired;
  }
  document.addEventListener("toggle", (event) => {
    if (event.target.matches(".alert, .daily")) drawAll();
  }, true);
  const redraw = () => charts.forEach((_, figure) => draw(figure));
  let resizing;
  window.addEventListener("resize", () => { clearTimeout(resizing); resizing = setTimeout(redraw, 120); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);

  document.addEventListener("click", (event) => {
    const span = event.target.closest("[data-span]");
    if (span) showSpan(span);
  });
  document.addEventListener("htmx:after:swap", drawAll);
  drawAll();
})();
