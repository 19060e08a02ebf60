// A Gradio client in JavaScript, made from docs/protocol.md: apps from 3.6 to 3.50 (WebSockets) and
// from 4.9 on (event streams). Numbers in comments are the page's sections. Node 22 or a browser.
//
//   node client.mjs http://127.0.0.1:7860 /count 5        prints each output as a line of JSON
//
//   const client = await Client.connect("http://127.0.0.1:7860");
//   for await (const output of client.submit("/count", [5])) ...
//   const result = await client.predict("/add", [1, 2]);

const SILENCE = 60_000; // ms without a heartbeat (10.2)
const OLD_SKIPPED = new Set(
  "state variable row column tabs tab tabitem box form accordion group interpretation dataset".split(" "),
); // 2.4

export class GradioError extends Error {}
export class AppError extends GradioError {} // the function said no
export class Cancelled extends GradioError {}

export class Client {
  static async connect(src) {
    const page = src.replace(/\/*$/, "/");
    const response = await fetch(page + "config");
    let config;
    if (response.ok) {
      config = await response.json();
    } else if (response.status === 401) {
      throw new GradioError("the app wants a login");
    } else {
      const found = (await (await fetch(page)).text()).match(/window\.gradio_config = (.*?);<\/script>/s); // 2.1
      if (!found) throw new GradioError(`no Gradio app: HTTP ${response.status}`);
      config = JSON.parse(found[1]);
    }
    if (config.auth_required) throw new GradioError("the app wants a login");
    return new Client(page, config);
  }

  constructor(page, config) {
    this.version = (config.version ?? "").trim();
    this.protocol = config.protocol ?? "ws"; // 2.2
    if (this.protocol === "sse") throw new GradioError("Gradio 4.0 to 4.8 is not spoken here");
    const prefix = (config.api_prefix ?? "").replace(/^\/|\/$/g, "");
    this.base = prefix ? `${page}${prefix}/` : page; // 2.3
    this.heartbeat = config.connect_heartbeat ?? false;
    this.sessionHash = newHash();
    const skipped = new Map(
      config.components.map((part) => [part.id, part.skip_api ?? OLD_SKIPPED.has(part.type)]),
    );
    this.functions = config.dependencies.map((dependency, place) => ({
      index: dependency.id ?? place,
      name: typeof dependency.api_name === "string" ? dependency.api_name : null,
      inputs: dependency.inputs.map((id) => skipped.get(id) ?? false),
      outputs: dependency.outputs.map((id) => skipped.get(id) ?? false),
      queued: dependency.queue ?? config.enable_queue ?? false,
      callable: dependency.backend_fn !== false && dependency.api_visibility !== "private",
      generator: dependency.types?.generator ?? true, // not told: it may be one
    }));
    this.jobs = new Map(); // event_id -> job (5.5)
    this.early = new Map(); // event_id -> messages that came before the answer to the join (10.1)
    this.joining = 0;
    this.stream = null;
    this.running = new Set(); // jobs on WebSockets
    this.abandoned = new Set(); // functions that may still run in our session (5.3)
  }

  find(name) {
    const wanted = name.replace(/^\//, "");
    const found = this.functions.find((fn) => fn.name === wanted && fn.callable);
    if (!found) throw new GradioError(`the app has no function ${name}`);
    return found;
  }

  /** Call a function; wait for its result: one value, or an array of several. */
  async predict(name, args = []) {
    return this.submit(name, args).result;
  }

  /** Begin to call a function: iterate over its outputs, or await its `result`. */
  submit(name, args = []) {
    const fn = this.find(name);
    const wanted = fn.inputs.filter((skip) => !skip).length;
    if (args.length !== wanted) throw new GradioError(`${name} takes ${wanted} arguments`);
    const given = args[Symbol.iterator]();
    const data = fn.inputs.map((skip) => (skip ? null : given.next().value)); // 3
    const job = new Job(this, fn, data);
    const way = !fn.queued && !(fn.generator && this.protocol !== "ws") ? "past the queue" : this.protocol;
    const begin = { "past the queue": postOnce, ws: openSocket }[way] ?? join;
    begin(this, job).catch((error) => job.fail(error));
    return job;
  }

  async post(route, body) {
    return fetch(this.base + route, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
  }

  close() {
    for (const job of [...this.jobs.values(), ...this.running]) job.cancel();
    this.stream?.abort();
    this.alive?.abort();
  }
}

class Job {
  constructor(client, fn, data) {
    Object.assign(this, { client, fn, data, over: false, heard: false, reopened: false });
    this.sessionHash = client.sessionHash;
    this.updates = []; // what is not an output: queue position, progress, logs
    this.values = null; // of the outputs, as they are now
    this.waiting = []; // outputs that nobody has taken
    this.result = new Promise((resolve, reject) => Object.assign(this, { resolve, reject }));
    this.result.catch(() => {}); // whoever iterates is told, too
  }

  get body() {
    const { data, fn, sessionHash } = this;
    return { data, fn_index: fn.index, session_hash: sessionHash, event_data: null, trigger_id: null };
  }

  /** A message of the server for this job (4, 8.1). */
  receive(message) {
    if (this.over) return;
    this.heard = true;
    const output = message.output;
    switch (message.msg) {
      case "process_generating":
        this.apply(output.data);
        this.waiting.push(shaped(this.fn, this.values));
        this.wake?.();
        break;
      case "process_completed":
        if (message.success !== false && Array.isArray(output?.data)) this.complete(output.data);
        else if (output && "error" in output) this.fail(new AppError(text(output.error)));
        else this.fail(new Cancelled("the server stopped the job"));
        break;
      case "queue_full":
        this.fail(new AppError("the queue is full"));
        break;
      case "unexpected_error":
      case "server_stopped":
        this.fail(new GradioError(message.message ?? "the server stopped"));
        break;
      default:
        this.updates.push(message);
    }
  }

  apply(data) {
    const whole = ["ws", "sse_v1"].includes(this.client.protocol); // 6
    const edited = !whole && this.values !== null;
    this.values = edited ? data.map((edits, place) => applyEdits(this.values[place], edits)) : data;
  }

  complete(data) {
    this.finish();
    this.resolve(shaped(this.fn, data));
  }

  fail(error) {
    if (this.over) return;
    this.error = error;
    this.finish();
    this.reject(error);
  }

  finish() {
    this.over = true;
    this.client.jobs.delete(this.eventId);
    this.client.running.delete(this);
    this.socket?.close();
    this.wake?.();
  }

  /** Give it up, and have the server stop it where that stops nothing else (9). */
  cancel() {
    if (this.over) return false;
    const { client, fn, eventId } = this;
    const siblings = [...client.jobs.values()].filter((job) => job !== this && job.fn === fn);
    this.fail(new Cancelled("cancelled"));
    if (this.socket) client.abandoned.add(fn.index);
    else if (eventId && !siblings.length) {
      const body = { session_hash: this.sessionHash, fn_index: fn.index, event_id: eventId };
      client.post("cancel", body).catch(() => {});
    }
    return true;
  }

  async *[Symbol.asyncIterator]() {
    for (;;) {
      while (this.waiting.length) yield this.waiting.shift();
      if (this.over) break;
      await new Promise((wake) => (this.wake = wake));
    }
    await this.result; // raises what went wrong
  }
}

// 5.5, 5.6: a POST for each job, one stream for all of them.

async function join(client, job) {
  client.joining += 1;
  let answer;
  try {
    const response = await client.post("queue/join", job.body);
    if (!response.ok) throw await refusal(response);
    answer = await response.json();
  } finally {
    client.joining -= 1;
  }
  const id = answer.event_id;
  if (job.over) {
    await client.post("cancel", { session_hash: job.sessionHash, fn_index: job.fn.index, event_id: id });
    return;
  }
  job.eventId = id;
  client.jobs.set(id, job);
  for (const message of client.early.get(id) ?? []) job.receive(message);
  client.early.delete(id);
  if (!client.joining) client.early.clear();
  if (!job.over) listen(client);
  if (client.heartbeat && !client.alive) beat(client);
}

async function listen(client) {
  if (client.stream) return; // never two at once (10.1)
  const stream = (client.stream = new AbortController());
  for (const job of client.jobs.values()) job.heard = false;
  let silence;
  const watch = () => {
    clearTimeout(silence);
    silence = setTimeout(() => stream.abort(new GradioError("the stream fell silent")), SILENCE);
    silence.unref?.();
  };
  let error = new GradioError("the stream ended before the job did");
  try {
    watch();
    const target = `queue/data?session_hash=${encodeURIComponent(client.sessionHash)}`;
    const headers = { accept: "text/event-stream" };
    const response = await fetch(client.base + target, { headers, signal: stream.signal });
    if (!response.ok) throw await refusal(response);
    for await (const data of events(response.body)) {
      watch();
      route(client, JSON.parse(data));
    }
  } catch (caught) {
    error = caught; // also an unclean end: what was said before it counts (7.1)
  }
  clearTimeout(silence);
  client.stream = null;
  for (const job of [...client.jobs.values()]) {
    if (job.heard || job.reopened) job.fail(error); // 10.2
    else job.reopened = true;
  }
  if (client.jobs.size) listen(client);
}

function route(client, message) {
  const id = message.event_id;
  if (client.jobs.has(id)) client.jobs.get(id).receive(message);
  else if (id && client.joining) client.early.set(id, [...(client.early.get(id) ?? []), message]);
  else if (!id && message.msg === "unexpected_error") {
    const unknown = message.session_not_found || message.message?.startsWith("404"); // 8.2
    for (const job of [...client.jobs.values()]) if (job.heard || !unknown) job.receive(message);
  }
}

async function beat(client) {
  client.alive = new AbortController(); // 10.3
  try {
    const url = `${client.base}heartbeat/${client.sessionHash}`;
    const response = await fetch(url, { signal: client.alive.signal });
    for await (const _ of response.body);
  } catch {} // no job depends on it
  client.alive = null;
}

// 5.3: a WebSocket for each job.

async function openSocket(client, job) {
  const { fn } = job;
  const busy = [...client.running].some((other) => other.fn === fn);
  if (fn.generator && (busy || client.abandoned.has(fn.index))) job.sessionHash = newHash();
  client.running.add(job);
  const socket = (job.socket = new WebSocket(client.base.replace(/^http/, "ws") + "queue/join"));
  socket.onmessage = ({ data }) => {
    const message = JSON.parse(data);
    if (message.msg === "send_hash") {
      socket.send(JSON.stringify({ fn_index: fn.index, session_hash: job.sessionHash }));
    } else if (message.msg === "send_data") {
      socket.send(JSON.stringify(job.body));
    } else {
      job.receive(message);
    }
  };
  socket.onerror = () => job.fail(new GradioError("the WebSocket failed"));
  socket.onclose = () => job.fail(new GradioError("the server closed the job's WebSocket"));
}

// 11: past the queue, generators of 3.x step by step.

async function postOnce(client, job) {
  let last = null;
  for (;;) {
    const response = await client.post("api/predict", job.body);
    if (!response.ok) throw await refusal(response);
    const output = await response.json();
    if (job.over) return;
    if (!output.is_generating || client.protocol !== "ws") {
      return job.complete(last ?? output.data);
    }
    last = output.data;
    job.receive({ msg: "process_generating", output });
  }
}

// 6: what changed since the yield before.

export function applyEdits(value, edits) {
  const root = { value: structuredClone(value) };
  for (const [action, path, item] of edits) {
    const steps = ["value", ...path];
    const last = steps.pop();
    const place = steps.reduce((inner, step) => inner[step], root);
    if (action === "append") place[last] += item;
    else if (action === "replace" || !Array.isArray(place)) {
      if (action === "delete") delete place[last];
      else place[last] = item;
    } else if (action === "add") place.push(item); // whatever the index says
    else place.pop();
  }
  return root.value;
}

// 7.1: the data of each event.

async function* events(body) {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of body) {
    text += decoder.decode(chunk, { stream: true }).replaceAll("\r\n", "\n");
    const parts = text.split("\n\n");
    text = parts.pop();
    for (const part of parts) {
      const lines = part.split("\n").filter((line) => line.startsWith("data:"));
      if (lines.length) yield lines.map((line) => line.slice(5).replace(/^ /, "")).join("\n");
    }
  }
}

// 8: what went wrong.

async function refusal(response) {
  const said = await response.text();
  let answer = null;
  try {
    answer = JSON.parse(said);
  } catch {} // not everything is JSON
  if (answer && "error" in answer) return new AppError(text(answer.error));
  if (response.status === 503) return new AppError(answer?.detail ?? "the queue is full");
  const invalid = Array.isArray(answer?.detail) ? answer.detail.filter((one) => one.is_valid === false) : [];
  if (invalid.length) return new AppError(invalid.map((one) => one.message).join("; "));
  return new GradioError(`HTTP ${response.status}: ${said.slice(0, 200)}`);
}

function text(error) {
  if (error === null || error === "None") return "the app does not show what went wrong";
  const quoted = /^'([^'\\]*)'$|^"([^"\\]*)"$/.exec(error); // the repr of 3.x and 4.x (8.1)
  return quoted ? (quoted[1] ?? quoted[2]) : String(error);
}

function shaped(fn, values) {
  const visible = values.filter((_, place) => !fn.outputs[place]);
  return visible.length === 1 ? visible[0] : visible;
}

function newHash() {
  return Math.random().toString(36).slice(2);
}

if (globalThis.process?.argv[1] && import.meta.url.endsWith(process.argv[1].split("/").pop())) {
  const [, , src, name, ...args] = process.argv;
  const client = await Client.connect(src);
  const job = client.submit(name, args.map((arg) => JSON.parse(arg)));
  try {
    for await (const output of job) console.log(JSON.stringify(output));
    console.log(JSON.stringify(await job.result));
  } catch (error) {
    console.error(`${error.constructor.name}: ${error.message}`);
    process.exitCode = 1;
  }
  client.close();
}
