// Node's `ws`, as its documentation has it: an echo server, or one that hands each message on to all (`--form broadcast`).
// It is found through NODE_PATH.
"use strict";

const { parseArgs } = require("node:util");
const { WebSocket, WebSocketServer } = require("ws");

const { values: options } = parseArgs({
  options: {
    addr: { type: "string", default: "127.0.0.1:0" },
    form: { type: "string", default: "echo" },
    compression: { type: "string" },
  },
});
if (!["echo", "broadcast"].includes(options.form)) {
  console.error(`there is no form \`${options.form}\`; the forms are echo, broadcast`);
  process.exit(2);
}
// Each message by itself, and as short as it may be: the same work as that of the others.
const perMessageDeflate = options.compression !== undefined && {
  zlibDeflateOptions: { level: Number(options.compression) },
  serverNoContextTakeover: true,
  clientNoContextTakeover: true,
  threshold: 0,
};
const separator = options.addr.lastIndexOf(":");
const server = new WebSocketServer({
  host: options.addr.slice(0, separator),
  port: Number(options.addr.slice(separator + 1)),
  path: "/ws",
  perMessageDeflate,
});
server.on("listening", () => {
  const { address, port } = server.address();
  console.log(`listening on http://${address}:${port}`);
});
server.on("connection", (socket) => {
  socket.on("error", (error) => console.error(error.message));
  socket.on("message", (data, isBinary) => {
    if (options.form === "echo") {
      socket.send(data, { binary: isBinary });
      return;
    }
    for (const client of server.clients) {
      if (client.readyState === WebSocket.OPEN) client.send(data, { binary: isBinary });
    }
  });
});
