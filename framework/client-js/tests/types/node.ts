/** In Node, without the types of a browser. */

import { connect } from "gatewright";
import WebSocket from "ws";

export const chat = connect("http://127.0.0.1:8000/chat", { WebSocket });
