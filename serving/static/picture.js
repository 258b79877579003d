// Picture: the field that holds a drawing, with its pen, its switches, and every way to bring a picture in.

const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** A field for a picture; `say` tells a screen reader what happened. */
function makePicture(column, id, changed, say) {
  const [rows, columns] = column.shape;
  const canvas = make("canvas", {
    id,
    tabindex: "0",
    role: "application",
    "aria-roledescription": "drawing area",
    "aria-label": `${column.name}, ${columns} by ${rows} cells`,
    "aria-describedby": `${id}-hint`,
  });
  const drawing = new Drawing(canvas, rows, columns);
  const cursor = make("span", { class: "cursor", "aria-hidden": "true", hidden: true });
  const invitation = make("p", { class: "invitation", "aria-hidden": "true" }, "Draw here", make("br"), "or drop a picture");
  const seen = make("canvas", { class: "seen", width: columns, height: rows, role: "img", "aria-label": "what the model sees" });
  const pen = make("input", { type: "range", id: `${id}-pen`, min: 1, max: Math.max(2, Math.round(columns / 5)), step: 0.5 });
  pen.value = Math.max(1, columns / 12);
  const eraser = make("input", { type: "checkbox", role: "switch", id: `${id}-eraser` });
  const inverted = make("input", { type: "checkbox", role: "switch", id: `${id}-inverted` });
  const undo = make("button", { type: "button", disabled: true }, "Undo");
  const clear = make("button", { type: "button" }, "Clear");
  const file = make("input", { type: "file", accept: "image/*", class: "unseen", id: `${id}-file` });
  const problem = make("p", { class: "problem", role: "alert" });

  function refresh() {
    const cells = drawing.cells();
    const shown = new ImageData(columns, rows);
    cells.forEach((grey, place) => shown.data.set([grey, grey, grey, 255], 4 * place));
    seen.getContext("2d").putImageData(shown, 0, 0);
    invitation.hidden = !drawing.blank;
    inverted.checked = drawing.inverted;
    undo.disabled = drawing.past.length === 0;
    problem.textContent = "";
    changed();
  }

  async function bring(blob) {
    try {
      const picture = await createImageBitmap(blob);
      drawing.lay(picture);
      picture.close();
    } catch {
      problem.textContent = `“${shorten(blob.name ?? "that")}” is no picture that this browser reads: choose a PNG, JPEG or WebP`;
      return;
    }
    refresh();
    say(drawing.inverted ? "Picture taken, and inverted because its border is bright" : "Picture taken");
  }

  function takeBack() {
    drawing.undo();
    refresh();
  }

  function wipe() {
    drawing.clear();
    refresh();
    say("Cleared");
  }

  undo.addEventListener("click", takeBack);
  clear.addEventListener("click", wipe);
  inverted.addEventListener("change", () => {
    drawing.keep();
    drawing.invert();
    refresh();
  });
  file.addEventListener("change", () => {
    if (file.files.length) bring(file.files[0]);
    file.value = ""; // the same file may be chosen again
  });
  const nib = () => [Number(pen.value), eraser.checked];
  followPointer(canvas, drawing, nib, refresh);
  followKeys(canvas, drawing, { nib, refresh, takeBack, wipe, cursor, say });

  const hint =
    "With the keyboard: arrows move the pen, Space puts it down and lifts it, Backspace takes back, Delete clears. " +
    "A picture can be dropped or pasted anywhere on the page.";
  const element = make("div", { class: "picture" },
    make("div", { class: "pad" }, canvas, invitation, cursor),
    make("div", { class: "tools" },
      make("label", { class: "button", for: file.id }, file, "Choose a picture"), undo, clear),
    make("div", { class: "tools" },
      make("label", { class: "range", for: pen.id }, "Pen ", pen),
      make("label", { class: "switch", for: eraser.id }, eraser, "Erase"),
      make("label", { class: "switch", for: inverted.id }, inverted, "Invert")),
    problem,
    make("div", { class: "sight" }, seen,
      make("p", { class: "hint" }, `What the model sees: ${columns} × ${rows}`, column.description && make("br"), column.description)),
    make("p", { class: "hint keys", id: `${id}-hint` }, hint));
  return {
    element,
    read: () => Array.from(drawing.cells(), String),
    focus: () => canvas.focus(),
    fill: () => {},
    blank: () => drawing.blank,
    bring,
  };
}

/** Draw with a mouse, a finger or a pen; places are in cells, whatever size the canvas has on the screen. */
function followPointer(canvas, drawing, nib, refresh) {
  let last = null;
  const placeOf = (event) => {
    const box = canvas.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * drawing.columns, ((event.clientY - box.top) / box.height) * drawing.rows];
  };
  const moveTo = (place) => {
    drawing.stroke(last ?? place, place, ...nib());
    last = place;
  };
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || !event.isPrimary) return;
    canvas.setPointerCapture(event.pointerId);
    drawing.keep();
    moveTo(placeOf(event));
    refresh();
  });
  canvas.addEventListener("pointermove", (event) => {
    if (last === null || !event.isPrimary) return;
    const steps = event.getCoalescedEvents?.() ?? [];
    for (const step of steps.length ? steps : [event]) moveTo(placeOf(step));
    refresh();
  });
  for (const end of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(end, (event) => {
      if (event.isPrimary) last = null;
    });
  }
}

/** Draw with the keyboard: a cursor that moves by cells, with the pen up or down. */
function followKeys(canvas, drawing, { nib, refresh, takeBack, wipe, cursor, say }) {
  let place = [drawing.columns / 2, drawing.rows / 2];
  let down = false;

  function show() {
    cursor.style.setProperty("left", `${(100 * place[0]) / drawing.columns}%`);
    cursor.style.setProperty("top", `${(100 * place[1]) / drawing.rows}%`);
    cursor.classList.toggle("down", down);
    cursor.hidden = false;
  }

  function draw(to) {
    if (down) drawing.stroke(place, to, ...nib());
    place = to;
    show();
    if (down) refresh();
  }

  function press() {
    down = !down;
    if (down) drawing.keep();
    draw(place);
    say(down ? "Pen down" : "Pen up");
  }

  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const within = (value, most) => Math.min(most - 0.5, Math.max(0.5, value));
    const [x, y] = MOVES[event.key] ?? [0, 0];
    const step = event.shiftKey ? 4 : 1;
    if (MOVES[event.key]) draw([within(place[0] + x * step, drawing.columns), within(place[1] + y * step, drawing.rows)]);
    else if (event.key === " ") press();
    else if (event.key === "Backspace") takeBack();
    else if (event.key === "Delete") wipe();
    else return;
    event.preventDefault(); // or the page would scroll
  });
  canvas.addEventListener("blur", () => {
    down = false;
    cursor.hidden = true;
  });
}
