// Line charts: the numbers at a place, by pointer or arrow keys; lines that a click hides.

const linesOf = (chart) => chart.querySelectorAll("svg > .series");

for (const svg of document.querySelectorAll(".chart > svg")) {
  const chart = svg.parentElement;
  const columns = [...svg.querySelectorAll(".column")];
  const texts = columns.map(({ firstElementChild: title }) => {
    title.remove(); // or the browser would show it too
    return title.textContent.split("\n");
  });
  const tip = made("div", { className: "tip", role: "status", hidden: true });
  chart.append(tip);
  let shown = -1;

  const show = (number) => {
    columns[shown]?.classList.remove("at");
    shown = number;
    tip.hidden = number < 0;
    if (number < 0) return;
    columns[number].classList.add("at");
    const [place, ...values] = texts[number];
    const lines = columns[number].dataset.lines.split(" ");
    const rows = values.flatMap((text, n) => {
      if (linesOf(chart)[lines[n]].classList.contains("away")) return [];
      const key = chart.querySelector(`[data-line="${lines[n]}"] .key`);
      return [made("span", {}, ...(key ? [key.cloneNode(true)] : []), text)];
    });
    tip.replaceChildren(made("b", { textContent: place }), ...rows);
    const [box, column] = [chart, columns[number]].map((one) => one.getBoundingClientRect());
    const middle = column.left + column.width / 2 - box.left;
    const isRight = middle > box.width / 2;
    tip.style.left = isRight ? "" : `${middle + 10}px`;
    tip.style.right = isRight ? `${box.width - middle + 10}px` : "";
    tip.style.top = `${column.top - box.top}px`;
  };

  svg.tabIndex = 0;
  svg.addEventListener("pointerover", ({ target }) => show(columns.indexOf(target)));
  svg.addEventListener("pointerleave", () => show(-1));
  svg.addEventListener("focus", () => shown < 0 && show(columns.length - 1));
  svg.addEventListener("blur", () => show(-1));
  svg.addEventListener("keydown", (event) => {
    const last = columns.length - 1;
    const steps = { ArrowLeft: shown - 1, ArrowRight: shown + 1, Home: 0, End: last };
    if (event.key === "Escape") show(-1);
    if (!(event.key in steps)) return;
    event.preventDefault();
    show(Math.min(Math.max(steps[event.key], 0), last));
  });
}

// A name stands for the same run in all charts of a section, so it is hidden in all of them.
for (const charts of document.querySelectorAll(".charts")) {
  const entries = [...charts.querySelectorAll("[data-line]")];
  const nameOf = (entry) => entry.querySelector("span").textContent;
  for (const entry of entries) {
    if (entry.parentElement.querySelectorAll("[data-line]").length < 2) continue;
    const onclick = () => {
      const isShown = button.ariaPressed === "false";
      for (const same of entries.filter((other) => nameOf(other) === nameOf(entry))) {
        if (!same.querySelector("button")) continue; // the only line of its chart
        same.querySelector("button").ariaPressed = String(isShown);
        linesOf(same.closest(".chart"))[same.dataset.line].classList.toggle("away", !isShown);
      }
    };
    const button = made("button", { type: "button", onclick }, ...entry.childNodes);
    button.ariaPressed = "true";
    entry.append(button);
  }
}
