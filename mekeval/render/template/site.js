// The filters work without this. It says how many rows are shown, and keeps the choice in the address and across languages.
(() => {
  "use strict";
  const box = document.getElementById("filters");
  const shown = document.getElementById("shown");
  const inputs = [...box.querySelectorAll("input")];
  const read = () => {
    const parts = new URLSearchParams(location.hash.slice(1));
    const year = /^#y(\d+)$/.exec(location.hash);
    if (year) parts.set("year", year[1]);
    for (const input of inputs) if (parts.get(input.name) === input.value) input.checked = true;
  };
  const show = () => {
    const rows = [...document.querySelectorAll(".site-matrix tbody tr")].filter((row) => row.offsetParent !== null);
    shown.hidden = false;
    shown.textContent = (rows.length === 1 ? box.dataset.one : box.dataset.other).replace("{n}", rows.length);
    const chosen = inputs.filter((input) => input.checked).map((input) => [input.name, input.value]);
    const state = new URLSearchParams(chosen).toString();
    for (const link of document.querySelectorAll("nav a[hreflang]")) link.hash = state;
    return state;
  };
  for (const input of inputs) input.addEventListener("change", () => location.replace("#" + show()));
  addEventListener("hashchange", () => { read(); show(); });
  read();
  show();
})();
