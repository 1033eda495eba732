// The map of frames: zoom, pan, and a card of the frame that is pointed at or focused.
// Without scripts, and on paper, the map is a grid of the frames that find a cell.

const MOST_ZOOM = 40;
const SAME_GESTURE = 400; // milliseconds between events of a wheel that goes on turning
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

// Return the pixels of points in [0, 1], and which of them have room for a picture; earlier ones
// come first. The choice does not depend on the part that is seen, so it stays while one pans.
const placed = (points, view, area, tile) => {
  const pictures = [];
  return points.map(([u, v]) => {
    const x = u * area.width * view.zoom + view.x + area.left;
    const y = v * area.height * view.zoom + view.y + area.top;
    const isFar = (one) => Math.abs(x - one.x) > tile.width || Math.abs(y - one.y) > tile.height;
    const hasRoom = pictures.every(isFar);
    if (hasRoom) pictures.push({ x, y });
    return { x, y, hasRoom };
  });
};

// Return the number of the nearest spot in a direction, or the same one; sideways counts twice.
const nextSpot = (spots, from, [right, down]) => {
  const distances = spots.map(({ x, y }) => {
    const [dx, dy] = [x - spots[from].x, y - spots[from].y];
    const along = dx * right + dy * down;
    return along > 0 ? along + 2 * Math.abs(dx * down + dy * right) : Infinity;
  });
  const least = Math.min(...distances);
  return least < Infinity ? distances.indexOf(least) : from;
};

