// Asking the server: a problem of RFC 9457 becomes an Error with its words.

let key = sessionStorage.getItem("key");

export const useKey = (secret) => {
  key = secret;
  sessionStorage.setItem("key", secret);
};

const headers = () => (key ? { Authorization: `Bearer ${key}` } : {});

export class Refused extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

async function checked(response) {
  if (response.ok) return response;
  let detail = `the server answered ${response.status}`;
  try {
    detail = (await response.json()).detail ?? detail;
  } catch {
    // no JSON: the status says it
  }
  throw new Refused(response.status, detail);
}

export async function get(path) {
  return (await checked(await fetch(path, { headers: headers() }))).json();
}

export async function post(path, body, signal) {
  const sent = { "Content-Type": "application/json", ...headers() };
  return (await checked(await fetch(path, { method: "POST", headers: sent, body: JSON.stringify(body), signal }))).json();
}

// Server-sent events of a POST, each handed over as (name, value).
export async function events(path, body, signal, take) {
  const sent = { "Content-Type": "application/json", Accept: "text/event-stream", ...headers() };
  const response = await checked(await fetch(path, { method: "POST", headers: sent, body: JSON.stringify(body), signal }));
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    rest += value;
    const blocks = rest.split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const name = /^event: (.*)$/m.exec(block)?.[1];
      const data = /^data: (.*)$/m.exec(block)?.[1];
      if (name && data) take(name, JSON.parse(data));
    }
  }
}
