// Node's `ws`, as its documentation has it. It is found through NODE_PATH.
"use strict";

const { WebSocketServer } = require("ws");

const [flag, addr = "127.0.0.1:0"] = process.argv.slice(2);
if (flag !== undefined && flag !== "--addr") {
  console.error(`\`${flag}\` is unknown; the option is --addr IP:PORT`);
  process.exit(2);
}
const separator = addr.lastIndexOf(":");
const server = new WebSocketServer({
  host: addr.slice(0, separator),
  port: Number(addr.slice(separator + 1)),
  path: "/ws",
});
server.on("listening", () => {
  const { address, port } = server.address();
  console.log(`listening on http://${address}:${port}`);
});
server.on("connection", (socket) => {
  socket.on("error", (error) => console.error(error.message));
  socket.on("message", (data, isBinary) => socket.send(data, { binary: isBinary }));
});
