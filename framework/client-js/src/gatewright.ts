/** The client of gatewright for browsers and Node, over `gw.v1.json`. */

import { Client } from "./client.js";
import type { Options, Undeclared } from "./types.js";

export { EventError } from "./errors.js";
export type { Client };
export type {
  CallOptions,
  Contract,
  EmitOptions,
  Gap,
  Off,
  Options,
  SocketClass,
  SocketLike,
  Status,
  StatusChange,
  StreamOptions,
} from "./types.js";

/**
 * Connect to a namespace, and stay connected until `close`.
 *
 * `url` is a path of the page's own server, or an address (`http:` and `https:` will do, too). The
 * interface says what may be said and heard: see `Contract`.
 */
export function connect<C extends object = Undeclared>(
  url: string,
  options: Options = {},
): Client<C> {
  return new Client<C>(url, options);
}
