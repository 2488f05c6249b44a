/* Ebbwatch console: the keyboard, and the dialogs that it opens in the inbox. */
(() => {
  "use strict";

  const $ = (selector, from = document) => from.querySelector(selector);
  const $$ = (selector, from = document) => [...from.querySelectorAll(selector)];
  const page = document.body.dataset.page;

  // A dialog of the inbox acts on the row it was opened for.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!form.matches(".inbox-act")) return;
    event.preventDefault();
    const values = Object.fromEntries(new FormData(form, event.submitter));
    form.closest("dialog").close();
    htmx.ajax("POST", form.getAttribute("action"), { source: "#toast", swap: "none", values });
  });

  function openFor(dialog, row) {
    const form = $("form", dialog);
    form.reset();
    form.setAttribute("action", row.dataset.action);
    form.elements.version.value = row.dataset.version;
    form.elements.key.value = key();
    $("[data-name]", dialog).textContent = row.dataset.name;
    const renewal = $("[data-renewal]", dialog);
    if (renewal) renewal.hidden = !("renews" in row.dataset);
    dialog.addEventListener("close", () => $(".open-case", row)?.focus(), { once: true });
    dialog.showModal();
  }
  function key() {
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  }
  function closeMenus() {
    $$(".menu[open]").forEach((menu) => { menu.open = false; });
  }

  /* The keyboard */

  function items() {
    return page === "inbox" ? $$(".open-case") : $$(".alert > summary");
  }
  function move(step) {
    const all = items();
    if (!all.length) return;
    const here = all.findIndex((one) => (one.closest("tr") ?? one.parentElement).contains(document.activeElement));
    const next = all[here < 0 ? (step > 0 ? 0 : all.length - 1) : Math.max(0, Math.min(all.length - 1, here + step))];
    next.focus();
    next.scrollIntoView({ block: "nearest" });
  }
  function currentRow() {
    return document.activeElement?.closest("tr.case");
  }
  function openMenu(name) {
    const menu = $(`#menu-${name}`);
    if (!menu) return;
    closeMenus();
    menu.open = true;
    $("button, textarea, select", menu)?.focus();
  }

  const onInbox = {
    o: () => $(".open-case", currentRow() ?? document.createElement("p"))?.click(),
    a: () => { const row = currentRow(); if (row) $("form.ack", row)?.requestSubmit(); },
    s: () => { const row = currentRow(); if (row && row.dataset.state !== "resolved") openFor($("#snooze"), row); },
    r: () => { const row = currentRow(); if (row) openFor($("#resolve"), row); },
    x: () => {
      const box = $(".pick", currentRow() ?? document.createElement("p"));
      if (box && !box.disabled) box.click();
    },
  };
  const onAccount = {
    o: () => document.activeElement?.closest(".alert > summary")?.click(),
    a: () => $("form.act-acknowledge")?.requestSubmit(),
    s: () => openMenu("snooze"),
    r: () => openMenu("resolve"),
    c: () => $("#comment")?.focus(),
    u: () => $("[data-up]")?.click(),
  };
  const anywhere = {
    j: () => move(1),
    k: () => move(-1),
    "/": () => { $("#find")?.focus(); $("#find")?.select(); },
    "?": () => $("#help").showModal(),
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (event.key === "Escape") {
      const menu = $(".menu[open]");
      if (menu) { closeMenus(); $("summary", menu).focus(); }
      else if (/^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName)) event.target.blur();
      return;
    }
    if ($("dialog[open]")) return;
    if (/^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName) && event.target.type !== "checkbox") return;
    const act = { ...anywhere, ...(page === "inbox" ? onInbox : page === "account" ? onAccount : {}) }[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });
})();
