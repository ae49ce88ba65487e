// Bun's own server, as its documentation has it: an echo.
"use strict";

const { parseArgs } = require("node:util");

const { values: options } = parseArgs({
  options: {
    addr: { type: "string", default: "127.0.0.1:0" },
  },
});
const separator = options.addr.lastIndexOf(":");
const server = Bun.serve({
  hostname: options.addr.slice(0, separator),
  port: Number(options.addr.slice(separator + 1)),
  fetch(request, server) {
    if (new URL(request.url).pathname === "/ws" && server.upgrade(request)) return;
    return new Response("This is a WebSocket server, at /ws.", { status: 404 });
  },
  websocket: {
    message(socket, message) {
      socket.send(message);
    },
  },
});
console.log(`listening on http://${server.hostname}:${server.port}`);