const map = document.querySelector(".map");
if (map) {
  const tiles = [...map.children];
  const points = tiles.map((one) => one.dataset.at.split(" ").map(Number));
  const names = tiles.map((one) => one.textContent.trim());
  for (const one of tiles) one.querySelector("title").remove(); // or the browser would show it too
  const picture = tiles[0].cloneNode(true);
  const words = made("span", {});
  const card = made("div", { className: "tip card", hidden: true }, picture, words);
  const whole = { zoom: 1, x: 0, y: 0 };
  let [view, spots, focused, box, area, tile] = [{ ...whole }, [], 0];

  const draw = () => {
    box = map.getBoundingClientRect();
    const wide = box.width < 600 ? 52 : 72;
    const grown = Math.min(view.zoom ** 0.2, 1.6); // pictures grow too, but more slowly
    tile = { width: grown * wide, height: 0.75 * grown * wide };
    area = { left: wide / 2, top: 0.375 * wide };
    area = { ...area, width: box.width - 2 * area.left, height: box.height - 2 * area.top };
    const [x, y] = [tile.width / 2 - area.left, tile.height / 2 - area.top];
    view.x = clamp(view.x, area.width * (1 - view.zoom) - x, x);
    view.y = clamp(view.y, area.height * (1 - view.zoom) - y, y);
    spots = placed(points, view, area, tile);
    map.classList.toggle("near", view.zoom > 1);
    map.style.setProperty("--wide", `${tile.width}px`);
    spots.forEach(({ x, y, hasRoom }, n) => {
      tiles[n].style.setProperty("--to", `translate(${x.toFixed(1)}px, ${y.toFixed(1)}px)`);
      tiles[n].classList.toggle("dot", !hasRoom);
    });
  };
  const show = (number) => {
    const video = tiles[number]?.dataset.video;
    for (const one of tiles) one.classList.toggle("same", one.dataset.video === video);
    map.querySelector(".on")?.classList.remove("on");
    card.hidden = number < 0;
    if (number < 0) return;
    tiles[number].classList.add("on");
    const part = tiles[number].getAttribute("viewBox");
    const [width, height] = part.split(" ").slice(2);
    picture.setAttribute("viewBox", part);
    Object.assign(picture.style, { width: `${2 * width}px`, height: `${2 * height}px` });
    words.textContent = names[number];
    const { x, y } = spots[number];
    const [below, above] = [y + tile.height / 2 + 8, y - tile.height / 2 - 8 - card.offsetHeight];
    const isAbove = below + card.offsetHeight > box.height && above > 0;
    card.style.left = `${clamp(x - card.offsetWidth / 2, 0, box.width - card.offsetWidth)}px`;
    card.style.top = `${isAbove ? above : below}px`;
  };
  const showFocused = () => show(tiles.indexOf(document.activeElement));
  const look = (next) => {
    view = { ...next };
    draw();
    showFocused();
  };
  const pan = (x, y) => look({ ...view, x: view.x + x, y: view.y + y });
  const zoom = (factor, at = { x: box.width / 2, y: box.height / 2 }) => {
    const next = clamp(view.zoom * factor, 1, MOST_ZOOM);
    const [left, top] = [at.x - area.left, at.y - area.top];
    const [x, y] = [view.x - left, view.y - top].map((away) => (away * next) / view.zoom);
    look({ zoom: next, x: left + x, y: top + y }); // the place `at` stays where it is
  };
  const step = (...direction) => {
    const number = nextSpot(spots, focused, direction);
    const { x, y } = spots[number];
    const isSeen = x > 0 && y > 0 && x < box.width && y < box.height;
    if (!isSeen) pan(box.width / 2 - x, box.height / 2 - y);
    tiles[number].focus({ preventScroll: true });
  };

  const [zoomIn, zoomOut, reset] = [() => zoom(1.5), () => zoom(1 / 1.5), () => look(whole)];
  const keys = { "+": zoomIn, "=": zoomIn, "-": zoomOut, 0: reset, Escape: () => show(-1) };
  const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  map.addEventListener("keydown", (event) => {
    const action = arrows[event.key] ? () => step(...arrows[event.key]) : keys[event.key];
    if (!action || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    action();
  });

  const inMap = ({ clientX, clientY }) => {
    const { left, top } = map.getBoundingClientRect();
    return { x: clientX - left, y: clientY - top };
  };
  let scrolled = -Infinity;
  const onWheel = (event) => {
    // A wheel that scrolls the page goes on doing so when the map comes under the pointer.
    const goesOn = event.timeStamp - scrolled < SAME_GESTURE && !event.ctrlKey;
    const isWhole = event.deltaY > 0 && view.zoom === 1;
    if (!map.contains(event.target) || goesOn || isWhole) {
      scrolled = event.timeStamp;
      return;
    }
    event.preventDefault();
    const pixels = event.deltaY * (event.deltaMode ? 30 : 1) * (event.ctrlKey ? 5 : 1);
    zoom(2 ** (-clamp(pixels, -200, 200) / 250), inMap(event));
  };
  document.addEventListener("wheel", onWheel, { passive: false });

  const fingers = new Map();
  map.addEventListener("pointerdown", (event) => {
    if (event.button === 0) fingers.set(event.pointerId, inMap(event));
  });
  map.addEventListener("pointermove", (event) => {
    const [before, now] = [fingers.get(event.pointerId), inMap(event)];
    fingers.delete(event.pointerId);
    if (!before || !event.buttons) return; // released where the map did not see it
    map.setPointerCapture(event.pointerId);
    const [other] = fingers.values();
    const apart = (at) => Math.max(Math.hypot(at.x - other.x, at.y - other.y), 1);
    if (other) zoom(apart(now) / apart(before), other);
    else pan(now.x - before.x, now.y - before.y);
    fingers.set(event.pointerId, now);
    show(-1);
  });
  for (const end of ["pointerup", "pointercancel"]) {
    map.addEventListener(end, (event) => fingers.delete(event.pointerId) && showFocused());
  }
  map.addEventListener("pointerover", ({ target }) => {
    if (fingers.size) return;
    const number = tiles.indexOf(target.closest(".tile"));
    if (number < 0) showFocused();
    else show(number);
  });
  map.addEventListener("pointerleave", showFocused);
  map.addEventListener("focusin", ({ target }) => {
    tiles[focused].tabIndex = -1;
    focused = tiles.indexOf(target);
    target.tabIndex = 0; // Tab comes back to it
    show(focused);
  });
  map.addEventListener("focusout", () => show(-1));

  const press = (textContent, ariaLabel, onclick) =>
    made("button", { type: "button", textContent, ariaLabel, onclick });
  const scroll = map.parentElement;
  const buttons = [press("+", "Zoom in", zoomIn), press("−", "Zoom out", zoomOut)];
  const hint = "Wheel, pinch or + − to zoom, drag to move, arrow keys to go from frame to frame.";
  buttons.push(press("Reset", null, reset));
  scroll.before(made("div", { className: "tools" }, ...buttons, made("span", {}, hint)));
  scroll.removeAttribute("tabindex"); // it no longer scrolls
  scroll.classList.add("live");
  scroll.append(card);
  for (const [n, one] of tiles.entries()) {
    one.ariaLabel = names[n];
    one.tabIndex = n ? -1 : 0;
  }
  picture.setAttribute("class", "");
  picture.ariaHidden = "true";
  new ResizeObserver(draw).observe(map);
  draw();
}
