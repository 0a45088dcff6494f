/** A call, an event or the connection failed; programs go by `code`, people by `message`. */
export class EventError extends Error {
  /**
   * `code` is one of the application's own, of the protocol's, or of this client's: `timeout`,
   * `too_many` (the queue is full), `too_large`, `closed` (it was never sent). Thrown by a handler
   * of `handle` it is the answer.
   */
  constructor(
    readonly code: string,
    message?: string,
    readonly details?: unknown,
    /** The event that failed, where one is known. */
    readonly event?: string,
  ) {
    super(message || code);
    this.name = "EventError";
  }
}
