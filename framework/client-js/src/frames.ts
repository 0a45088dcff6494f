/** The frames of `gw.v1`, as far as a client reads them (docs/protocol.md). */

export interface ErrorBody {
  code: string;
  message: string;
  details?: unknown;
}

/** The server's word on `open`; times are in seconds. */
export interface Hello {
  session: string;
  token: string;
  resumed: boolean;
  epoch: string;
  seq: number;
  heartbeat: { interval: number; timeout: number };
  max: number;
  expires?: number;
}

/** Any frame: which of these keys it has says what it is. */
export interface Frame extends Partial<Omit<Hello, "expires">> {
  event?: string;
  op?: string;
  id?: number | string;
  data?: any;
  item?: unknown;
  error?: ErrorBody;
  rooms?: string[];
  expires?: number | null;
  after?: number;
  reason?: string;
}
