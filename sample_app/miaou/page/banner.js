// The truth about the connection, in one line.

import { $ } from "./dom.js";

const PATIENCE = 600; // milliseconds of connecting that nobody needs to hear of
const BACK_FOR = 3_000;

export class Banner {
  #wasLost = false;
  #tick = 0;
  #later = 0;

  constructor(chat, state) {
    this.chat = chat;
    this.state = state;
    chat.socket.addEventListener("status", () => this.#status());
    chat.addEventListener("entered", () => this.#back());
    state.addEventListener("change", () => this.#unsent());
  }

  #status() {
    const { socket } = this.chat;
    clearInterval(this.#tick);
    clearTimeout(this.#later);
    if (socket.status === "waiting") {
      this.#wasLost = true;
      this.#count();
      this.#tick = setInterval(() => this.#count(), 250);
    } else if (socket.status === "connecting") {
      if (this.#wasLost) this.#show("connecting", "Connecting…");
      else this.#later = setTimeout(() => this.#show("connecting", "Connecting…"), PATIENCE);
    } else if (socket.status === "closed") {
      if (socket.reason) this.#show("offline", `Disconnected: ${socket.reason}`, "Connect", () => socket.connect());
      else this.#hide();
    } else if (!this.#wasLost) {
      this.#hide();
    }
  }

  #count() {
    const { socket } = this.chat;
    const seconds = Math.max(1, Math.ceil((socket.retryAt - Date.now()) / 1000));
    this.#show("offline", "Offline.", "Try now", () => socket.wake(), ` Retrying in ${seconds} s`);
  }

  #back() {
    clearTimeout(this.#later);
    if (!this.#wasLost) return;
    this.#wasLost = false;
    const { length } = this.state.unsent;
    if (length === 0) {
      this.#show("back", "You are back.");
      this.#later = setTimeout(() => this.#hide(), BACK_FOR);
    } else {
      const text = length === 1 ? "You are back. One message was not sent." : `You are back. ${length} messages were not sent.`;
      this.#show("back unsent", text, length === 1 ? "Send it" : "Send them", () => this.chat.sendAll());
    }
  }

  #unsent() {
    const banner = $("banner");
    if (banner.classList.contains("unsent") && this.state.unsent.length === 0) this.#hide();
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
