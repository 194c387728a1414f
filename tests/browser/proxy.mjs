// A proxy as people put before the server: under a path of its own, and with connections that can break.

import { createServer, request } from "node:http";

export const PREFIX = "/lab/";

/** Passes on to `target` what comes under the prefix; `cut` breaks every connection there is, as a network does. */
export async function proxy(target) {
  const to = new URL(target);
  const server = createServer((asked, answer) => {
    if (!asked.url.startsWith(PREFIX)) return answer.writeHead(404).end();
    const path = `/${asked.url.slice(PREFIX.length)}`;
    const passed = request({ host: to.hostname, port: to.port, path, method: asked.method, headers: asked.headers }, (response) => {
      answer.writeHead(response.statusCode, response.headers);
      response.pipe(answer);
    });
    passed.on("error", () => answer.destroy());
    answer.on("close", () => passed.destroy());
    asked.pipe(passed);
  });
  const sockets = new Set();
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });
  await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
  const cut = () => sockets.forEach((socket) => socket.destroy());
  const stop = async () => {
    const closed = new Promise((done) => server.close(done));
    cut();
    await closed;
  };
  return { url: `http://127.0.0.1:${server.address().port}${PREFIX}`, cut, stop };
}
