// What @gradio/client sees of a server: `node drive.mjs URL SCENARIO...`, in a folder where one
// release of it is installed, from 0.10 on. One JSON line for each scenario.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [url, ...scenarios] = process.argv.slice(2);
const require = createRequire(`${process.cwd()}/package.json`);
if (!globalThis.WebSocket) globalThis.WebSocket = require("ws").WebSocket;
const library = await import(
  pathToFileURL(`${process.cwd()}/node_modules/@gradio/client/dist/index.js`),
);
const WAIT = 40_000; // milliseconds for one scenario
const isOld = !library.Client?.connect;

// The oldest release takes every result of a File component for a file of Gradio 4.
const OLD = { normalise_files: false };
const connect = (options = {}) =>
  isOld
    ? library.client(url, { ...OLD, ...options })
    : library.Client.connect(url, { events: ["data", "status", "log"], ...options });

// The oldest release knows no login. In a browser its requests carry the cookie of one; here we add it.
async function connectWithCookie(username, password) {
  const body = new URLSearchParams({ username, password });
  const answer = await fetch(`${url}/login`, { method: "POST", body, redirect: "manual" });
  const cookie = answer.headers.getSetCookie().map((one) => one.split(";")[0]).join("; ");
  const fetchWithCookie = (target, options = {}) =>
    fetch(target, { ...options, headers: { ...options.headers, cookie } });
  const app = await library.api_factory(fetchWithCookie).client(url, OLD);
  const { WebSocket } = require("ws");
  globalThis.WebSocket = class extends WebSocket {
    constructor(target) {
      super(target, { headers: { cookie } });
    }
  };
  return app;
}

// A file as an argument: the oldest release uploads it as one of Gradio 4, so it is told to upload
// and gets the value that Gradio 3 wants.
async function given(content) {
  const blob = new Blob([content], { type: "text/plain" });
  if (!isOld) return blob;
  const { files } = await library.upload_files(url, [blob]);
  return { name: files[0], data: null, is_file: true, orig_name: "note.txt" };
}

async function failure(promise) {
  try {
    await promise;
  } catch (error) {
    return said(error);
  }
  return "no error";
}

async function predict(app, endpoint, data) {
  return (await app.predict(endpoint, data)).data;
}

// All that a job says, up to its end.
function follow(app, endpoint, data, meanwhile = () => {}) {
  return new Promise((resolve, reject) => {
    const seen = { data: [], log: [], progress: [], error: null };
    const take = (event) => {
      if (event.type === "data" && event.data) seen.data.push(event.data); // of a log: none
      if (event.type === "log") seen.log.push([event.log, event.level]);
      for (const unit of event.progress_data ?? []) seen.progress.push([unit.desc, unit.length]);
      meanwhile(event, job);
      if (event.type === "status" && event.stage === "error") seen.error = event.message ?? "error";
      if (event.type === "status" && ["complete", "error"].includes(event.stage)) resolve(seen);
    };
    const job = app.submit(endpoint, data);
    if (job.on) for (const kind of ["data", "status", "log"]) job.on(kind, take);
    else
      (async () => {
        for await (const event of job) take(event);
        resolve(seen);
      })().catch(reject);
  });
}

const facts = {
  async connect() {
    return Boolean((await connect()).config);
  },
  async view_api() {
    const api = await (await connect()).view_api();
    const seen = {};
    for (const name of ["echo", "greet", "divide", "remember", "count", "upper_file"]) {
      const { parameters, returns } = api.named_endpoints[`/${name}`];
      seen[name] = [parameters, returns].map((side) =>
        side.map((part) => [part.component, part.type]),
      );
    }
    return seen;
  },
  async echo() {
    const app = await connect();
    const texts = ["x", "", 'naïve 日本 \n\t"'];
    return Promise.all(texts.map((text) => predict(app, "/echo", [text])));
  },
  async a_megabyte() {
    const text = "ü".repeat(500_000);
    return (await predict(await connect(), "/echo", [text]))[0] === text;
  },
  async several_results() {
    return predict(await connect(), "/divide", [17, 5]);
  },
  async defaults() {
    return predict(await connect(), "/greet", { name: "Ann" });
  },
  async growing_texts() {
    return (await follow(await connect(), "/count", [50])).data;
  },
  async shrinking_lists() {
    return (await follow(await connect(), "/shrink", ["z"])).data.at(-1);
  },
  async progress() {
    const { progress, data } = await follow(await connect(), "/progress", [4, 5]);
    return [[...new Set(progress.map(String))].sort(), data.at(-1)];
  },
  async logs() {
    const { log, data } = await follow(await connect(), "/log", ["x"]);
    return [log, data];
  },
  async an_error_of_the_app() {
    return (await follow(await connect(), "/fail", ["x"])).error;
  },
  async a_hidden_error() {
    return (await follow(await connect(), "/fail_hidden", ["x"])).error;
  },
  async an_error_midway() {
    const { data, error } = await follow(await connect(), "/fail_midway", ["x"]);
    return [data.length, error];
  },
  async cancel() {
    const app = await connect();
    const job = app.submit("/slow", [100]);
    await new Promise((resolve) => setTimeout(resolve, 1500));
    await job.cancel();
    let running = 1;
    for (let round = 0; round < 50 && running; round++) {
      await new Promise((resolve) => setTimeout(resolve, 200));
      [running] = await predict(app, "/slow_running", []);
    }
    return running;
  },
  async state() {
    const app = await connect();
    const seen = [];
    const slots = isOld ? [null] : []; // the oldest release does not add those of State
    for (const text of "ab") seen.push((await predict(app, "/remember", [text, ...slots]))[0]);
    seen.push((await predict(await connect(), "/remember", ["c", ...slots]))[0]);
    return seen;
  },
  async un_queued() {
    return predict(await connect(), "/echo_unqueued", ["x"]);
  },
  async files() {
    const app = await connect();
    const [file] = await predict(app, "/upper_file", [await given("hello")]);
    const where = file.url ?? `${url}/file=${file.name}`;
    return [await (await fetch(where)).text(), Object.keys(file).sort()];
  },
  async twenty_jobs() {
    const app = await connect();
    const jobs = Array.from({ length: 20 }, (_, n) => predict(app, "/shout", [`${n}a`, 0.5]));
    return Promise.all(jobs);
  },
  async login() {
    const auth = ["user", "secret"];
    const app = await (isOld ? connectWithCookie(...auth) : connect({ auth }));
    return [await predict(app, "/echo", ["x"]), await predict(app, "/echo_unqueued", ["x"])];
  },
  async a_wrong_login() {
    return failure(connect({ auth: ["user", "wrong"] }));
  },
  async no_login() {
    return failure(connect());
  },
  async queue_full() {
    const app = await connect();
    const jobs = Array.from({ length: 6 }, (_, n) => follow(app, "/shout", [`${n}`, 1]));
    const errors = (await Promise.all(jobs)).map((job) => job.error);
    return errors.filter(Boolean).length > 0;
  },
};

const said = (error) =>
  String(error?.message ?? error?.detail ?? error?.stage ?? JSON.stringify(error))
    .replaceAll(url, "URL")
    .slice(0, 150);

for (const scenario of scenarios) {
  const late = new Promise((resolve) =>
    setTimeout(() => resolve({ error: "it never ended" }), WAIT).unref(),
  );
  const done = facts[scenario]().then(
    (saw) => ({ saw }),
    (error) => ({ error: said(error) }),
  );
  console.log("@@" + JSON.stringify({ scenario, ...(await Promise.race([done, late])) }));
}
process.exit(0); // streams may be open
