// Bun's own server, as its documentation has it: an echo, and with `--form room` a room of all connections.
"use strict";

const { parseArgs } = require("node:util");

const { values: options } = parseArgs({
  options: {
    addr: { type: "string", default: "127.0.0.1:0" },
    form: { type: "string", default: "plain" },
  },
});
const echo = {
  message(socket, message) {
    socket.send(message);
  },
};
// A connection that reads too slowly is closed.
const room = {
  backpressureLimit: 64 << 10,
  closeOnBackpressureLimit: true,
  open(socket) {
    socket.subscribe("room");
  },
  message(_socket, message) {
    server.publish("room", message);
  },
};
const forms = new Map([["plain", echo], ["room", room]]);
if (!forms.has(options.form)) {
  console.error(`there is no form \`${options.form}\`; the forms are ${[...forms.keys()].join(", ")}`);
  process.exit(2);
}
const separator = options.addr.lastIndexOf(":");
const server = Bun.serve({
  hostname: options.addr.slice(0, separator),
  port: Number(options.addr.slice(separator + 1)),
  fetch(request, server) {
    if (new URL(request.url).pathname === "/ws" && server.upgrade(request)) return;
    return new Response("This is a WebSocket server, at /ws.", { status: 404 });
  },
  websocket: forms.get(options.form),
});
console.log(`listening on http://${server.hostname}:${server.port}`);
