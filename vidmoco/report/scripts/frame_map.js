// The map of frames: zoom, pan, and a card of the frame that is pointed at or focused.
// Without scripts, and on paper, the map is a grid of the frames that find a cell.

const MOST_ZOOM = 40;
const SAME_GESTURE = 400; // milliseconds between events of a wheel that goes on turning

// Return the pixels of points in [0, 1], and which of them have room for a picture; earlier ones
// come first. The choice does not depend on the part that is seen, so it stays while one pans.
const placed = (points, view, box, tile) => {
  const pictures = [];
  return points.map(([u, v]) => {
    const x = u * (box.width - tile.width) * view.zoom + view.x + tile.width / 2;
    const y = v * (box.height - tile.height) * view.zoom + view.y + tile.height / 2;
    const hasRoom = pictures.every(
      (other) => Math.abs(x - other.x) > tile.width || Math.abs(y - other.y) > tile.height,
    );
    if (hasRoom) pictures.push({ x, y });
    return { x, y, hasRoom };
  });
};

// Return the view that is `factor` times as near and keeps the place at (x, y) where it is.
const zoomed = (view, factor, { x, y }, box, tile) => {
  const zoom = Math.min(Math.max(view.zoom * factor, 1), MOST_ZOOM);
  const [left, top] = [x - tile.width / 2, y - tile.height / 2];
  const ratio = zoom / view.zoom;
  return kept({ zoom, x: left - (left - view.x) * ratio, y: top - (top - view.y) * ratio }, box, tile);
};

// Return a view that shows nothing beyond the outermost frames.
const kept = ({ zoom, x, y }, box, tile) => ({
  zoom,
  x: Math.min(Math.max(x, (box.width - tile.width) * (1 - zoom)), 0),
  y: Math.min(Math.max(y, (box.height - tile.height) * (1 - zoom)), 0),
});

