#!/usr/bin/env node
// A small client for Gradio apps, written from docs/protocol.md alone: Node 22 or later, no packages.
//
//     const client = await Client.connect("http://127.0.0.1:7860/");
//     console.log(await client.predict("/add", [1, 2])); // the result
//     for await (const output of client.submit("/count", [3])) console.log(output); // each yield
// or: node client.mjs URL /endpoint '"an argument as JSON"' …
// It speaks `ws`, `sse` and `sse_v1` to `sse_v3`: Gradio 3.1.5 to 6. R-… are rules of the pages behind that one.

import { realpathSync } from "node:fs";
import { pathToFileURL } from "node:url";

const PATIENCE = 60_000; // ms to wait for an answer, or for a byte on a stream (a heartbeat comes every 15 s)
const NEWS = new Set(["estimation", "process_starts", "progress", "log"]);
const GIVES_UP = new Set(["unexpected_error", "server_stopped"]);
const EARLY = 10_000; // messages that are kept for jobs whose number is not known yet

// ---- What can go wrong ----------------------------------------------------------------------------
export class GradioError extends Error { name = this.constructor.name; }
export class AppError extends GradioError {} // the function failed, and the app says why
export class Cancelled extends GradioError {} // the job was cancelled by us

const LITERAL = /^(['"])((?:\\(?:[\\'"nrt]|x[\da-f]{2}|u[\da-f]{4}|U[\da-f]{8})|(?!\1)[^\\\n])*)\1$/;
const lost = (cause) => new GradioError("The connection was lost before the job ended", { cause });

/** What an app says went wrong, without the oddities of old servers (R-end-3). */
export function errorText(text, server) {
  if (text == null || (text === "None" && !server.atLeast(4, 22))) return "The app hides its error";
  const literal = !server.atLeast(5, 2) && LITERAL.exec(text);
  if (!literal) return text;
  const letters = { n: "\n", r: "\r", t: "\t" };
  return literal[2].replace(/\\(?:x(..)|u(.{4})|U(.{8})|(.))/gs, (_, x, u, U, letter) =>
    letter ? (letters[letter] ?? letter) : String.fromCodePoint(parseInt(x ?? u ?? U, 16)));
}

/** Throw what an answer says that is no success (R-refuse). */
async function refused(response, server) {
  const text = await response.text();
  const { error, detail = text } = parse(text);
  if (error !== undefined) throw new AppError(errorText(error, server));
  const list = [detail].flat().map((each) => each.message ?? each.msg ?? each);
  throw new GradioError(`${response.status}: ${list.join("; ")}`);
}

// ---- Reading what the server sends ----------------------------------------------------------------
function parse(text) {
  try { return JSON.parse(text); } catch { return {}; }
}

/** The messages of an event stream (R-stream-6). `touch` is called whenever something arrives. */
export async function* events(response, touch = () => {}) {
  let rest = "", data = [], afterCR = false;
  for await (const text of response.body.pipeThrough(new TextDecoderStream())) {
    touch();
    rest += afterCR && text.startsWith("\n") ? text.slice(1) : text; // a CR ends a line at once
    afterCR = text.endsWith("\r");
    if (!/[\r\n]/.test(text)) continue; // a long line comes in many pieces: look at it once
    const lines = rest.split(/\r\n|\n|\r/);
    rest = lines.pop();
    for (const line of lines) {
      if (line.startsWith("data:")) data.push(line.slice(5));
      if (line === "" && data.length) yield parse(data.splice(0).join("\n"));
    }
  }
}

const misfit = (path) => { throw new GradioError(`An edit does not fit: ${JSON.stringify(path)}`); };
const isEdit = (edit) => edit?.length === 3 && ["replace", "append", "add", "delete"].includes(edit[0]);
const isEdits = (item) => item?.length && [item].flat().every(isEdit);
const whole = (item) => !isEdits(item) ? item : item[0][1].length ? misfit(item) : applyEdits(null, item); // R-edit-5

/** The value that comes of `value` by these edits (R-edit); `value` itself stays as it is. */
export function applyEdits(value, edits) {
  const root = structuredClone({ value });
  for (const [action, path, item] of edits) {
    const steps = ["value", ...path];
    const last = steps.pop();
    const place = steps.reduce((at, step) => (Object.hasOwn(at, step) ? at[step] : misfit(path)), root);
    const isList = Array.isArray(place); // its length changes at its end only, whatever index the server names
    const fits = isList && action === "delete" ? place.length : action === "add" || Object.hasOwn(place, last);
    if (!fits || last === "__proto__" || !isEdit([action, path, item])) misfit(path);
    if (action === "add") isList ? place.push(item) : (place[last] = item);
    else if (action === "delete") isList ? place.pop() : delete place[last];
    else place[last] = action === "append" ? place[last].concat(item) : item;
  }
  return root.value;
}

// ---- A job: one call of one function --------------------------------------------------------------
export class Job {
  outputs = []; // what it yielded so far; stays empty for functions that only return
  values = []; // the newest values, one for each output
  updates = []; // the messages about its progress
  done = false;
  #end = Promise.withResolvers();
  #stop = new AbortController();
  #wake = Promise.withResolvers();
  #raw = null; // the last yield as the server has it; undefined when we lost track of it
  result = this.#end.promise;
  signal = this.#stop.signal; // aborted when the job is cancelled: whoever runs it tells the server

  constructor(fn, data, session, server) {
    Object.assign(this, { fn, data, server });
    const rest = [...data];
    const all = fn.inputs.map((shown) => (shown ? rest.shift() : null)); // the server knows the hidden ones
    this.body = { data: all, fn_index: fn.id, session_hash: session, event_data: null, trigger_id: null };
    this.result.catch(() => {}); // who only iterates hears of it there
  }
  /** Give up. False if there is nothing left to give up. */
  cancel(reason = new Cancelled("The job was cancelled")) {
    if (this.done) return false;
    this.fail(reason);
    this.#stop.abort();
    return true;
  }
  /** Each yield; of a function that does not yield, its result. Fails when the job fails. */
  async *[Symbol.asyncIterator]() {
    for (let at = 0; at < this.outputs.length || !this.done; ) {
      if (at < this.outputs.length) yield this.outputs[at++];
      else await this.#wake.promise;
    }
    const result = await this.result;
    if (!this.outputs.length) yield result;
  }
  /** Take a message (R-message). After the last one, all are ignored. */
  receive(message) {
    const { msg, output } = message;
    if (this.done) return;
    if (msg === "process_generating" || msg === "process_streaming") this.#yield(output?.data, msg);
    else if (msg === "queue_full") this.fail(new GradioError("The queue is full"));
    else if (GIVES_UP.has(msg)) this.fail(new GradioError(message.message ?? msg));
    else if (NEWS.has(msg)) this.updates.push(message);
    else if (msg !== "process_completed") return;
    else if (!message.success) this.fail(new AppError(errorText(output?.error, this.server)));
    else if (!output?.data) this.fail(new GradioError("The server stopped the job"));
    else this.#end.resolve(this.#shown(output.data));
    this.done ||= msg === "process_completed";
    this.#wake.resolve();
    this.#wake = Promise.withResolvers();
  }

  fail(error) {
    if (!this.done) this.#end.reject(error);
    this.done = true;
    this.#wake.resolve();
  }

  #yield(data, msg) {
    if (this.#raw === undefined) return;
    try {
      const edits = this.server.edits && msg === "process_generating";
      const next = (item, at) => (this.#raw ? applyEdits(this.#raw[at], item) : whole(item));
      this.#raw = edits ? data.map(next) : data;
      this.outputs.push(this.#shown(this.#raw));
    } catch {
      this.#raw = undefined; // the result will be whole again
    }
  }

  #shown(data) {
    this.values = data.filter((_, at) => this.fn.outputs[at] ?? true);
    return this.values.length === 1 ? this.values[0] : this.values;
  }
}

// ---- The ways to run a job: hand it the server's messages, tell the server if it is cancelled -----
/** Past the queue (R-plain): a POST gets the result; before 4.0, the next yield of a generator. */
async function plain(client, job) {
  for (let last; ; ) {
    const output = await client.post("api/predict", job.body, job.signal);
    const over = !output.is_generating || client.atLeast(4, 0);
    if (over) return job.receive({ msg: "process_completed", success: true, output: last ?? output });
    job.receive({ msg: "process_generating", output: (last = output) }); // the answer after it has no data
  }
}

/** 3.x (R-ws): a WebSocket for each job. To cancel, close it. */
async function ws(client, job) {
  const { fn_index, session_hash } = job.body;
  const socket = new WebSocket(client.base.replace(/^http/, "ws") + "queue/join", { headers: client.headers });
  const say = (what) => socket.send(JSON.stringify(what));
  job.signal.addEventListener("abort", () => socket.close());
  socket.onopen = () => client.atLeast(3, 2) || say({ hash: session_hash });
  socket.onmessage = ({ data }) => {
    const message = parse(data);
    if (message.msg === "send_hash") say({ fn_index, session_hash });
    else if (message.msg === "send_data") say(job.body);
    else job.receive(message);
    if (job.done) socket.close();
  };
  socket.onclose = ({ code }) => job.fail(code === 1000 ? new GradioError("The server stopped the job") : lost());
}

/** 4.0 to 4.8 (R-sse): an event stream for each job; the data is sent when asked for. */
async function sse(client, job) {
  const { fn_index, session_hash } = job.body;
  let event_id;
  const cut = new AbortController(); // a job that waits has no number yet: without its stream it never starts
  const stop = () => (event_id ? client.post("reset", { event_id }).catch(() => {}) : cut.abort());
  job.signal.addEventListener("abort", stop);
  const stream = await client.open(`queue/join?fn_index=${fn_index}&session_hash=${session_hash}`, cut.signal);
  for await (const message of events(stream)) {
    event_id ??= message.event_id;
    if (message.msg !== "send_data") job.receive(message);
    else client.post("queue/data", { ...job.body, event_id }).catch((error) => job.fail(error));
  }
  job.fail(lost());
}

/** 4.9 and later (R-stream): one event stream carries all jobs of a session. */
class Session {
  #jobs = new Map(); // by event_id
  #joining = 0; // joins that are not answered yet
  #early = []; // messages of jobs that these may be about
  #listening = false;

  run = async (client, job) => {
    this.#joining++;
    const { event_id: id } = await client.post("queue/join", job.body).finally(() => this.#joining--);
    const stop = () => this.#stop(client, job, id);
    if (job.done) return stop();
    job.signal.addEventListener("abort", stop);
    this.#jobs.set(id, job);
    const early = Object.groupBy(this.#early, ({ event_id }) => (event_id === id ? "own" : "others"));
    this.#early = (this.#joining && early.others) || [];
    for (const message of early.own ?? []) this.#dispatch(message);
    if (this.#jobs.size && !this.#listening) this.#listen(client, job.body.session_hash); // never two at once
  };

  async #listen(client, session) {
    this.#listening = true;
    for (const job of this.#jobs.values()) job.due = true; // joined before this stream
    const silence = new AbortController();
    const watch = setTimeout(() => silence.abort(), PATIENCE);
    const read = async () => { // to the end: `close_stream` only says that it is near
      const stream = await client.open(`queue/data?session_hash=${session}`, silence.signal);
      for await (const message of events(stream, () => watch.refresh())) this.#dispatch(message);
    };
    const why = await read().catch((error) => error).finally(() => clearTimeout(watch));
    this.#listening = false;
    for (const [id, job] of this.#jobs) {
      if (job.heard || job.again) job.fail(lost(why));
      if (job.done) this.#jobs.delete(id);
      job.again = true; // it joined at the last moment, and deserves another stream, once
    }
    if (this.#jobs.size) this.#listen(client, session);
  }

  #dispatch(message) {
    const { msg, event_id: id } = message;
    const job = this.#jobs.get(id);
    if (job) {
      job.heard = true;
      job.receive(message);
    } else if (id) {
      if (this.#joining && this.#early.length < EARLY) this.#early.push(message);
    } else for (const each of this.#jobs.values()) {
      if (msg === "heartbeat" && each.due && !each.heard) each.fail(lost()); // the server has forgotten it (R-end-6)
      else if (GIVES_UP.has(msg)) each.receive(message);
    }
    for (const [id, { done }] of this.#jobs) if (done) this.#jobs.delete(id);
  }

  // `cancel` stops every running job of the function in this session: ask only if it is alone (R-cancel-1).
  #stop(client, job, event_id) {
    this.#jobs.delete(event_id);
    const alone = ![...client.jobs].some((other) => !other.done && other.fn === job.fn);
    if (!client.atLeast(4, 31)) client.post("reset", { event_id }).catch(() => {});
    else if (alone) client.post("cancel", { ...job.body, data: [], event_id }).catch(() => {});
  }
}

// ---- The client -----------------------------------------------------------------------------------
const randomHash = () => Math.random().toString(36).slice(2, 12);
// Components that callers do not see, on servers that do not say so by `skip_api`.
const SILENT = /^(state|variable|row|column|tabs|tab|tabitem|box|form|accordion|group|interpretation|dataset)$/;

export class Client {
  jobs = new Set();
  #session = randomHash();
  #queue = new Session();
  #busy = new Set(); // 3.x: functions whose iterator in the shared session is in use
  #closed = new AbortController();
  /** Read the config of the app at `url` (R-config). */
  static async connect(url) {
    const src = String(url).replace(/\/*([?#].*)?$/, "/");
    const response = await fetch(src + "config", { signal: AbortSignal.timeout(PATIENCE) });
    const config = parse(await response.text());
    if (response.status === 401 || config.auth_required) throw new GradioError("The app wants a login");
    if (!config.dependencies) throw new GradioError(`No Gradio app at ${src} (${response.status})`);
    return new Client(src, config, response.headers.getSetCookie());
  }

  constructor(src, config, cookies) {
    this.version = config.version.trim();
    this.protocol = config.protocol ?? (this.atLeast(3, 1, 5) ? "ws" : "push");
    if (this.protocol === "push") throw new GradioError(`Gradio ${this.version} is too old`);
    this.edits = !["ws", "sse", "sse_v1"].includes(this.protocol);
    this.base = src + (config.api_prefix ?? "").replace(/^\/*(.*?)\/*$/, (_, prefix) => prefix && prefix + "/");
    this.headers = cookies.length ? { cookie: cookies.map((cookie) => cookie.split(";")[0]).join("; ") } : {};
    this.functions = readFunctions(config, this.atLeast(4, 0));
  }

  atLeast(...release) { // is the server of this release, or a later one?
    const own = this.version.split(/\D+/).map(Number);
    const at = release.findIndex((part, at) => part !== own[at]);
    return at < 0 || own[at] > release[at];
  }

  predict(name, data, options) {
    return this.submit(name, data, options).result;
  }
  /** Start a call. `timeout`: milliseconds after which to give up. */
  submit(name, data = [], { timeout } = {}) {
    const fn = this.functions.get(name.replace(/^\//, ""));
    if (!fn) throw new GradioError(`No function ${name}; there are: ${[...this.functions.keys()].join(", ")}`);
    if (!fn.backend) throw new GradioError(`${name} runs in the browser only`);
    const wanted = fn.inputs.filter(Boolean).length;
    if (data.length !== wanted) throw new GradioError(`${name} takes ${wanted} arguments`);
    const job = new Job(fn, data, this.#sessionFor(fn), this);
    const queued = fn.queued || (fn.generator && this.atLeast(4, 0));
    const run = queued ? ({ ws, sse }[this.protocol] ?? this.#queue.run) : plain;
    this.jobs.add(job);
    job.result.then(() => this.#over(job), (error) => this.#over(job, error));
    if (timeout) AbortSignal.timeout(timeout).onabort = () => job.cancel(new GradioError("Too late"));
    run(this, job).catch((error) => job.fail(error));
    return job;
  }

  close() { // all jobs, and the connections
    for (const job of this.jobs) job.cancel();
    this.#closed.abort();
  }

  // Up to 3.50 the generators of one function in one session share one iterator (R-ws-10).
  #sessionFor(fn) {
    if (this.atLeast(4, 0) || fn.generator === false) return this.#session;
    if (this.#busy.has(fn)) return randomHash();
    this.#busy.add(fn);
    return this.#session;
  }

  #over(job, error) {
    this.jobs.delete(job);
    if (!error) job.fn.generator ??= job.outputs.length > 0; // old servers do not tell: learn it
    const failed = error instanceof AppError && (job.fn.queued || !job.outputs.length); // R-plain-5
    const ended = !error || failed; // otherwise its iterator may live on
    if (ended && job.body.session_hash === this.#session) this.#busy.delete(job.fn);
  }

  async post(path, body, signal = AbortSignal.timeout(PATIENCE)) {
    const headers = { ...this.headers, "Content-Type": "application/json" };
    const response = await fetch(this.base + path, { method: "POST", headers, body: JSON.stringify(body), signal });
    return response.ok ? response.json() : refused(response, this);
  }

  async open(path, also = this.#closed.signal) {
    const headers = { ...this.headers, Accept: "text/event-stream" };
    const signal = AbortSignal.any([also, this.#closed.signal]);
    const response = await fetch(this.base + path, { headers, signal });
    return response.ok ? response : refused(response, this);
  }
}

/** The functions of a config by name (R-config), and for each of their slots whether callers see it. */
function readFunctions({ dependencies, components, enable_queue }, current) {
  const hidden = new Set(components.filter((c) => c.skip_api ?? SILENT.test(c.type)).map((c) => c.id));
  const functions = dependencies.map((dependency, position) => ({
    name: dependency.api_name,
    id: dependency.id ?? position,
    backend: dependency.backend_fn ?? true,
    inputs: dependency.inputs.map((component) => !hidden.has(component)),
    outputs: dependency.outputs.map((component) => !hidden.has(component)),
    queued: dependency.queue ?? enable_queue ?? current,
    generator: dependency.types?.generator, // undefined: it may be one
  }));
  return new Map(functions.filter((fn) => fn.name).reverse().map((fn) => [fn.name, fn])); // the first of a name
}

// ---- The command line -----------------------------------------------------------------------------
async function main([url, name, ...args]) {
  if (!name) throw new GradioError("usage: client.mjs URL /endpoint [JSON]...");
  const client = await Client.connect(url);
  try {
    const job = client.submit(name, args.map((arg) => JSON.parse(arg)));
    for await (const output of job) console.log(JSON.stringify(output));
    if (job.outputs.length) console.log(JSON.stringify(await job.result));
  } finally {
    client.close();
  }
}

if (process.argv[1] && import.meta.url === pathToFileURL(realpathSync(process.argv[1])).href) {
  await main(process.argv.slice(2)).catch((error) => {
    console.error(`${error.name}: ${error.message}`);
    process.exitCode = 1;
  });
}
