/** A real gatewright, and a way to it that can be cut. */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { type AddressInfo, createServer, connect as dial, type Server, type Socket } from "node:net";
import { fileURLToPath } from "node:url";

import { onTestFinished } from "vitest";

const ROOT = fileURLToPath(new URL("../../../..", import.meta.url));
const PYTHON = process.env.GATEWRIGHT_PYTHON ?? `${ROOT}/.venv/bin/python`;

/** uvicorn with tests/client_js/server.py, in a process of its own. */
export class Gatewright {
  port = 0;
  #env: Record<string, string>;
  #process: ChildProcess | undefined;
  #said = "";

  constructor(env: Record<string, string> = {}) {
    this.#env = env;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Start it, at the same address as before. */
  async start(): Promise<this> {
    const args = ["-m", "uvicorn", "tests.client_js.server:app", "--port", `${this.port}`];
    const env = { ...process.env, ...this.#env };
    const child = spawn(PYTHON, args, { cwd: ROOT, env, stdio: ["ignore", "pipe", "pipe"] });
    this.#process = child;
    this.port = await new Promise((resolve, reject) => {
      const listen = (chunk: Buffer) => {
        this.#said += chunk;
        const found = /http:\/\/127\.0\.0\.1:(\d+)/.exec(this.#said);
        if (found) resolve(Number(found[1]));
      };
      child.stdout.on("data", listen);
      child.stderr.on("data", listen);
      child.on("exit", () => reject(new Error(`the server ended:\n${this.#said}`)));
    });
    this.#said = "";
    return this;
  }

  /** End it without a chance to say goodbye. */
  async kill(): Promise<void> {
    const child = this.#process;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    child.kill("SIGKILL");
    await once(child, "exit");
  }

  /** Ask it to end, and wait until it has. */
  async terminate(): Promise<void> {
    this.#process!.kill("SIGTERM");
    await once(this.#process!, "exit");
  }
}

/** A way to a server: connections through it can be cut, or get stuck. */
export class Tunnel {
  #server: Server;
  #pairs = new Set<[Socket, Socket]>();
  #stuck = false;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async dig(to: number): Promise<Tunnel> {
    const server = createServer({ pauseOnConnect: true });
    const tunnel = new Tunnel(server);
    server.on("connection", (here) => tunnel.#enter(here, to));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    onTestFinished(() => {
      tunnel.cut();
      server.close();
    });
    return tunnel;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  get open(): number {
    return this.#pairs.size;
  }

  /** End what is open, for both sides to see. */
  cut(): void {
    for (const [here, there] of this.#pairs) {
      here.resetAndDestroy();
      there.resetAndDestroy();
    }
    this.#pairs.clear();
  }

  /** Open to both sides, and nothing passes; new connections neither. */
  block(): void {
    this.#stuck = true;
    for (const [here, there] of this.#pairs) {
      here.pause();
      there.pause();
    }
  }

  /** Let new connections through. What was stuck stays lost. */
  clear(): void {
    this.#stuck = false;
    this.cut();
  }

  #enter(here: Socket, to: number): void {
    const there = dial(to, "127.0.0.1");
    const pair: [Socket, Socket] = [here, there];
    this.#pairs.add(pair);
    const end = () => {
      // Where nothing passes, no goodbye does.
      if (this.#stuck) return;
      this.#pairs.delete(pair);
      here.destroy();
      there.destroy();
    };
    for (const [one, other] of [pair, [there, here] as const]) {
      one.on("data", (data) => other.write(data));
      one.on("error", end);
      one.on("close", end);
    }
    if (!this.#stuck) here.resume();
  }
}