// Return the nearest spot in a direction, or the same one: the side counts twice.
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
  const scroll = map.parentElement;
  const tiles = [...map.children];
  const points = tiles.map((tile) => tile.dataset.at.split(" ").map(Number));
  const names = tiles.map((tile) => tile.textContent.trim());
  const picture = tiles[0].cloneNode(true);
  const words = made("span", {});
  const card = made("div", { className: "tip card", hidden: true }, picture, words);
  let [view, spots, box, tile] = [{ zoom: 1, x: 0, y: 0 }, [], null, null];
  let focused = 0;

  const draw = () => {
    box = map.getBoundingClientRect();
    tile = box.width < 600 ? { width: 52, height: 39 } : { width: 72, height: 54 };
    view = kept(view, box, tile);
    spots = placed(points, view, box, tile);
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
    const [, , width, height] = tiles[number].getAttribute("viewBox").split(" ").map(Number);
    picture.setAttribute("viewBox", tiles[number].getAttribute("viewBox"));
    Object.assign(picture.style, { width: `${2 * width}px`, height: `${2 * height}px` });
    words.textContent = names[number];
    const { x, y } = spots[number];
    const [w, h, apart] = [card.offsetWidth, card.offsetHeight, tile.height / 2 + 8];
    const top = y + apart + h > box.height && y - apart - h > 0 ? y - apart - h : y + apart;
    card.style.left = `${Math.max(0, Math.min(x - w / 2, box.width - w))}px`;
    card.style.top = `${top}px`;
  };

  const look = (next) => {
    view = next;
    draw();
    const active = tiles.indexOf(document.activeElement);
    show(active);
  };
  const middle = () => ({ x: box.width / 2, y: box.height / 2 });
  const zoom = (factor, place = middle()) => look(zoomed(view, factor, place, box, tile));
  const reset = () => look({ zoom: 1, x: 0, y: 0 });
  const inMap = ({ clientX, clientY }) => {
    const { left, top } = map.getBoundingClientRect();
    return { x: clientX - left, y: clientY - top };
  };

  const focus = (number) => {
    tiles[focused].setAttribute("tabindex", "-1");
    focused = number;
    tiles[focused].setAttribute("tabindex", "0");
  };
  const move = (direction) => {
    const number = nextSpot(spots, focused, direction);
    const { x, y } = spots[number];
    if (x < 0 || y < 0 || x > box.width || y > box.height) {
      look({ ...view, x: view.x + box.width / 2 - x, y: view.y + box.height / 2 - y });
    }
    tiles[number].focus({ preventScroll: true });
  };

  const actions = {
    ArrowLeft: () => move([-1, 0]), ArrowRight: () => move([1, 0]),
    ArrowUp: () => move([0, -1]), ArrowDown: () => move([0, 1]),
    "+": () => zoom(1.5), "=": () => zoom(1.5), "-": () => zoom(1 / 1.5), "0": reset,
    Escape: () => show(-1),
  }; // prettier-ignore
  map.addEventListener("keydown", (event) => {
    if (!(event.key in actions) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    actions[event.key]();
  });

  // A wheel that scrolls the page goes on doing so when the map comes under the pointer.
  let scrolled = -Infinity;
  document.addEventListener("wheel", (event) => {
    const goesOn = event.timeStamp - scrolled < SAME_GESTURE && !event.ctrlKey;
    const nothing = event.deltaY > 0 && view.zoom === 1;
    if (!map.contains(event.target) || goesOn || nothing) {
      scrolled = event.timeStamp;
      return;
    }
    event.preventDefault();
    const pixels = event.deltaY * (event.deltaMode ? 30 : 1) * (event.ctrlKey ? 5 : 1);
    zoom(2 ** (-Math.max(-200, Math.min(pixels, 200)) / 250), inMap(event));
  }, { passive: false }); // prettier-ignore

  const fingers = new Map();
  map.addEventListener("pointerdown", (event) => fingers.set(event.pointerId, inMap(event)));
  map.addEventListener("pointermove", (event) => {
    const before = fingers.get(event.pointerId);
    if (!before) return;
    map.setPointerCapture(event.pointerId);
    const now = inMap(event);
    const [other] = [...fingers].filter(([id]) => id !== event.pointerId).map(([, at]) => at);
    const distance = (at) => Math.hypot(at.x - other.x, at.y - other.y);
    if (other) zoom(distance(now) / Math.max(distance(before), 1), other);
    else look({ ...view, x: view.x + now.x - before.x, y: view.y + now.y - before.y });
    fingers.set(event.pointerId, now);
  });
  for (const end of ["pointerup", "pointercancel"]) {
    map.addEventListener(end, (event) => fingers.delete(event.pointerId));
  }
  map.addEventListener("pointerover", (event) => {
    if (!fingers.size) show(tiles.indexOf(event.target.closest(".tile")));
  });
  map.addEventListener("pointerleave", () => show(tiles.indexOf(document.activeElement)));
  map.addEventListener("focusin", (event) => {
    focus(tiles.indexOf(event.target));
    show(focused);
  });
  map.addEventListener("focusout", () => show(-1));

  const press = (text, label, action) => {
    const button = made("button", { type: "button", textContent: text });
    button.setAttribute("aria-label", label);
    button.addEventListener("click", action);
    return button;
  };
  const hint = "Wheel or + − to zoom, drag to move, arrow keys to go from frame to frame.";
  const buttons = [
    press("+", "Zoom in", () => zoom(1.5)),
    press("−", "Zoom out", () => zoom(1 / 1.5)),
    press("Reset", "Show the whole map", reset),
  ];
  scroll.before(made("div", { className: "tools" }, ...buttons, made("span", {}, hint)));
  scroll.removeAttribute("tabindex");
  scroll.classList.add("live");
  tiles.forEach((one, n) => {
    one.setAttribute("aria-label", names[n]);
    one.setAttribute("tabindex", n ? "-1" : "0");
    one.querySelector("title").remove(); // or the browser would show it too
  });
  picture.setAttribute("class", "");
  picture.setAttribute("aria-hidden", "true");
  scroll.append(card);
  new ResizeObserver(draw).observe(map);
  draw();
}
