/** What the types let pass, and what not: `tsc` says the rest. */

import { type Client, connect, EventError, type Gap, type Status, type StatusChange } from "gatewright";

interface Said {
  author: string;
  text: string;
}

interface ChatEvents {
  events: {
    said: Said;
    emptied: null;
  };
  calls: {
    say: (message: { room: string; text: string }) => number;
    join: (room: string) => null;
    greet: (name?: string) => string;
    leave: () => null;
  };
  streams: {
    count: (range: [to: number, start?: number]) => number;
    forever: () => Said;
  };
  handlers: {
    sure: (question: { about: string }) => boolean;
    ping: () => null;
  };
}

type Is<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const is = <_ extends true>() => {};

export async function right(signal: AbortSignal): Promise<void> {
  const chat = connect<ChatEvents>("/chat", {
    auth: async () => ({ token: "…" }),
    timeout: 1000,
    WebSocket,
  });
  is<Is<typeof chat, Client<ChatEvents>>>();
  const said = await chat.call("say", { room: "lobby", text: "hi" }, { timeout: 100, signal });
  is<Is<typeof said, number>>();
  await chat.call("leave");
  await chat.call("leave", undefined, { signal });
  await chat.call("greet");
  await chat.call("greet", "Ana");
  chat.emit("join", "lobby");
  chat.emit("leave");
  for await (const number of chat.stream("count", [5])) is<Is<typeof number, number>>();
  for await (const each of chat.stream("forever", undefined, { signal })) {
    is<Is<typeof each, Said>>();
  }
  const off = chat.on("said", (data) => is<Is<typeof data, Said>>());
  off();
  chat.once("emptied", (data) => is<Is<typeof data, null>>());
  chat.on("exception", (error) => is<Is<typeof error, EventError>>());
  chat.on("said", async ({ text }) => void text);
  chat.handle("sure", ({ about }) => about === "it");
  chat.handle("sure", async () => {
    throw new EventError("busy", "not now", { until: 12 });
  });
  chat.handle("ping", () => null);
  chat.onStatus((change) => is<Is<typeof change, StatusChange>>());
  chat.onGap((gap) => is<Is<typeof gap, Gap>>());
  is<Is<typeof chat.status, Status>>();
  await chat.ready();
  chat.close();
}

export async function undeclared(): Promise<void> {
  const chat = connect("ws://127.0.0.1:8000/chat");
  const answer = await chat.call("anything", 1);
  is<Is<typeof answer, any>>();
  for await (const item of chat.stream("anything")) is<Is<typeof item, any>>();
  chat.on("anything", ({ whatever }) => whatever);
  chat.handle("anything", async (data) => data.about);
  chat.emit("anything");
}

export function partial(): void {
  const chat = connect<{ events: { said: Said } }>("/chat");
  chat.on("said", ({ text }) => text);
  // @ts-expect-error nothing may be called
  void chat.call("say");
}

export async function wrong(): Promise<void> {
  const chat = connect<ChatEvents>("/chat");
  // @ts-expect-error no such call
  await chat.call("sya", { room: "lobby", text: "hi" });
  // @ts-expect-error an event of the server
  await chat.call("said", { author: "me", text: "hi" });
  // @ts-expect-error the room is missing
  await chat.call("say", { text: "hi" });
  // @ts-expect-error no data at all
  await chat.call("say");
  // @ts-expect-error it takes none
  await chat.call("leave", "now");
  // @ts-expect-error no such option
  await chat.call("leave", undefined, { patience: 1 });
  // @ts-expect-error a number
  const text: string = await chat.call("say", { room: "lobby", text: "hi" });
  // @ts-expect-error a call, not a stream
  chat.stream("say", { room: "lobby", text: "hi" });
  // @ts-expect-error a stream, not a call
  await chat.call("count", [5]);
  // @ts-expect-error numbers
  chat.stream("count", ["5"]);
  // @ts-expect-error an emit has no answer
  chat.emit("join", "lobby").then();
  // @ts-expect-error no such event
  chat.on("sung", () => {});
  // @ts-expect-error it has no such field
  chat.on("said", ({ title }) => title);
  // @ts-expect-error a boolean is wanted
  chat.handle("sure", () => "yes");
  // @ts-expect-error no such question
  chat.handle("really", () => true);
  // @ts-expect-error a function
  connect<ChatEvents>("/chat", { auth: "token" });
  // @ts-expect-error the status is read only
  chat.status = "closed";
  // @ts-expect-error no such status
  if (chat.status === "waiting") return;
  void text;
}
