// Scenarios: what a test has at hand, and how it is run and reported.

import assert from "node:assert/strict";
import { createInterface } from "node:readline";

import { Manager } from "socket.io-client";
import * as msgpackParser from "socket.io-msgpack-parser";
import WebSocket from "ws";

const AT_A_TIME = 6;

const scenarios = new Map();

/** Declare a scenario; its name is the test's. */
export function scenario(name, run) {
  assert(!scenarios.has(name), `two scenarios are named ${name}`);
  scenarios.set(name, run);
}

/** Run the named scenarios and print a line of JSON for each; `Kind` is what each has at hand. */
export async function runAll(names, settings, Kind = Test) {
  const waiting = [...names];
  const run = async () => {
    while (waiting.length > 0) {
      const name = waiting.shift();
      const detail = await runOne(name, settings, Kind);
      console.log(JSON.stringify({ name, ok: detail === "", detail }));
    }
  };
  const runs = settings.alone ? 1 : AT_A_TIME;
  await Promise.all(Array.from({ length: runs }, run));
  answers.close();
}

async function runOne(name, settings, Kind) {
  const test = new Kind(name, settings);
  const late = new Promise((_, reject) => {
    const giveUp = () => reject(new Error(`not done; last: ${test.last}`));
    test.timer = setTimeout(giveUp, settings.patience);
  });
  try {
    await Promise.race([scenarios.get(name)(test), late]);
    return "";
  } catch (error) {
    return String(error?.stack ?? error);
  } finally {
    clearTimeout(test.timer);
    test.close();
  }
}

const answers = createInterface({ input: process.stdin });

/** Have something done to the server, and wait until it is. */
export function ask(what) {
  const done = new Promise((resolve) => answers.once("line", resolve));
  console.log(JSON.stringify({ ask: what }));
  return done;
}

/** The arguments of the next event; a refused connection is an error, unless it is waited for. */
export function once(emitter, event) {
  return new Promise((resolve, reject) => {
    const failed = (error) => reject(new Error(`${event}: ${error.message}`, { cause: error }));
    emitter.once(event, (...args) => {
      emitter.off?.("connect_error", failed);
      resolve(args);
    });
    if (event === "connect") emitter.once("connect_error", failed);
  });
}

/** The arguments of the next `count` events. */
export function times(emitter, event, count) {
  return new Promise((resolve) => {
    const all = [];
    emitter.on(event, function take(...args) {
      all.push(args);
      if (all.length === count) {
        emitter.off(event, take);
        resolve(all);
      }
    });
  });
}

/** One run of a scenario: clients of its own, all of which end with it. */
export class Test {
  constructor(name, settings) {
    this.name = name;
    this.settings = settings;
    this.last = "begun";
    this.managers = [];
    this.plains = [];
  }

  /** A name that no other scenario uses. */
  get room() {
    return `${this.settings.variant}: ${this.name}`;
  }

  manager({ url = this.settings.url, door = this.settings.door, ...options } = {}) {
    const manager = new Manager(url, {
      path: `${door}/socket.io/`,
      reconnectionDelay: 20,
      reconnectionDelayMax: 100,
      ...(this.settings.msgpack ? { parser: msgpackParser } : {}),
      ...this.settings.options,
      ...options,
    });
    this.managers.push(manager);
    return manager;
  }

  /** A socket over an engine of its own, on its way to be connected. */
  socket(namespace = "/", options = {}) {
    const socket = this.manager(options).socket(namespace, options);
    socket.onAny((event) => (this.last = `${namespace} got ${event}`));
    return socket;
  }

  /** The same, connected. */
  async connect(namespace, options) {
    const socket = this.socket(namespace, options);
    await once(socket, "connect");
    this.last = `${namespace ?? "/"} is connected`;
    return socket;
  }

  /** The error of a connection that must be refused. */
  async refused(namespace, options) {
    const [error] = await once(this.socket(namespace, options), "connect_error");
    return error;
  }

  /** A bare WebSocket to the same gateways. */
  async plain(namespace, protocols = []) {
    const url = this.settings.url.replace("http", "ws") + this.settings.door + namespace;
    const socket = new WebSocket(url, protocols);
    this.plains.push(socket);
    await once(socket, "open");
    return new Plain(socket);
  }

  close() {
    for (const manager of this.managers) {
      manager.reconnection(false);
      manager._close();
    }
    for (const socket of this.plains) socket.terminate();
  }
}

class Plain {
  constructor(socket) {
    this.socket = socket;
    this.arrived = [];
    this.waiting = null;
    socket.on("message", (data) => {
      this.arrived.push(JSON.parse(data));
      this.waiting?.();
    });
  }

  send(frame) {
    this.socket.send(JSON.stringify(frame));
  }

  async next() {
    while (this.arrived.length === 0) {
      await new Promise((resolve) => (this.waiting = resolve));
    }
    return this.arrived.shift();
  }
}
