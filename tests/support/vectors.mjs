// docs/vectors on examples/client.mjs: node vectors.mjs, silent if all is well.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { AppError, Cancelled, GradioError, Job, applyEdits, errorText, events } from "../../examples/client.mjs";

const read = (name) => JSON.parse(readFileSync(new URL(`../../docs/vectors/${name}.json`, import.meta.url), "utf8"));
const whole = (values) => (values.length === 1 ? values[0] : values);

/** As much of a client as a job asks: the release of its server. */
function server(version) {
  const own = version.split(".").map(Number);
  const atLeast = (...release) => {
    const at = release.findIndex((part, at) => part !== own[at]);
    return at < 0 || own[at] > release[at];
  };
  return { atLeast, edits: atLeast(4, 17), version };
}

const job = (version) => new Job({ inputs: [], outputs: [] }, [], "s", server(version));

async function* stream(text, cuts = []) {
  const bytes = new TextEncoder().encode(text);
  const ends = [...cuts.filter((cut) => cut < bytes.length), bytes.length];
  const parts = ends.map((end, at) => bytes.slice(at ? ends[at - 1] : 0, end));
  yield* events(new Response(new ReadableStream({
    start(controller) {
      for (const part of parts) controller.enqueue(part);
      controller.close();
    },
  })));
}

for (const { name, before, edits, fits = true, after } of read("edits")) {
  const copy = structuredClone(before);
  if (fits) assert.deepEqual(applyEdits(before, edits), after, name);
  else assert.throws(() => applyEdits(before, edits), name);
  assert.deepEqual(before, copy, name);
}

for (const { version, output, text } of read("error_texts")) {
  assert.equal(errorText(output.error, server(version)), text ?? "The app hides its error", JSON.stringify(output));
}

for (const { name, text, cuts, messages } of read("streams")) {
  assert.deepEqual(await Array.fromAsync(stream(text, cuts)), messages, name);
}

for (const { name, version, yields, values, result } of read("yields")) {
  const it = job(version);
  for (const data of yields) it.receive({ msg: "process_generating", output: { data }, success: true });
  it.receive({ msg: "process_completed", output: { data: result }, success: true });
  assert.deepEqual(it.outputs, values.map(whole), name);
  assert.deepEqual(await it.result, whole(result), name);
}

const ENDS = { failed: AppError, cancelled: GradioError, queue_full: GradioError };

for (const { name, version, jobs, texts, stream: text } of read("recordings")) {
  const known = new Map(jobs.map(({ event_id }) => [event_id, job(version)]));
  const messages = texts ? texts.map((each) => ({ event_id: null, ...JSON.parse(each) })) : await Array.fromAsync(stream(text));
  for (const message of messages) known.get(message.event_id)?.receive(message);
  for (const { event_id, yields, result, end } of jobs) {
    const it = known.get(event_id);
    if (texts && !it.done) it.fail(new Cancelled("Close 1000")); // as `ws` says of that end
    assert.deepEqual(it.outputs, yields.map(whole), name);
    if (end === "completed") assert.deepEqual(await it.result, whole(result), name);
    else await assert.rejects(it.result, ENDS[end], name);
  }
}
