/* Ebbwatch console: live changes in place. Reading and acting work without any script. */
(() => {
  "use strict";

  const root = document.documentElement;
  const page = document.body.dataset.page;
  const $ = (selector, from = document) => from.querySelector(selector);
  const $$ = (selector, from = document) => [...from.querySelectorAll(selector)];
  root.classList.add("scripted");

  // What a person opened, typed and chose stays as it is while the page around it is renewed.
  htmx.registerExtension("ebbwatch", {
    htmx_before_morph_attr: (element, detail) =>
      !(detail.attrName === "open" && /^(DETAILS|DIALOG)$/.test(element.tagName)) &&
      !(detail.attrName === "aria-pressed" && "span" in element.dataset) &&
      detail.attrName !== "checked",
    htmx_before_morph_node: (element) => {
      const typing = document.activeElement;
      return !(element === typing && /^(TEXTAREA|INPUT|SELECT)$/.test(element.tagName) && element.value);
    },
  });

  /* Saying */

  let hiding;
  function say(text) {
    $("#say").textContent = "";
    // A live region speaks when its text changes, also where the same is said twice.
    setTimeout(() => { $("#say").textContent = text; }, 50);
  }
  function toast(text) {
    const spot = $("#toast");
    spot.textContent = text;
    spot.hidden = false;
    say(text);
    clearTimeout(hiding);
    hiding = setTimeout(() => { spot.hidden = true; }, 6000);
  }

  /* Times: in the reader's own zone, and ages that go on */

  const zoned = new Intl.DateTimeFormat("en-GB", {
    day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit",
  });
  // The reader's clock may be wrong; the server's counts.
  const ahead = new Date(document.body.dataset.now) - Date.now();
  function age(then) {
    const seconds = (Date.now() + ahead - new Date(then)) / 1000;
    for (const [size, unit, most] of [[60, "min", 60], [3600, "h", 24], [86400, "d", 99], [604800, "wk", 1e6]]) {
      if (seconds < size) return "now";
      if (seconds < size * most) return `${Math.floor(seconds / size)} ${unit}`;
    }
    return "";
  }
  function localTimes(from = document) {
    for (const time of $$("time.local", from)) {
      if (!time.title) time.title = time.textContent;
      time.textContent = zoned.format(new Date(time.dateTime));
    }
  }
  function renewAges() {
    for (const time of $$("time.age")) {
      const told = age(time.dateTime);
      const near = told === "now" || ("hours" in time.dataset && told.endsWith(" min"));
      if (near) time.textContent = "hours" in time.dataset ? "within the last hour" : "now";
      else time.textContent = told + (time.dataset.after ?? "");
    }
  }

  /* The address says what was done just once */

  const SAID = ["action", "did", "of", "acked"];
  let acted = { query: "", until: 0 };
  function remember(address) {
    const asked = new URL(address, location.href).searchParams;
    const said = new URLSearchParams(SAID.filter((name) => asked.has(name)).map((name) => [name, asked.get(name)]));
    if (said.size) acted = { query: said.toString(), until: Date.now() + 10000 };
  }
  function forgetAction() {
    const here = new URL(location.href);
    remember(here);
    SAID.forEach((name) => here.searchParams.delete(name));
    if (here.href !== location.href) history.replaceState(null, "", here);
  }

  /* Live: rows and pages change in place, nothing moves under the cursor */

  const changed = new Set();
  let soon;
  let counting;
  let fresh = 0;
  let posting = 0;

  function onChange(change) {
    if (page === "inbox") {
      const row = rowOf(change.account);
      if (row) {
        if (row.dataset.version !== String(change.version) || change.type.startsWith("alert.")) later(change.account);
      } else {
        if (change.raised) {
          fresh += 1;
          pill(`${fresh} new alert${fresh > 1 ? "s" : ""}`);
        }
        if (/^(alert|case)\./.test(change.type)) countSoon();
      }
    } else if (page === "account" && $("#account")?.dataset.account === change.account) {
      later(change.account);
    }
  }

  function rowOf(account) {
    return $$("tr.case").find((row) => row.dataset.account === account);
  }

  // Heading and tabs count cases of no row here, too; many changes are one look.
  function countSoon() {
    counting ??= setTimeout(() => { counting = undefined; renewRows([]); }, 2000);
  }

  function later(account) {
    changed.add(account);
    soon ??= setTimeout(renew, 250);
  }

  function renew() {
    // What an action changes is told before its answer is here, and the answer says what was done.
    soon = posting ? setTimeout(renew, 250) : undefined;
    if (posting) return;
    const accounts = [...changed].slice(0, 50);
    accounts.forEach((one) => changed.delete(one));
    if (changed.size) soon = setTimeout(renew, 1000);
    if (page === "inbox") renewRows(accounts);
    else if (page === "account") renewAccount();
  }

  function renewRows(accounts) {
    const query = new URLSearchParams(location.search);
    accounts.forEach((one) => query.append("account", one));
    htmx.ajax("GET", `/rows?${query}`, { source: "#live", swap: "none" });
  }

  function renewAccount() {
    let here = $("#account")?.dataset.here;
    // What was just done stays said while the page follows it.
    if (here && acted.until > Date.now()) here += (here.includes("?") ? "&" : "?") + acted.query;
    if (here) htmx.ajax("GET", here, { source: "#account", target: "#main", select: "#main", swap: "outerMorph" });
  }

  function pill(text) {
    const link = $("#pill");
    if (!link) return;
    $("#pill-text").textContent = `${text} · show`;
    if (link.hidden) say(text);
    link.hidden = false;
  }

  function onStream(name, data) {
    if (name === "change") onChange(data);
    else if (name === "reset") {
      if (page === "inbox") {
        renewRows($$("tr.case").slice(0, 50).map((row) => row.dataset.account));
        pill("The list may have changed");
      } else if (page === "account") renewAccount();
    } else if (name === "stale" || name === "fresh") htmx.trigger("#freshness-spot", "ebbwatch:look");
  }

  document.addEventListener("htmx:sse:before:message", (event) => {
    const { message } = event.detail;
    // Nothing of the stream is ever put into the page as it comes.
    event.detail.cancelled = true;
    if (!message.event) return;
    let data = {};
    try { data = JSON.parse(message.data || "{}"); } catch { return; }
    onStream(message.event, data);
  });

  // The extension comes back by itself once it was connected; a first try that fails is ours. Each
  // waits longer, by chance more or less, so that a thousand readers do not come back at once.
  let tries = 0;
  let trying;
  function reconnect() {
    if ($("#live")._htmx?.sse) return;
    tries += 1;
    clearTimeout(trying);
    trying = setTimeout(connect, Math.min(20000, 500 * 2 ** tries) * (0.7 + 0.6 * Math.random()));
  }
  function connect() {
    const spot = $("#live");
    // What nobody looks at waits until somebody does.
    if (spot._htmx?.sse || document.hidden) return;
    htmx.ajax("GET", "/api/v1/stream", { source: spot, swap: "none", timeout: 10000 });
  }
  document.addEventListener("visibilitychange", () => {
    if (document.hidden || !tries) return;
    clearTimeout(trying);
    connect();
  });
  document.addEventListener("htmx:sse:after:connection", (event) => {
    tries = 0;
    root.dataset.live = event.detail.connection.status === 200 ? "yes" : "no";
  });
  for (const name of ["htmx:sse:before:connection", "htmx:sse:close"]) {
    document.addEventListener(name, () => { root.dataset.live = "no"; });
  }
  document.addEventListener("htmx:finally:request", (event) => {
    const { ctx } = event.detail;
    if (ctx.request.action.startsWith("/api/v1/stream") && ctx.response?.status !== 200) reconnect();
  });

  document.addEventListener("htmx:after:swap", (event) => {
    const { ctx } = event.detail;
    if (ctx.request?.method === "POST" && ctx.response) afterAction(ctx.response.raw.url);
    if (ctx.response?.raw.url) flash(new URL(ctx.response.raw.url));
    for (const one of $$("#main [data-say], #toast [data-say]")) {
      const text = one.dataset.say;
      delete one.dataset.say;
      if (one.closest("#toast")) toast(text);
      else say(text);
    }
    localTimes();
    forgetAction();
  });
  function flash(address) {
    if (address.pathname !== "/rows") return;
    for (const row of address.searchParams.getAll("account").map(rowOf)) {
      row?.classList.add("changed");
      setTimeout(() => row?.classList.remove("changed"), 2000);
    }
  }
  function afterAction(address) {
    remember(address);
    closeMenus();
    if ($("#main .banner-good")) $$("#main textarea").forEach((one) => { one.value = ""; });
  }
  document.addEventListener("htmx:response:error", (event) => {
    const { ctx } = event.detail;
    if (ctx.swap === "none" && ctx.request.method === "POST") toast("That could not be saved. Try again in a few seconds.");
  });
  document.addEventListener("htmx:error", (event) => {
    if (event.detail.ctx?.request?.method === "POST") toast("The server does not answer. Try again in a few seconds.");
  });

  // What takes long is seen to be under way.
  document.addEventListener("htmx:before:request", (event) => {
    if (event.detail.ctx.request.method === "POST") posting += 1;
  });
  document.addEventListener("htmx:finally:request", (event) => {
    if (event.detail.ctx.request.method === "POST") posting = Math.max(0, posting - 1);
  });
  let waiting = 0;
  const counts = (ctx) => !ctx.request.action.startsWith("/api/v1/stream") && !ctx.request.action.startsWith("/freshness");
  document.addEventListener("htmx:before:request", (event) => {
    if (!counts(event.detail.ctx)) return;
    waiting += 1;
    setTimeout(() => root.classList.toggle("busy", waiting > 0), 300);
  });
  document.addEventListener("htmx:finally:request", (event) => {
    if (!counts(event.detail.ctx)) return;
    waiting = Math.max(0, waiting - 1);
    if (!waiting) root.classList.remove("busy");
  });

  /* Forms */

  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-submit]")) event.target.form.requestSubmit();
    if (event.target.matches(".pick")) count();
  });
  document.addEventListener("reset", (event) => {
    if (event.target.id === "bulk") setTimeout(chooseNone);
  });
  function chooseNone() {
    $$(".pick:checked").forEach((box) => { box.checked = false; });
    count();
  }
  // The address of the inbox names what was chosen, and nothing else.
  document.addEventListener("formdata", (event) => {
    if (event.target.id !== "filters") return;
    for (const [name, value] of [...event.formData]) if (!value || (name === "sort" && value === "rank")) event.formData.delete(name);
  });
  function count() {
    const spot = $("#chosen");
    if (spot) spot.textContent = $$(".pick:checked").length;
  }
  document.addEventListener("htmx:finally:request", (event) => {
    if (event.detail.ctx.sourceElement?.id === "bulk") chooseNone();
  });

  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-help]")) $("#help").showModal();
    if (event.target.closest("[data-close]")) event.target.closest("dialog").close();
    if (event.target.closest("[data-up]") && document.referrer && sameInbox(document.referrer)) {
      event.preventDefault();
      history.back();
    }
    for (const menu of $$(".menu[open]")) if (!menu.contains(event.target)) menu.open = false;
  });
  function sameInbox(address) {
    const from = new URL(address);
    return from.origin === location.origin && from.pathname === "/" && history.length > 1;
  }
  function closeMenus() {
    $$(".menu[open]").forEach((menu) => { menu.open = false; });
  }

  /* Begin */

  localTimes();
  forgetAction();
  count();
  for (const one of $$("#main [data-say]")) { say(one.dataset.say); delete one.dataset.say; }
  setInterval(renewAges, 30000);
  if ($("[data-again]")) setTimeout(() => location.reload(), 3000);
})();
