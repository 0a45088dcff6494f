import type { Off } from "./types.js";

type Listener<T> = (value: T) => void;

/** Those who want to hear of one thing. */
export class Listeners<T> {
  #all = new Set<{ listener: Listener<T> }>();

  /** The same function may be added twice, and is then called twice. */
  add(listener: Listener<T>): Off {
    const entry = { listener };
    this.#all.add(entry);
    return () => void this.#all.delete(entry);
  }

  /** Tell all; returns whether there was anybody. What a listener throws is its own affair. */
  fire(value: T): boolean {
    const all = [...this.#all];
    for (const entry of all) {
      // One that was taken away by a listener before it shall not be called any more.
      if (this.#all.has(entry)) guarded(() => entry.listener(value));
    }
    return all.length > 0;
  }
}

/** Run somebody else's code: what it throws is reported as uncaught, and hurts nobody here. */
export function guarded(code: () => void): void {
  try {
    code();
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}
