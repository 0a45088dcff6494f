/** An identity that expires, and is renewed in time. */

import type { Outlet } from "./calls.js";
import { EventError } from "./errors.js";

/** How long before the identity expires one asks for a new one, in milliseconds, at most. */
const AHEAD = 60_000;
/** `setTimeout` takes no more, and would fire at once. */
export const LONGEST = 2 ** 31 - 1;

export class Identity {
  #auth: (() => unknown) | undefined;
  #outlet: Outlet;
  #tell: (error: EventError) => void;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** One for each socket. */
  #round = 0;

  constructor(
    auth: (() => unknown) | undefined,
    outlet: Outlet,
    tell: (error: EventError) => void,
  ) {
    this.#auth = auth;
    this.#outlet = outlet;
    this.#tell = tell;
  }

  /** The socket is lost: the next one begins with a new identity. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#round++;
  }

  /** Ask for a new identity well before this one has expired, at a time of one's own. */
  expire(seconds: number | null | undefined): void {
    clearTimeout(this.#timer);
    if (seconds == null) return;
    const left = seconds * 1000;
    const ahead = Math.min(AHEAD, left / 2) * (1 - Math.random() / 2);
    this.#timer = setTimeout(() => void this.#renew(ahead), Math.min(left - ahead, LONGEST));
  }

  async #renew(ahead: number): Promise<void> {
    const round = this.#round;
    if (!this.#auth) return;
    // Without an answer, or with a bad one, it is tried again while there is time.
    if (ahead > 1000) this.expire(ahead / 1000);
    try {
      const text = JSON.stringify({ op: "auth", auth: await this.#auth() });
      if (this.#round === round) this.#outlet.send(text);
    } catch (error) {
      this.#tell(new EventError("unauthenticated", String(error)));
    }
  }
}
