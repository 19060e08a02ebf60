"""The page of an app: what it is, and a form for each endpoint to try it in a browser.

Rule 1: it stands alone. No framework, nothing from elsewhere, no text that is run as code.

Rule 2: old clients find the config in it: ``window.gradio_config = ...;`` in a script of its own.
"""

from __future__ import annotations

from html import escape
from typing import Any, Final

from sansio_gradio.protocol.features import Feature, Version, has
from sansio_gradio.server.app import App, Function
from sansio_gradio.server.values import plain
from sansio_gradio.server.versions import covers
from sansio_gradio.wire import json

__all__ = ["STYLE", "page"]

STYLE: Final = """
:root { color-scheme: light dark; --line: #8886; --accent: #c2500f; }
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 46rem; padding: 1rem; }
h1 { font-size: 1.6rem; margin: 0.5rem 0 0; overflow-wrap: anywhere; }
h2 { font: 600 1.05rem ui-monospace, monospace; margin: 0; overflow-wrap: anywhere; }
.about { color: GrayText; margin: 0 0 1rem; }
section, form.login { border: 1px solid var(--line); border-radius: 8px; margin: 1rem 0;
  padding: 1rem; }
label { display: block; margin: 0.75rem 0; }
label > span { display: block; font-size: 0.9rem; }
input, select, textarea { font: inherit; max-width: 100%; padding: 0.4rem 0.5rem; width: 100%; }
input[type="checkbox"] { width: auto; }
textarea { min-height: 2.6rem; resize: vertical; }
button { background: var(--accent); border: 0; border-radius: 6px; color: #fff; font: inherit;
  padding: 0.5rem 1.2rem; }
button:disabled { opacity: 0.5; }
button:focus-visible, input:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
output { display: block; margin-top: 0.75rem; }
pre { background: #8881; border-radius: 6px; margin: 0.5rem 0 0; max-height: 24rem; overflow: auto;
  padding: 0.6rem; white-space: pre-wrap; overflow-wrap: anywhere; }
.error { color: #c22; }
"""

