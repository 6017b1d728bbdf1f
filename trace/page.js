// Shows what the lines of all plots are at the time below the pointer. The values are read
// back from the drawing: nothing else carries them.
(() => {
  const tip = document.getElementById("tip");
  const plots = [...document.querySelectorAll("svg[data-plot]")].map((svg) => {
    const [left, top, right, bottom] = svg.dataset.plot.split(" ").map(Number);
    const [xMax, xUnit] = svg.dataset.x.split(" ");
    const [yMax, yUnit] = svg.dataset.y.split(" ");
    const lines = [...svg.querySelectorAll(".line")].map((el) => {
      let points = el.getAttribute("points").trim().split(" ").map((p) => p.split(",").map(Number));
      if (el.classList.contains("area")) points = points.slice(1, -1);
      return { el, points };
    });
    return { svg, left, top, right, bottom, xMax: +xMax, xUnit, yMax: +yMax, yUnit: yUnit || "", lines, cursor: svg.querySelector(".cursor") };
  });
  const at = (points, x) => {
    let low = 0, high = points.length - 1;
    if (high < 0 || x < points[0][0] - 2) return null;
    while (low < high) {
      const mid = (low + high + 1) >> 1;
      if (points[mid][0] <= x) low = mid; else high = mid - 1;
    }
    return points[low][1];
  };
  const round = (v) => (v >= 100 ? v.toFixed(0) : v >= 10 ? v.toFixed(1) : v.toFixed(2));
  const hide = () => {
    tip.hidden = true;
    for (const p of plots) p.cursor.style.visibility = "hidden";
  };
  const show = (plot, e) => {
    if (!plot.lines.length) return;
    const box = plot.svg.getBoundingClientRect();
    const x = ((e.clientX - box.left) / box.width) * plot.svg.viewBox.baseVal.width;
    if (x < plot.left || x > plot.right) return hide();
    for (const p of plots) {
      if (!p.lines.length) continue;
      for (const [k, v] of [["x1", x], ["x2", x], ["y1", p.top], ["y2", p.bottom]]) p.cursor.setAttribute(k, v);
      p.cursor.style.visibility = "visible";
    }
    tip.replaceChildren();
    const head = document.createElement("b");
    head.textContent = `${round(((x - plot.left) / (plot.right - plot.left)) * plot.xMax)} ${plot.xUnit}`;
    tip.append(head);
    for (const { el, points } of plot.lines) {
      const y = at(points, x);
      if (y === null) continue;
      const row = document.createElement("span");
      row.className = el.getAttribute("class");
      const name = document.createElement("i");
      name.textContent = el.dataset.name;
      row.append(name, `${round(((plot.bottom - y) / (plot.bottom - plot.top)) * plot.yMax)} ${plot.yUnit}`);
      tip.append(row);
    }
    tip.hidden = false;
    const w = tip.offsetWidth, h = tip.offsetHeight;
    tip.style.left = `${e.clientX + 16 + w > innerWidth ? e.clientX - w - 12 : e.clientX + 16}px`;
    tip.style.top = `${Math.min(e.clientY + 12, innerHeight - h - 8)}px`;
  };
  for (const p of plots) {
    p.svg.addEventListener("pointermove", (e) => show(p, e));
    p.svg.addEventListener("pointerleave", hide);
  }
  document.documentElement.dataset.ready = String(plots.length);
})();
