// node main.js SETTINGS: runs scenarios against a server, says in JSON lines how each went.
//
// SETTINGS is an object of JSON: `url`, `variant` (a name), `door` (the path before /socket.io/),
// `options` (of the client), `msgpack`, `alone`, `patience` (milliseconds for one scenario), and the
// `files` and `names` of the scenarios.

import { runAll } from "./harness.js";

const settings = JSON.parse(process.argv[2]);

for (const file of settings.files) await import(`./scenarios/${file}`);
await runAll(settings.names, settings);
process.exit(); // whatever a scenario has left open
