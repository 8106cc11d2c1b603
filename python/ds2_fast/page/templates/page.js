"use strict";
// Says which sample of the map is under the pointer. The page is complete without it.
for (const map of document.querySelectorAll("[data-map]")) {
  const data = JSON.parse(document.getElementById(map.dataset.map).textContent);
  const svg = map.querySelector("svg");
  const tip = map.querySelector(".tip");
  const ring = document.createElementNS("http://www.w3.org/2000/svg", "circle");
  ring.setAttribute("r", "6");
  ring.setAttribute("class", "ring");
  const nearest = (at, reach) => {
    let best = -1;
    let least = reach * reach;
    for (let i = 0; i < data.x.length; i++) {
      const dx = data.x[i] - at.x;
      const dy = data.y[i] - at.y;
      const distance = dx * dx + dy * dy;
      if (distance < least) {
        least = distance;
        best = i;
      }
    }
    return best;
  };
  const hide = () => {
    tip.hidden = true;
    ring.remove();
  };
  const show = (event) => {
    const toScreen = svg.getScreenCTM();
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(toScreen.inverse());
    const i = nearest(at, 18 / toScreen.a);
    if (i < 0) {
      hide();
      return;
    }
    ring.setAttribute("cx", data.x[i]);
    ring.setAttribute("cy", data.y[i]);
    svg.append(ring);
    tip.querySelector("b").textContent = data.head[i];
    tip.querySelector("span").textContent = data.text[i];
    tip.hidden = false;
    const box = map.getBoundingClientRect();
    const point = new DOMPoint(data.x[i], data.y[i]).matrixTransform(toScreen);
    const left = Math.min(Math.max(point.x - box.left - tip.offsetWidth / 2, 0), box.width - tip.offsetWidth);
    const above = point.y - box.top - tip.offsetHeight - 14;
    tip.style.left = `${left}px`;
    tip.style.top = `${above < 0 ? point.y - box.top + 14 : above}px`;
  };
  svg.addEventListener("pointermove", show);
  svg.addEventListener("pointerdown", show);
  svg.addEventListener("pointerleave", hide);
}
// What is folded on the screen is printed.
addEventListener("beforeprint", () => {
  for (const part of document.querySelectorAll("details")) part.open = true;
});
