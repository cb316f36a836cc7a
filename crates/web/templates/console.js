// A few comforts. Every page reads and every form works without this file.
"use strict";

document.documentElement.classList.add("scripted");

// Menus close when one clicks elsewhere, or on Escape.
const menus = "details.menu[open], details.picks[open], details.drop[open], details.bar[open]";
document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll(menus)) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of document.querySelectorAll(menus)) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});

// Copies what another element shows.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const source = document.getElementById(button.dataset.copy);
  await navigator.clipboard.writeText(source.textContent.trim());
  const words = button.textContent;
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = words; }, 1600);
});

// One box ticks a whole column.
for (const all of document.querySelectorAll("[data-all]")) {
  all.addEventListener("change", () => {
    for (const box of document.querySelectorAll(`input[name="${all.dataset.all}"]`)) {
      box.checked = all.checked;
    }
  });
}

// A choice in a filter asks at once.
for (const field of document.querySelectorAll("[data-ask]")) {
  field.addEventListener("change", () => field.form.requestSubmit());
}

// A live part of a page is fetched anew, as long as somebody looks at it: a page that is left alone
// must not keep a session awake.
const PATIENCE_MS = 10 * 60 * 1000;
let touched = Date.now();
for (const kind of ["pointermove", "keydown", "scroll"]) {
  document.addEventListener(kind, () => { touched = Date.now(); }, { passive: true });
}
for (const live of document.querySelectorAll("[data-live]")) {
  const seconds = Math.max(2, Number(live.dataset.live));
  setInterval(async () => {
    if (document.hidden || Date.now() - touched > PATIENCE_MS) return;
    const answer = await fetch(location.href, { credentials: "same-origin" });
    if (!answer.ok || answer.redirected) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.getElementById(live.id);
    if (fresh) live.replaceChildren(...fresh.childNodes);
  }, seconds * 1000);
}
