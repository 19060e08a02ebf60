// Scenarios for examples/client.mjs: node client_scenarios.mjs URL, silent if all is well.

import assert from "node:assert/strict";
import { AppError, Cancelled, Client, GradioError, applyEdits } from "../../examples/client.mjs";

async function outputs(job) {
  const found = [];
  for await (const output of job) found.push(output);
  return found;
}

const client = await Client.connect(process.argv[2]);

// Results
assert.equal(await client.predict("/echo", ["häßlich 漢字 \u{1F600}"]), "häßlich 漢字 \u{1F600}");
assert.deepEqual(await client.predict("pair", ["a", "b"]), ["b", "a"]);
assert.equal(await client.predict("/plain", ["p"]), "p");
assert.equal(await client.predict("/sum", [1]), 1);
assert.equal(await client.predict("/sum", [2]), 3);

// Outputs, and what is said on the way
assert.deepEqual(await outputs(client.submit("/chat", ["abc"])), ["a", "ab", "abc"]);
const work = client.submit("/work", [3]);
assert.equal(await work.result, "done");
const kinds = new Set(work.updates.map((update) => update.msg));
for (const kind of ["estimation", "process_starts", "progress", "log"]) assert(kinds.has(kind), kind);

// Errors
await assert.rejects(client.predict("/boom", ["no"]), (error) => error instanceof AppError && error.message === "no");
const half = client.submit("/half", ["x"]);
await assert.rejects(outputs(half), AppError);
assert.deepEqual(half.values, ["ab"]);
assert.throws(() => client.submit("/nowhere", []), GradioError);
assert.throws(() => client.submit("/echo", []), GradioError);

// Many at once: none lost, none swapped
const many = [...Array(100).keys()].map((n) => client.submit(n % 2 ? "/echo" : "/chat", [`job ${n}`]));
assert.deepEqual(await Promise.all(many.map((job) => job.result)), many.map((job) => job.data[0]));

// Giving up
const endless = client.submit("/endless", [process.argv[3]]);
await assert.rejects(async () => {
  for await (const count of endless) if (count === 2) assert(endless.cancel());
}, Cancelled);
assert.equal(endless.cancel(), false);
assert.equal(await client.predict("/echo", ["still here"]), "still here");

// Edits: the length of a list changes at its end only
const value = { a: [1, [2, 3], 4], t: "he" };
const edits = [["delete", ["a", 1, -1], null], ["add", ["a", 0], 5], ["append", ["t"], "y"], ["delete", ["t"], null]];
assert.deepEqual(applyEdits(value, edits), { a: [1, [2], 4, 5] });
assert.deepEqual(value, { a: [1, [2, 3], 4], t: "he" });
assert.equal(applyEdits(1, [["replace", [], 2]]), 2);

client.close();
