
"use strict";
{
  const filter = document.getElementById("filter");
  const text = document.getElementById("text");
  const shown = document.getElementById("shown");
  const none = document.getElementById("none");
  const chips = [...filter.querySelectorAll("button")];
  const groups = [...document.querySelectorAll(".clause, .chapter")];
  const cases = [...document.querySelectorAll(".case")].map((element) => ({
    element,
    outcome: element.dataset.outcome,
    level: element.dataset.level,
    words: [element.closest(".clause").querySelector("h3"), element.querySelector("summary")]
      .map((part) => part.textContent).join(" ").toLowerCase(),
  }));

  const pressed = (kind) => chips
    .filter((chip) => chip.dataset.kind === kind && chip.getAttribute("aria-pressed") === "true")
    .map((chip) => chip.dataset.value);

  const apply = () => {
    const outcomes = pressed("outcome");
    const levels = pressed("level");
    const words = text.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const { element, ...is } of cases) {
      const wanted = (outcomes.length === 0 || outcomes.includes(is.outcome))
        && (levels.length === 0 || levels.includes(is.level))
        && words.every((word) => is.words.includes(word));
      element.hidden = !wanted;
      count += wanted;
    }
    for (const group of groups) {
      group.hidden = !group.querySelector(".case:not([hidden])");
    }
    none.hidden = count > 0;
    shown.value = `${count} of ${cases.length} cases`;
  };

  // A link to a case that is filtered away or closed shall show it all the same.
  const follow = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target) {
      return;
    }
    if (target.hidden || target.closest("[hidden]")) {
      for (const chip of chips) {
        chip.setAttribute("aria-pressed", "false");
      }
      text.value = "";
      apply();
    }
    if (target.matches(".case")) {
      target.open = true;
    }
    target.scrollIntoView();
  };

  for (const chip of chips) {
    chip.addEventListener("click", () => {
      chip.setAttribute("aria-pressed", String(chip.getAttribute("aria-pressed") !== "true"));
      apply();
    });
  }
  text.addEventListener("input", apply);
  addEventListener("hashchange", follow);
  filter.hidden = false;
  apply();
  follow();
}
