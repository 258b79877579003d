// Fields: one part of the form for each column.
//
// A field is {element, read, fill, focus}. read() gives the column's values as JSON texts, flat, or throws a Problem.
// They are texts because JavaScript's numbers would change a large INT64.

const MISSING = "null";
const FEW = 12; // a list of at most so many values fits one line

class Problem extends Error {}

/** Make an element; `text` is only ever text, so nothing in a schema can become markup. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

function countOf(shape) {
  return shape.reduce((product, size) => product * size, 1);
}

/** Read one value as JSON text; `text` is what stands in the form. */
function readValue(column, text) {
  if (column.kind === "text") return readText(column, text);
  if (column.kind === "flag") return readFlag(text);
  if (column.kind === "moment") return readMoment(text);
  return column.whole ? readWhole(column, text) : readDecimal(column, text);
}

function readText(column, text) {
  if (column.choices.length && !column.nullable && !column.choices.includes(text)) {
    throw new Problem(`found “${shorten(text)}”: expected one of ${shorten(column.choices.join(", "))}`);
  }
  return JSON.stringify(text);
}

function readFlag(text) {
  if (text !== "true" && text !== "false") throw new Problem(`found “${shorten(text)}”: expected true or false`);
  return text;
}

/** Microseconds since 1970, as the protocol has moments. */
function readMoment(text) {
  const [, day, time] = /^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d(?::\d\d)?)Z?$/.exec(text) ?? [];
  const instant = Date.parse(`${day}T${time}Z`);
  if (Number.isNaN(instant)) throw new Problem(`found “${shorten(text)}”: expected a moment such as 2026-01-31T12:00`);
  return `${instant}000`;
}

function readWhole(column, text) {
  if (!/^[+-]?\d{1,30}$/.test(text)) throw new Problem(`found “${shorten(text)}”: expected a whole number`);
  const value = BigInt(text.replace("+", ""));
  if (value < BigInt(column.least) || value > BigInt(column.most)) {
    throw new Problem(`found ${shorten(text)}: expected ${column.least} to ${column.most}`);
  }
  checkBounds(column, Number(value), text);
  return String(value);
}

function readDecimal(column, text) {
  if (!/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text)) {
    throw new Problem(`found “${shorten(text)}”: expected a number such as 12.5`);
  }
  const value = Number(text);
  if (Math.abs(value) > Number(column.most)) {
    throw new Problem(`found ${shorten(text)}: expected a number that fits ${column.datatype}`);
  }
  checkBounds(column, value, text);
  return String(value);
}

function checkBounds(column, value, text) {
  const low = column.minimum !== null && value < column.minimum;
  const high = column.maximum !== null && value > column.maximum;
  if (low || high) throw new Problem(`found ${shorten(text)}: expected ${describeRange(column)}`);
}

function shorten(text) {
  return text.length > 30 ? `${text.slice(0, 30)}…` : text;
}

function describeRange(column) {
  const { minimum, maximum } = column;
  const range = minimum !== null && maximum !== null ? `${minimum} to ${maximum}`
    : minimum !== null ? `${minimum} or more`
    : maximum !== null ? `${maximum} or less` : "";
  return range.replaceAll(" ", "\u00a0").replaceAll("-", "\u2212"); // one word, with true minus signs
}

/** Say in one line what a column takes: its kind, how many, within what, and whether it may be left out. */
function describeColumn(column) {
  const count = countOf(column.shape);
  const noun = { flag: "yes or no", text: "text", moment: "such as 2026-01-31T12:00" }[column.kind] ?? (column.whole ? "whole number" : "number");
  const many = { flag: "times true or false", text: "texts, one a line" }[column.kind] ?? `${noun}s, with spaces between`;
  const parts = [column.shape.length ? `${count} ${many}` : column.choices.length ? "" : noun, describeRange(column)];
  if (column.nullable) parts.push("may be left empty");
  return parts.filter(Boolean).join(", ");
}

function makeControl(column, id) {
  const common = { id, name: column.name, "aria-describedby": `${id}-hint ${id}-problem`, "aria-required": String(!column.nullable) };
  if (column.shape.length) {
    return make("textarea", { ...common, rows: countOf(column.shape) > FEW ? 4 : 2, spellcheck: "false" });
  }
  const choices = column.kind === "flag" ? [["true", "yes"], ["false", "no"]] : column.choices.map((one) => [one, one]);
  if (choices.length) {
    const options = choices.map(([value, text]) => make("option", { value }, text));
    return make("select", common, make("option", { value: "" }, column.nullable ? "unknown" : "choose…"), ...options);
  }
  const positive = column.minimum !== null && column.minimum >= 0; // number pads of telephones have no minus sign
  const inputmode = column.kind === "number" && positive ? (column.whole ? "numeric" : "decimal") : undefined;
  return make("input", { ...common, type: "text", inputmode, autocomplete: "off", spellcheck: "false" });
}

/** A field for numbers, texts, choices and lists of them. `changed` is called when its content has changed. */
function makeField(column, id, changed) {
  const control = makeControl(column, id);
  const problem = make("p", { class: "problem", id: `${id}-problem` });
  const label = make("label", { for: id }, column.name);
  if (column.unit) label.append(" ", make("span", { class: "unit" }, column.unit));
  const hints = [column.description, describeColumn(column)].filter(Boolean).map((text) => make("span", {}, text));
  const hint = make("p", { class: "hint", id: `${id}-hint` }, ...hints);
  const element = make("div", { class: "field" }, label, control, hint, problem);

  function read() {
    try {
      const values = readControl(column, control.value);
      show("");
      return values;
    } catch (error) {
      if (error instanceof Problem) show(error.message);
      throw error;
    }
  }

  function show(message) {
    problem.textContent = message;
    if (message) control.setAttribute("aria-invalid", "true");
    else control.removeAttribute("aria-invalid");
  }

  control.addEventListener("change", () => {
    try {
      read();
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
    }
    changed();
  });
  return { element, read, focus: () => control.focus(), fill: () => { control.value ||= column.example; show(""); } };
}

function readControl(column, content) {
  const count = countOf(column.shape);
  if (!column.shape.length) {
    const text = column.kind === "text" ? content : content.trim();
    if (text === "" && column.nullable) return [MISSING];
    if (text === "" && (column.kind !== "text" || column.choices.length)) throw new Problem("found nothing: expected a value");
    return [readValue(column, text)];
  }
  if (content.trim() === "" && column.nullable) return new Array(count).fill(MISSING);
  const parts = column.kind === "text" ? content.split("\n") : content.split(/[\s,;]+/).filter(Boolean);
  if (parts.length !== count) throw new Problem(`found ${parts.length} values: expected ${count}`);
  return parts.map((part) => readValue(column, part));
}
