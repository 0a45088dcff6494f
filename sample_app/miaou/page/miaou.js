// The page: puts state, network and views together.

import { Banner } from "./banner.js";
import { Chat, randomKey } from "./chat.js";
import { ConversationView } from "./conversation.js";
import { $, toast } from "./dom.js";
import { Sidebar } from "./sidebar.js";
import { State, keyOf, placeOf } from "./state.js";

const NICKNAME = "miaou:nickname";
const SECRET = "miaou:secret";

// Made once for this browser: with it the server knows who is back. See Registration in events.py.
const secret = localStorage.getItem(SECRET) ?? randomKey();
localStorage.setItem(SECRET, secret);

const state = new State();
const chat = new Chat(state, secret);
const view = new ConversationView(state, chat);
const wide = matchMedia("(min-width: 720px)");
new Sidebar(state, { signOut });
new Banner(chat, state);

chat.looking = (to) =>
  !document.hidden && state.open && keyOf(state.open) === keyOf(to) && document.body.dataset.view === "conversation";

// The door

$("register").addEventListener("submit", (event) => {
  event.preventDefault();
  const nickname = $("nickname").value.trim();
  if (!nickname) {
    refuse("A nickname has 1 to 24 characters.");
    return;
  }
  localStorage.setItem(NICKNAME, nickname);
  comeIn(nickname);
});

function comeIn(nickname) {
  $("register-error").textContent = "";
  $("nickname").removeAttribute("aria-invalid");
  chat.enter(nickname);
}

function refuse(text) {
  localStorage.removeItem(NICKNAME);
  $("door").hidden = false;
  $("chat").hidden = true;
  $("register-error").textContent = text;
  $("nickname").setAttribute("aria-invalid", "true");
  $("nickname").select();
}

function signOut() {
  // The page could not be fetched again.
  if (chat.status !== "open") {
    toast("You are offline. Change your name when you are back.");
    return;
  }
  chat.close();
  localStorage.removeItem(NICKNAME);
  // Not by location.hash: its event would lead to a room while the page is on its way out.
  history.replaceState(null, "", location.pathname);
  location.reload();
}

chat.addEventListener("status", ({ detail: { status } }) => {
  document.body.dataset.link = status;
  // What others do is unknown from here on.
  if (status !== "open") state.typing.clear();
  state.changed();
});
chat.addEventListener("refused", ({ detail }) => refuse(detail.message));
chat.addEventListener("trouble", ({ detail }) => toast(detail.message));
chat.addEventListener("entered", () => {
  const again = !$("chat").hidden;
  $("door").hidden = true;
  $("chat").hidden = false;
  if (again && state.open) chat.open(state.open);
  else route();
});

// Where we are is in the address, so that "back" and "reload" do what they should.

addEventListener("hashchange", route);
wide.addEventListener("change", route);

function route() {
  if (!state.me) return;
  closePeople();
  const to = placeOf(location.hash.slice(1));
  if (to && state.view(to)) {
    document.body.dataset.view = "conversation";
    if (!state.open || keyOf(state.open) !== keyOf(to)) chat.open(to);
    else chat.seen();
    view.focus();
    return;
  }
  const joined = [...state.rooms.values()].find((room) => room.joined);
  if (wide.matches && joined) location.replace(`#room/${joined.room.id}`);
  else document.body.dataset.view = "list";
}

$("back").addEventListener("click", () => {
  location.hash = "";
});
document.addEventListener("visibilitychange", () => chat.seen());
chat.addEventListener("left", () => {
  if (!state.open) location.hash = "";
});
state.addEventListener("change", () => {
  const { unread } = state;
  const name = state.open ? `${state.title(state.open)} · Miaou` : "Miaou";
  document.title = unread ? `(${unread}) ${name}` : name;
});

// Who is here, on narrow screens a drawer

function openPeople() {
  $("people").classList.add("shown");
  $("shade").hidden = false;
  $("show-people").setAttribute("aria-expanded", "true");
  $("hide-people").focus();
}

function closePeople() {
  const had = $("people").contains(document.activeElement);
  $("people").classList.remove("shown");
  $("shade").hidden = true;
  $("show-people").setAttribute("aria-expanded", "false");
  if (had) $("show-people").focus();
}

$("show-people").addEventListener("click", openPeople);
$("hide-people").addEventListener("click", closePeople);
$("shade").addEventListener("click", closePeople);
addEventListener("keydown", (event) => {
  if (event.key === "Escape" && $("people").classList.contains("shown")) closePeople();
});

// A new room

let asking = null; // for a room that is not there yet

$("new-room").addEventListener("click", () => {
  $("room-name").value = "";
  $("room-error").textContent = "";
  $("room-dialog").showModal();
});
$("room-cancel").addEventListener("click", () => $("room-dialog").close());
// Closed by whatever means, the Escape key is one: a room that opened later would come as a surprise.
$("room-dialog").addEventListener("close", () => asking?.abort());
$("room-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  if (chat.status !== "open") {
    $("room-error").textContent = "You are offline. Open it when you are back.";
    return;
  }
  if (asking) return;
  asking = new AbortController();
  const { signal } = asking;
  try {
    const room = await chat.create($("room-name").value, signal);
    $("room-dialog").close();
    location.hash = `#room/${room.id}`;
  } catch (error) {
    if (signal.aborted) return;
    $("room-error").textContent = error.message;
    $("room-name").focus();
  } finally {
    asking = null;
  }
});

// Until here a click would have sent the form itself, which nobody takes.
$("come-in").disabled = false;

const known = localStorage.getItem(NICKNAME);
if (known) {
  $("nickname").value = known;
  comeIn(known);
}
