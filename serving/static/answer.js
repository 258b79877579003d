// Answer: ask the server, and show what it said.

const PATIENCE = 15_000; // milliseconds
const MOST_BARS = 12; // with more classes than these, only the most likely are shown

const percent = new Intl.NumberFormat(undefined, { style: "percent", minimumFractionDigits: 1, maximumFractionDigits: 1 });

/** Ask the model for one row; `inputs` are [column, JSON texts]. Gives what there is to show, or throws a Problem. */
async function ask(model, inputs) {
  const tensors = inputs.map(([column, values]) => {
    const { name, datatype } = column;
    return `${JSON.stringify({ name, datatype, shape: [1, ...column.shape] }).slice(0, -1)},"data":[${values.join(",")}]}`;
  });
  const started = performance.now();
  const response = await send(model.infer, `{"inputs":[${tensors.join(",")}]}`);
  const said = await response.json().catch(() => ({}));
  const milliseconds = performance.now() - started;
  if (!response.ok) throw new Problem(explain(response, said));
  const outputs = new Map(said.outputs.map((output) => [output.name, output.data]));
  return {
    classes: JSON.parse(said.parameters?.classes ?? "null") ?? model.classes,
    probabilities: outputs.get("probabilities"),
    decision: outputs.get("label")[0],
    bundle: said.parameters?.bundle ?? "",
    fallback: said.parameters?.fallback ?? "",
    features: said.parameters?.features ?? "",
    views: JSON.parse(said.parameters?.feature_views ?? "{}"),
    version: said.model_version,
    id: said.id,
    milliseconds,
  };
}

async function send(address, body) {
  const headers = { "content-type": "application/json" };
  try {
    return await fetch(address, { method: "POST", headers, body, signal: AbortSignal.timeout(PATIENCE) });
  } catch (error) {
    const late = error.name === "TimeoutError";
    throw new Problem(late ? `No answer within ${PATIENCE / 1000} seconds: try again` : "The server cannot be reached: is it running?");
  }
}

function explain(response, said) {
  const pause = response.headers.get("retry-after");
  const again = pause ? ` Try again in ${pause} s.` : "";
  return `${said.error ?? `The server answered ${response.status}.`}${again}`;
}

/** The places of the classes that get a bar: all in their own order, or the most likely first if there are many. */
function placesOf(probabilities) {
  const all = probabilities.map((_, place) => place);
  if (all.length <= MOST_BARS) return all;
  return all.sort((a, b) => probabilities[b] - probabilities[a]).slice(0, MOST_BARS);
}

function showBars(list, classes, probabilities, decision) {
  const places = placesOf(probabilities);
  while (list.children.length > places.length) list.lastChild.remove();
  while (list.children.length < places.length) {
    const track = make("span", { class: "track", "aria-hidden": "true" }, make("span", { class: "bar" }));
    list.append(make("li", {}, make("span", { class: "class" }), track, make("span", { class: "share" })));
  }
  places.forEach((place, row) => {
    const item = list.children[row];
    const [name, track, share] = item.children;
    name.textContent = classes[place];
    name.title = classes[place];
    share.textContent = probabilities[place] === null ? "" : percent.format(probabilities[place]);
    track.firstChild.style.setProperty("--share", probabilities[place] ?? 0);
    item.classList.toggle("decided", place === decision);
  });
}

function showOrigin(list, model, answer) {
  const facts = [
    ["Bundle", answer.bundle.slice(0, 12), answer.bundle],
    ["Round trip", `${answer.milliseconds < 10 ? answer.milliseconds.toFixed(1) : Math.round(answer.milliseconds)} ms`],
    ["Prediction", answer.id.slice(0, 8), answer.id],
  ];
  if (model.service) facts.push(["Features", answer.features || "fresh", `${model.service}: ${describeViews(answer) || "all fresh"}`]);
  if (answer.bundle !== model.bundle) facts.push(["Changed", "a newer bundle answers than when this page was loaded"]);
  list.replaceChildren(
    ...facts.map(([term, text, whole]) => make("div", {}, make("dt", {}, term), make("dd", { title: whole ?? false }, text))),
  );
}

/** Say which feature views are not fresh: "weather expired, aircraft unknown". */
function describeViews(answer) {
  return Object.entries(answer.views).map(([view, rows]) => `${view} ${Object.keys(rows).join(" and ")}`).join(", ");
}

/** Say the decision in words: the class, its share, and why it may not be the most likely one. */
function describeDecision(answer) {
  const { classes, probabilities, decision } = answer;
  const likeliest = probabilities.indexOf(Math.max(...probabilities));
  const remarks = [];
  if (likeliest !== decision) {
    remarks.push(`${classes[likeliest]} is likelier (${percent.format(probabilities[likeliest])}), but an error there costs more.`);
  }
  if (answer.fallback) remarks.push(`The model did not answer; this is the fallback: ${answer.fallback}.`);
  if (answer.features === "degraded") remarks.push(`The online store did not answer in time: ${describeViews(answer)}.`);
  if (answer.features === "defaults") remarks.push(`The online store knows too little: ${describeViews(answer)}.`);
  return { title: classes[decision], share: percent.format(probabilities[decision]), remark: remarks.join(" ") };
}
