// Pad: a picture that is drawn, dropped, pasted or chosen, as grey cells of exactly the size that the model takes.

const FINE = 560; // the drawing has about so many dots a side, a whole number for each cell
const KEPT = 12; // steps that can be taken back
const BLACK = 0;
const NEARBY = 0.01; // dots; a line of no length would leave no dot at all

/** The drawing itself: grey on a canvas, of `rows` by `columns` cells. It knows nothing of the page around it. */
class Drawing {
  constructor(canvas, rows, columns) {
    this.rows = rows;
    this.columns = columns;
    this.scale = Math.max(1, Math.floor(FINE / Math.max(rows, columns)));
    canvas.width = columns * this.scale;
    canvas.height = rows * this.scale;
    this.canvas = canvas;
    this.context = canvas.getContext("2d", { willReadFrequently: true });
    this.clear();
  }

  clear() {
    this.past = [];
    this.paper = BLACK;
    this.blank = true;
    this.inverted = false;
    this.fill(BLACK);
  }

  fill(grey, ...box) {
    this.context.fillStyle = `rgb(${grey} ${grey} ${grey})`;
    this.context.fillRect(...(box.length ? box : [0, 0, this.canvas.width, this.canvas.height]));
  }

  /** Keep what stands now, so that it can be brought back. */
  keep() {
    const { paper, blank, inverted } = this;
    const dots = this.context.getImageData(0, 0, this.canvas.width, this.canvas.height);
    this.past.push({ dots, paper, blank, inverted });
    if (this.past.length > KEPT) this.past.shift();
  }

  undo() {
    const { dots, ...state } = this.past.pop() ?? {};
    if (!dots) return;
    this.context.putImageData(dots, 0, 0);
    Object.assign(this, state);
  }

  /** Draw from one place to another, both in cells; the pen stands out from the paper, the eraser is the paper. */
  stroke(from, to, width, erasing) {
    const grey = erasing ? this.paper : this.paper < 128 ? 255 : 0;
    const place = ([x, y]) => [x * this.scale, y * this.scale];
    this.context.strokeStyle = `rgb(${grey} ${grey} ${grey})`;
    this.context.lineWidth = width * this.scale;
    this.context.lineCap = this.context.lineJoin = "round";
    this.context.beginPath();
    this.context.moveTo(...place(from));
    this.context.lineTo(place(to)[0] + NEARBY, place(to)[1]);
    this.context.stroke();
    this.blank = false;
  }

  invert() {
    this.context.globalCompositeOperation = "difference";
    this.fill(255);
    this.context.globalCompositeOperation = "source-over";
    this.paper = 255 - this.paper;
    this.inverted = !this.inverted;
  }

  /** Lay a picture in, whole and in the middle, on paper of its border's grey; a bright border means that it is inverted. */
  lay(picture) {
    this.keep();
    const { width, height } = this.canvas;
    const fit = Math.min(width / picture.width, height / picture.height);
    const wide = Math.round(picture.width * fit);
    const high = Math.round(picture.height * fit);
    const left = Math.floor((width - wide) / 2);
    const top = Math.floor((height - high) / 2);
    this.fill(255); // what is transparent counts as white
    // Enlarged by a whole number, each dot of the picture stays exactly what it is.
    this.context.imageSmoothingEnabled = !Number.isInteger(fit);
    this.context.imageSmoothingQuality = "high";
    this.context.drawImage(picture, left, top, wide, high);
    this.paper = Math.round(meanOfBorder(this.context.getImageData(left, top, wide, high)));
    for (const [x, w] of [[0, left], [left + wide, width - left - wide]]) this.fill(this.paper, x, 0, w, height);
    for (const [y, h] of [[0, top], [top + high, height - top - high]]) this.fill(this.paper, 0, y, width, h);
    this.blank = false;
    this.inverted = false;
    if (this.paper >= 128) this.invert();
  }

  /** The grey of each cell, 0 to 255, row after row: the mean of its dots. */
  cells() {
    const { rows, columns, scale } = this;
    const dots = this.context.getImageData(0, 0, this.canvas.width, this.canvas.height).data;
    const sums = new Float64Array(rows * columns);
    let dot = 0;
    for (let y = 0; y < rows * scale; y += 1) {
      const row = Math.floor(y / scale) * columns;
      for (let x = 0; x < columns * scale; x += 1, dot += 4) sums[row + Math.floor(x / scale)] += greyAt(dots, dot);
    }
    return Uint8ClampedArray.from(sums, (sum) => sum / scale ** 2);
  }
}

function greyAt(dots, place) {
  return 0.299 * dots[place] + 0.587 * dots[place + 1] + 0.114 * dots[place + 2];
}

function meanOfBorder({ data, width, height }) {
  let sum = 0;
  let count = 0;
  for (let y = 0; y < height; y += 1) {
    const step = y === 0 || y === height - 1 ? 1 : Math.max(1, width - 1);
    for (let x = 0; x < width; x += step, count += 1) sum += greyAt(data, 4 * (y * width + x));
  }
  return sum / count;
}
