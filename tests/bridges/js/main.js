// node main.js SETTINGS: scenarios of servers in one cluster; see tests/interop/js/main.js.
//
// Besides what is there SETTINGS has `redis`, its address, and `specific`: whether Node's servers
// answer each other on channels of their own.

import { runAll } from "../../interop/js/harness.js";
import { Cluster } from "./cluster.js";

const settings = JSON.parse(process.argv[2]);

const scenarios = await Cluster.start(settings);
for (const file of settings.files) await import(`./scenarios/${file}`);
await runAll(settings.names, settings, scenarios);
process.exit(); // whatever a scenario has left open
