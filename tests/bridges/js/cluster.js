// A cluster: two servers of Node and ours, clients of all of them, and an emitter that is no server.

import { createServer } from "node:http";

import { createAdapter } from "@socket.io/redis-adapter";
import { Emitter } from "@socket.io/redis-emitter";
import { createClient } from "redis";
import { Server } from "socket.io";

import { Test, once } from "../../interop/js/harness.js";

/** As many servers answer for a namespace: two of Node and ours. */
const SERVERS = 3;

async function client(url) {
  const made = createClient({ url });
  made.on("error", () => {});
  await made.connect();
  return made;
}

/** A server with the gateway of tests/bridges/gateways.py, as one would write it in Node. */
async function serve(settings) {
  const io = new Server();
  const [pub, sub] = await Promise.all([client(settings.redis), client(settings.redis)]);
  const options = { publishOnSpecificResponseChannel: settings.specific, requestsTimeout: 2000 };
  io.adapter(createAdapter(pub, sub, options));
  const connected = (socket) => {
    socket.data = { name: socket.handshake.auth.user, age: 36 };
    socket.on("join", (room, ack) => {
      socket.join(room);
      ack(socket.id);
    });
    socket.on("rooms", (ack) => ack([...socket.rooms]));
  };
  io.of("/chat").on("connection", connected);
  io.of(/^\/lab\//).on("connection", connected);
  const http = createServer();
  io.attach(http);
  await new Promise((resolve) => http.listen(0, "127.0.0.1", resolve));
  io.url = `http://127.0.0.1:${http.address().port}`;
  return io;
}

/** What a scenario has at hand. */
export class Cluster extends Test {
  static async start(settings) {
    Cluster.servers = [await serve(settings), await serve(settings)];
    Cluster.emitter = new Emitter(await client(settings.redis));
    const chat = Cluster.servers[0].of("/chat");
    while ((await chat.adapter.serverCount()) < SERVERS) await pause();
    return Cluster;
  }

  get emitter() {
    return Cluster.emitter;
  }

  /** A namespace at Node's first server. */
  node(namespace = "/chat") {
    return Cluster.servers[0].of(namespace);
  }

  otherNode(namespace = "/chat") {
    return Cluster.servers[1].of(namespace);
  }

  /** A namespace that no other scenario uses. */
  get lab() {
    return `/lab/${this.room.replace(/[^a-z]+/g, "-")}`;
  }

  /** A client of ours, or of Node's; in the scenario's room, and listening. */
  async here(user, { namespace = "/chat", room = this.room, ...options } = {}) {
    return this.person(namespace, room, { auth: { user }, ...options });
  }

  async there(user, { namespace = "/chat", room = this.room, server = 0, ...options } = {}) {
    const { url } = Cluster.servers[server];
    return this.person(namespace, room, { auth: { user }, url, door: "", ...options });
  }

  async person(namespace, room, options) {
    const socket = this.socket(namespace, options);
    socket.heard = [];
    socket.onAny((event, ...args) => {
      if (typeof args.at(-1) === "function") return;
      socket.heard.push([event, ...args]);
      socket.waiting?.();
    });
    await once(socket, "connect");
    await socket.emitWithAck("join", room);
    return socket;
  }

  /** One of each kind. */
  async everybody(namespace = "/chat", room = this.room) {
    return [
      await this.here("ada", { namespace, room }),
      await this.there("bob", { namespace, room }),
      await this.there("eve", { namespace, room, server: 1 }),
    ];
  }

  /** All servers hear of a namespace that begins with its first client. */
  async joined(namespace) {
    while ((await this.node(namespace).adapter.serverCount()) < SERVERS) await pause();
  }
}

export function pause() {
  return new Promise((resolve) => setTimeout(resolve, 5));
}

/** Wait until all have heard so many events, and return what. */
export async function heard(count, ...sockets) {
  for (const socket of sockets) {
    while (socket.heard.length < count) {
      await new Promise((resolve) => (socket.waiting = resolve));
    }
  }
  return sockets.map((socket) => socket.heard);
}
