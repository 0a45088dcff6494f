/** Calls of the server: who answers them, and what was answered. */

import { type Outlet, oversize, WINDOW } from "./calls.js";
import { EventError } from "./errors.js";
import type { ErrorBody } from "./frames.js";
import { guarded } from "./listeners.js";
import type { Off } from "./types.js";

type Handler = (data: unknown) => unknown;
/** The frame of an answer; nothing yet, while the handler runs. */
type Answered = { text?: string };

export class Questions {
  max = Infinity;

  #outlet: Outlet;
  #handlers = new Map<string, Handler>();
  /** Of the last calls: one that is sent again is not run again. */
  #answered = new Map<string | number, Answered>();

  constructor(outlet: Outlet) {
    this.#outlet = outlet;
  }

  /** One handler for each event: the last. */
  handle(event: string, handler: Handler): Off {
    this.#handlers.set(event, handler);
    return () => {
      if (this.#handlers.get(event) === handler) this.#handlers.delete(event);
    };
  }

  /** A new session counts anew. */
  renew(): void {
    this.#answered = new Map();
  }

  ask(event: string, id: string | number, data: unknown): void {
    const known = this.#answered.get(id);
    if (known) {
      if (known.text) this.#outlet.send(known.text);
      return;
    }
    const all = this.#answered;
    const entry: Answered = {};
    all.set(id, entry);
    if (all.size > WINDOW) all.delete(all.keys().next().value!);
    void this.#answer(event, data).then((answer) => {
      const text = JSON.stringify({ id, ...answer });
      const error = oversize(text, this.max);
      entry.text = error ? JSON.stringify({ id, error: body(error) }) : text;
      // In another session nobody waits for it; without a socket it will be asked for again.
      if (all === this.#answered && this.#outlet.ready) this.#outlet.send(entry.text);
    });
  }

  async #answer(event: string, data: unknown): Promise<{ data: unknown } | { error: ErrorBody }> {
    const handler = this.#handlers.get(event);
    if (!handler) return { error: { code: "unknown_event", message: `no handler for '${event}'` } };
    try {
      const answer = (await handler(data)) ?? null;
      JSON.stringify(answer);
      return { data: answer };
    } catch (error) {
      if (error instanceof EventError) return { error: body(error) };
      guarded(() => {
        throw error;
      });
      return { error: { code: "internal", message: "the client's handler failed" } };
    }
  }
}

function body({ code, message, details }: EventError): ErrorBody {
  return { code, message, details };
}
