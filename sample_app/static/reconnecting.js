// A small client for gatewright's plain WebSockets: calls with answers, events, and a connection
// that comes back by itself. No dependencies; copy it.

const FIRST_DELAY = 500; // milliseconds
const LONGEST_DELAY = 20_000;
const PROBE_EVERY = 25_000;
const PROBE_TIMEOUT = 3_000;
const CALL_TIMEOUT = 10_000;

/** Why a call failed: what the server answered, or `lost` and `timeout` when it could not. */
export class CallError extends Error {
  constructor(code, message, details) {
    super(message);
    this.code = code;
    this.details = details;
  }
}

/**
 * `status` is "connecting", "open", "waiting" (then `retryAt` says until when) or "closed".
 * Every change is a "status" event of this object; the server's events are dispatched under
 * "event:" and their name, their data in `detail`.
 */
export class ReconnectingSocket extends EventTarget {
  #url;
  #socket = null;
  #calls = new Map();
  #lastId = 0;
  #failures = 0;
  #retry = 0;
  #probe = 0;

  status = "closed";
  retryAt = 0;
  reason = ""; // why it is closed, if that was the server's wish

  constructor(path) {
    super();
    const url = new URL(path, location.href);
    url.protocol = url.protocol.replace("http", "ws");
    this.#url = url;
    // The moments in which a connection is most likely to be dead, or to become possible again.
    addEventListener("online", () => this.wake());
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) this.wake();
    });
  }

  connect() {
    clearTimeout(this.#retry);
    this.#drop();
    const socket = new WebSocket(this.#url);
    this.#socket = socket;
    this.#become("connecting");
    // A connection attempt into nowhere would otherwise hang for minutes.
    const patience = setTimeout(() => this.#lost(socket), CALL_TIMEOUT);
    socket.onopen = () => {
      clearTimeout(patience);
      this.#failures = 0;
      this.#probe = setInterval(() => this.#check(), PROBE_EVERY);
      this.#become("open");
    };
    socket.onmessage = ({ data }) => this.#receive(JSON.parse(data));
    socket.onclose = ({ code, reason }) => {
      clearTimeout(patience);
      // From 4500 on the server means it: gatewright's protocol asks not to come back.
      if (code >= 4500) this.close(reason || "the server has ended the connection");
      else this.#lost(socket);
    };
  }

  close(reason = "") {
    clearTimeout(this.#retry);
    this.#drop();
    this.reason = reason;
    this.#become("closed");
  }

  /** Try again now if waiting; if open, find out whether that is still true. */
  wake() {
    if (this.status === "waiting") this.connect();
    else if (this.status === "open") this.#check();
  }

  /** Send an event and wait for its answer; rejects with a CallError. */
  call(event, data, timeout = CALL_TIMEOUT) {
    return new Promise((resolve, reject) => {
      if (this.status !== "open") {
        reject(new CallError("lost", "There is no connection."));
        return;
      }
      const id = ++this.#lastId;
      const timer = setTimeout(() => {
        this.#calls.delete(id);
        reject(new CallError("timeout", "The server did not answer."));
        this.#check();
      }, timeout);
      this.#calls.set(id, { resolve, reject, timer });
      this.#socket.send(JSON.stringify({ event, data, id }));
    });
  }

  /** Send an event that may get lost. */
  emit(event, data) {
    if (this.status === "open") this.#socket.send(JSON.stringify({ event, data }));
  }

  on(event, listener) {
    this.addEventListener(`event:${event}`, ({ detail }) => listener(detail));
  }

  #receive(frame) {
    if (frame.event !== undefined) {
      this.dispatchEvent(new CustomEvent(`event:${frame.event}`, { detail: frame.data }));
      return;
    }
    const call = this.#calls.get(frame.id);
    if (!call) return;
    this.#calls.delete(frame.id);
    clearTimeout(call.timer);
    const { error } = frame;
    if (error) call.reject(new CallError(error.code, error.message, error.details));
    else call.resolve(frame.data);
  }

  // A phone that changed networks has a socket that looks open and is not.
  async #check() {
    const socket = this.#socket;
    const silence = setTimeout(() => this.#lost(socket), PROBE_TIMEOUT);
    try {
      await this.call("ping", undefined, PROBE_TIMEOUT * 2);
    } catch {
      // An error is an answer as well; silence is what the timer is for.
    }
    clearTimeout(silence);
  }

  #lost(socket) {
    if (socket !== this.#socket) return;
    this.#drop();
    // Full jitter: a thousand pages whose server restarted do not return in the same moment.
    const longest = Math.min(LONGEST_DELAY, FIRST_DELAY * 2 ** this.#failures++);
    const delay = Math.random() * longest;
    this.retryAt = Date.now() + delay;
    this.#retry = setTimeout(() => this.connect(), delay);
    this.#become("waiting");
  }

  #drop() {
    clearInterval(this.#probe);
    const socket = this.#socket;
    this.#socket = null;
    if (socket) {
      // A dead socket takes minutes to report its end. We do not wait for it.
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.close();
    }
    for (const call of this.#calls.values()) {
      clearTimeout(call.timer);
      call.reject(new CallError("lost", "The connection was lost before the answer came."));
    }
    this.#calls.clear();
  }

  #become(status) {
    this.status = status;
    this.dispatchEvent(new Event("status"));
  }
}