_SCRIPT: Final = """
const app = JSON.parse(document.getElementById("app").textContent);
const session = Math.random().toString(36).slice(2);

function element(kind, parent, properties = {}) {
  const made = Object.assign(document.createElement(kind), properties);
  parent.append(made);
  return made;
}

function field(parameter, parent) {
  const label = element("label", parent);
  element("span", label, { textContent: parameter.name });
  const given = parameter.default;
  if (parameter.kind === "checkbox") {
    const box = element("input", label, { type: "checkbox", checked: Boolean(given) });
    return () => box.checked;
  }
  if (parameter.kind === "number") {
    const box = element("input", label, { type: "number", step: "any", value: given ?? "" });
    return () => (box.value === "" ? null : Number(box.value));
  }
  if (parameter.choices) {
    const list = element("select", label);
    for (const choice of parameter.choices) {
      element("option", list, { textContent: choice, selected: choice === given });
    }
    return () => list.value;
  }
  const isText = parameter.kind === "textbox";
  const value = isText ? (given ?? "") : JSON.stringify(given ?? null);
  const box = element("textarea", label, { value, rows: 1 });
  return () => (isText ? box.value : JSON.parse(box.value));
}

async function post(path, said) {
  const answer = await fetch(path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(said),
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${answer.status} ${text.slice(0, 500)}`);
  return JSON.parse(text);
}

async function* events(path) {
  const reader = (await fetch(path)).body.pipeThrough(new TextDecoderStream()).getReader();
  let waiting = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    waiting += value;
    const parts = waiting.split("\\n\\n");
    waiting = parts.pop();
    for (const part of parts) {
      const [, name, data] = part.match(/^event: (.*)\\ndata: (.*)$/);
      yield [name, JSON.parse(data)];
    }
  }
}

async function run(endpoint, data, show) {
  if (!app.call) {
    for (;;) {
      const said = await post(`${app.plain}/${endpoint.name}`, { data, session_hash: session });
      if (!endpoint.steps || said.is_generating) show(said.data);
      if (!endpoint.steps || !said.is_generating) return;
    }
  }
  const { event_id } = await post(`${app.call}/${endpoint.name}`, { data });
  for await (const [name, said] of events(`${app.call}/${endpoint.name}/${event_id}`)) {
    if (name === "error") throw new Error(said?.error ?? said ?? "It failed, without a reason.");
    if (name !== "heartbeat") show(said);
  }
}

function form(endpoint) {
  const section = element("section", document.querySelector("main"));
  element("h2", section, { textContent: `/${endpoint.name}` });
  if (endpoint.description) element("p", section, { textContent: endpoint.description });
  const fields = element("form", section);
  const values = endpoint.parameters.map((parameter) =>
    parameter.kind === "state" ? () => null : field(parameter, fields),
  );
  const button = element("button", fields, { textContent: "Run" });
  const output = element("output", section);
  fields.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    output.replaceChildren();
    try {
      await run(endpoint, values.map((value) => value()), (data) => {
        output.replaceChildren();
        endpoint.returns.forEach((name, place) => {
          if (name === null) return;
          const value = data[place];
          const textContent = typeof value === "string" ? value : JSON.stringify(value, null, 1);
          element("pre", output, { textContent, title: name });
        });
      });
    } catch (error) {
      output.replaceChildren();
      element("pre", output, { className: "error", textContent: error.message });
    }
    button.disabled = false;
  });
}

function login() {
  const fields = element("form", document.querySelector("main"), { className: "login" });
  if (app.message) element("p", fields, { textContent: app.message });
  for (const [name, type] of [["username", "text"], ["password", "password"]]) {
    const label = element("label", fields);
    element("span", label, { textContent: name });
    element("input", label, { name, type, required: true, autocomplete: name });
  }
  element("button", fields, { textContent: "Log in" });
  const output = element("output", fields);
  fields.addEventListener("submit", async (event) => {
    event.preventDefault();
    const body = new URLSearchParams(new FormData(fields));
    const answer = await fetch("login", { method: "POST", body });
    if (answer.ok) location.reload();
    else output.textContent = "This name or password is wrong.";
  });
}

if (app.login) login();
else app.endpoints.forEach(form);
"""


def page(app: App, config: dict[str, Any], *, wants_login: bool) -> str:
    """The page. *config*: that of the app, or what it has instead for those who must log in."""
    prefix = app.api_prefix.lstrip("/")
    below = f"{prefix}/" if prefix else ""
    told = {
        "login": wants_login,
        "message": app.auth_message,
        "call": f"{below}call" if has(app.version, Feature.CALL) else None,
        "plain": f"{below}{'run' if covers('>=3.9', app.version) else 'api'}",
        "endpoints": [
            _told_of(function, app.version)
            for function in app.functions
            if not (wants_login or function.cancels or function.streaming)
        ],
    }
    title = escape(app.title)
    about = f"Speaks as Gradio {app.version_text.strip()}. Its clients use its API."
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<title>{title}</title>\n<link rel="icon" href="data:,">\n<style>{STYLE}</style>\n'
        f"<script>window.gradio_config = {_embedded(config)};</script>\n</head>\n"
        f'<body>\n<main>\n<h1>{title}</h1>\n<p class="about">{about}</p>\n</main>\n'
        f'<script type="application/json" id="app">{_embedded(told)}</script>\n'
        f"<script>{_SCRIPT}</script>\n</body>\n</html>\n"
    )


def _told_of(function: Function, version: Version) -> dict[str, Any]:
    return {
        "name": function.api_name,
        "description": function.description,
        "steps": function.generator and has(version, Feature.STEPS),  # one with each call
        "parameters": [
            {
                "name": slot.name,
                "kind": slot.component.kind,
                "default": plain(slot.default) if slot.has_default else None,
                "choices": slot.component.schema.get("enum"),
            }
            for slot in function.parameters
        ],
        "returns": [None if slot.is_state else slot.name for slot in function.returns],
    }


def _embedded(value: Any) -> str:
    """JSON in a script of a page: no text in it ends the script."""
    return json.dumps(value).decode().replace("<", "\\u003c")
