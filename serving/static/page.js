// Page: put a model's form together, ask whenever there is something to ask, and show the answer.

const SETTLED = 700; // milliseconds without change, after which a screen reader is told the answer
const part = Object.fromEntries(
  ["name", "purpose", "question", "answer", "decision", "remark", "trouble", "bars", "origin", "status", "chooser", "chosen", "metadata"]
    .map((id) => [id, document.getElementById(id)]),
);
const models = JSON.parse(document.getElementById("models").textContent);
let talk = null; // the model on the page, with its fields

class Talk {
  constructor(model) {
    this.model = model;
    this.asked = false;
    this.asking = false;
    this.again = false;
    const changed = () => this.onChange();
    this.fields = model.columns.map((column, place) => {
      const build = column.kind === "picture" ? makePicture : makeField;
      return build(column, `column-${place}`, changed, say);
    });
    this.live = model.columns.length === 1 && model.columns[0].kind === "picture";
    this.pictures = this.fields.filter((field) => field.bring);
  }

  show() {
    const { model } = this;
    part.name.textContent = model.name;
    part.purpose.textContent = this.live
      ? `Draw a picture, and the model says which of ${model.classes.length} classes it shows.`
      : `Fill in what is known, and the model says how likely each of ${model.classes.length} classes is.${model.service ? ` The store knows the rest: ${model.service}.` : ""}`;
    part.metadata.href = model.metadata;
    part.question.className = this.live ? "drawn" : "filled";
    part.question.replaceChildren(...this.fields.map((field) => field.element), ...(this.live ? [] : [this.makeButtons()]));
    this.reset();
  }

  makeButtons() {
    const fill = make("button", { type: "button" }, "Fill in examples");
    fill.addEventListener("click", () => {
      for (const field of this.fields) field.fill();
      say("Filled with examples");
    });
    const tools = make("div", { class: "tools" }, make("button", { class: "main" }, "Ask the model"), fill);
    // A field that is left says what is wrong with it, which would move the button away from under the pointer.
    tools.addEventListener("mousedown", (event) => event.preventDefault());
    return tools;
  }

  reset() {
    this.asked = false;
    part.decision.replaceChildren(this.live ? "Nothing drawn yet" : "Nothing asked yet");
    part.remark.textContent = "";
    part.origin.replaceChildren();
    part.answer.classList.remove("stale");
    showTrouble("");
    showBars(part.bars, this.model.classes, this.model.classes.map(() => null), -1);
  }

  onChange() {
    if (talk !== this) return; // the fields are being made
    if (this.live && this.pictures[0].blank()) this.reset();
    else if (this.live || this.asked) this.ask(false);
  }

  /** Read all fields; with `tell`, go to the first that has a problem. */
  read(tell) {
    let first = null;
    const inputs = this.fields.map((field, place) => {
      try {
        return [this.model.columns[place], field.read()];
      } catch (error) {
        if (!(error instanceof Problem)) throw error;
        first ??= field;
        return null;
      }
    });
    if (first && tell) first.focus();
    if (first) return null;
    return inputs.filter(([column, values]) => column.kind !== "moment" || values[0] !== MISSING); // without one it is now
  }

  /** Ask with what the fields hold now. One question is under way at a time; changes meanwhile make one more. */
  async ask(tell) {
    if (this.asking) {
      this.again = true;
      return;
    }
    const inputs = this.read(tell);
    part.answer.classList.toggle("stale", inputs === null && this.asked);
    if (inputs === null) return;
    this.asking = true;
    try {
      this.present(await ask(this.model, inputs));
      if (tell) part.answer.scrollIntoView({ block: "nearest" }); // below the form on a narrow screen
    } catch (error) {
      if (talk === this) showTrouble(error instanceof Problem ? error.message : `The answer cannot be read: ${error.message}`);
    }
    this.asking = false;
    if (this.again) {
      this.again = false;
      this.onChange();
    }
  }

  present(answer) {
    if (talk !== this || (this.live && this.pictures[0].blank())) return; // it came too late
    this.asked = true;
    const { title, share, remark } = describeDecision(answer);
    showTrouble("");
    part.answer.classList.remove("stale");
    part.decision.replaceChildren(title, " ", make("span", { class: "share" }, share));
    part.remark.textContent = remark;
    showBars(part.bars, answer.classes, answer.probabilities, answer.decision);
    showOrigin(part.origin, this.model, answer);
    sayWhenSettled(`${title}, ${share}. ${remark}`);
  }
}

function showTrouble(message) {
  part.trouble.textContent = message;
  part.trouble.hidden = message === "";
  part.answer.classList.toggle("troubled", message !== "");
}

function say(text) {
  part.status.textContent = text;
}

let settling = 0;
function sayWhenSettled(text) {
  clearTimeout(settling);
  settling = setTimeout(() => say(text), SETTLED);
}

/** Show the model that the address names after #, or the first. */
function choose() {
  const wanted = decodeURIComponent(location.hash.slice(1));
  const place = Math.max(0, models.findIndex((model) => model.key === wanted));
  part.chosen.value = String(place);
  talk = null;
  const next = new Talk(models[place]);
  talk = next;
  next.show();
}

part.question.addEventListener("submit", (event) => {
  event.preventDefault();
  talk.ask(true);
});
part.chosen.append(...models.map((model, place) => make("option", { value: place }, model.key)));
part.chooser.hidden = models.length < 2;
part.chosen.addEventListener("change", () => {
  location.hash = encodeURIComponent(models[part.chosen.value].key);
});
addEventListener("hashchange", choose);

function bringPicture(files) {
  const picture = [...files].find((file) => file.type.startsWith("image/")) ?? files[0];
  if (picture && talk.pictures.length) talk.pictures[0].bring(picture);
}
const dragging = (on) => document.body.classList.toggle("dragging", on && talk.pictures.length > 0);
addEventListener("dragover", (event) => {
  event.preventDefault();
  dragging(true);
});
addEventListener("dragleave", (event) => dragging(event.relatedTarget !== null));
addEventListener("drop", (event) => {
  event.preventDefault(); // or the browser would leave the page and open the file
  dragging(false);
  bringPicture(event.dataTransfer.files);
});
addEventListener("paste", (event) => bringPicture(event.clipboardData.files));

choose();
