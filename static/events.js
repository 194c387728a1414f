// Server-sent events over fetch: EventSource cannot send an Authorization header.

import { pause, request } from "./api.js";

const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 15_000;

/**
 * Yields `{ id, event, data }` from `path`. Where the connection breaks it is made again, after the last id seen; where it ends
 * in order, as long as `goesOn()` says so. A refusal of the server is thrown.
 */
export async function* events(path, goesOn, signal) {
  let last = "";
  let wait = FIRST_PAUSE;
  for (;;) {
    try {
      const headers = { accept: "text/event-stream", ...(last && { "last-event-id": last }) };
      const response = await request(path, { admin: true, headers, signal });
      for await (const message of messages(response.body)) {
        last = message.id || last;
        wait = FIRST_PAUSE;
        yield message;
      }
      if (!(await goesOn())) return;
    } catch (error) {
      if (error.name === "AbortError" || error instanceof SyntaxError || error.status) throw error;
    }
    await pause(wait, signal);
    wait = Math.min(wait * 2, LONGEST_PAUSE);
  }
}

async function* messages(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return; // what lacks its closing blank line was cut off, and comes again
    text += value.replaceAll("\r", "");
    const parts = text.split("\n\n");
    text = parts.pop();
    for (const part of parts) {
      const message = parse(part);
      if (message) yield message;
    }
  }
}

function parse(block) {
  const message = { id: "", event: "message", data: null };
  for (const line of block.split("\n")) {
    const [, field, value] = /^(id|event|data): ?(.*)$/.exec(line) ?? [];
    if (field === "data") message.data = (message.data ?? "") + value;
    else if (field) message[field] = value;
  }
  return message.data === null ? null : { ...message, data: JSON.parse(message.data) };
}
