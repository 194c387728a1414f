// The real program, started in an empty folder as a newcomer would, and ended with the check.

import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";

const LAST_LINES = 15;

export const TOKEN = "browser-check-token";

/** Starts `program` on a free port, with more `settings` in its environment; `{ url, folder, stop }` once it listens. */
export async function start(program, settings = {}) {
  const folder = await mkdtemp(join(tmpdir(), "convscope-browser-"));
  const environment = { ...process.env, CONVSCOPE_ADMIN_TOKEN: TOKEN, ...settings };
  const child = spawn(resolve(program), ["--listen", "127.0.0.1:0"], { cwd: folder, env: environment, stdio: ["ignore", "ignore", "pipe"] });
  const ended = new Promise((done) => child.on("exit", done));
  const lines = [];
  const url = await new Promise((found, failed) => {
    createInterface(child.stderr).on("line", (line) => {
      lines.push(line);
      const [, address] = /listening on (http:\/\/\S+)/.exec(line) ?? [];
      if (address) found(address.replace(/\/*$/, "/"));
    });
    ended.then((code) => failed(new Error(`the server ended with ${code} before it listened:\n${lines.join("\n")}`)));
  });
  const stop = async () => {
    child.kill("SIGTERM");
    const code = await ended;
    await rm(folder, { recursive: true, force: true });
    if (code !== 0) throw new Error(`the server ended with ${code}:\n${lines.slice(-LAST_LINES).join("\n")}`);
  };
  return { url, folder, stop };
}
