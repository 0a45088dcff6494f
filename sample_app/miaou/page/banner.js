// The truth about the connection, in one line.

import { $ } from "./dom.js";

const PATIENCE = 600; // milliseconds of connecting that nobody needs to hear of
const BACK_FOR = 3_000;

export class Banner {
  #wasLost = false;
  #retryAt = 0;
  #tick = 0;
  #later = 0;

  constructor(chat, state) {
    this.chat = chat;
    this.state = state;
    chat.addEventListener("status", ({ detail }) => this.#status(detail));
    chat.addEventListener("entered", () => this.#back());
    chat.addEventListener("refused", () => this.#refused());
    chat.addEventListener("returned", () => this.#back());
    state.addEventListener("change", () => this.#changed());
  }

  #status({ status, reason, retryAt }) {
    clearInterval(this.#tick);
    clearTimeout(this.#later);
    this.#retryAt = retryAt ?? 0;
    if (status === "closed") {
      if (reason && reason !== "closed by the client") this.#closed(reason);
      else this.#hide();
    } else if (status === "open") {
      if (!this.#wasLost) this.#hide();
    } else if (retryAt) {
      this.#wasLost = true;
      this.#count();
      this.#tick = setInterval(() => this.#count(), 250);
    } else if (this.#wasLost) {
      this.#show("connecting", `Connecting…${this.#waiting()}`);
    } else {
      this.#later = setTimeout(() => this.#show("connecting", "Connecting…"), PATIENCE);
    }
  }

  /** There is a connection; what is missing is a name, and the door says so. */
  #refused() {
    clearTimeout(this.#later);
    this.#wasLost = false;
    this.#hide();
  }

  #closed(reason) {
    this.#wasLost = true;
    this.#show("offline", `Disconnected: ${reason}`, "Connect", () => this.chat.connect());
  }

  #count() {
    const seconds = Math.max(1, Math.ceil((this.#retryAt - Date.now()) / 1000));
    const text = `Offline.${this.#waiting()}`;
    this.#show("offline", text, "Try now", () => this.chat.retry(), ` Retrying in ${seconds} s`);
  }

  #waiting() {
    const { length } = this.state.unsent.filter((message) => message.state === "sending");
    if (length === 0) return "";
    return length === 1 ? " One message waits." : ` ${length} messages wait.`;
  }

  #back() {
    clearTimeout(this.#later);
    if (!this.#wasLost) return;
    this.#wasLost = false;
    const failed = this.state.unsent.filter((message) => message.state === "failed").length;
    if (failed === 0) {
      this.#show("back", "You are back.");
      this.#later = setTimeout(() => this.#hide(), BACK_FOR);
    } else {
      const text = failed === 1 ? "You are back. One message was not sent." : `You are back. ${failed} messages were not sent.`;
      this.#show("back unsent", text, failed === 1 ? "Send it" : "Send them", () => this.chat.sendAll());
    }
  }

  #changed() {
    const banner = $("banner");
    if (banner.classList.contains("unsent") && this.state.unsent.length === 0) this.#hide();
    if (this.#retryAt) this.#count();
    else if (this.#wasLost && banner.className === "connecting") this.#show("connecting", `Connecting…${this.#waiting()}`);
  }

  #show(kind, text, label = "", action = null, count = "") {
    const banner = $("banner");
    banner.className = kind;
    banner.hidden = false;
    // Set only when it differs: a screen reader says it again each time.
    if ($("banner-text").textContent !== text) $("banner-text").textContent = text;
    $("banner-count").textContent = count;
    const button = $("banner-action");
    button.hidden = !label;
    button.textContent = label;
    button.onclick = action;
  }

  #hide() {
    $("banner").hidden = true;
    $("banner").className = "";
    $("banner-text").textContent = "";
  }
}
