// The NestJS peer: the same gateway as servers/gatewright_bench.py, on platform-ws.
// Frames are Nest's own: {"event", "data"} both ways. It has no call ids, so an echo answers as an event.
import 'reflect-metadata';

import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { WsAdapter } from '@nestjs/platform-ws';
import {
  ConnectedSocket,
  MessageBody,
  OnGatewayDisconnect,
  SubscribeMessage,
  WebSocketGateway,
  WsResponse,
} from '@nestjs/websockets';
import type { WebSocket } from 'ws';

interface Echo {
  text: string;
  n: number;
}

interface Join {
  room: string;
}

interface Say extends Echo {
  room: string;
}

@WebSocketGateway({ path: '/ws' })
class BenchGateway implements OnGatewayDisconnect {
  // platform-ws knows no rooms: its users keep a set of sockets per room themselves.
  private readonly rooms = new Map<string, Set<WebSocket>>();

  handleDisconnect(client: WebSocket): void {
    for (const members of this.rooms.values()) members.delete(client);
  }

  @SubscribeMessage('echo')
  echo(@MessageBody() message: Echo): WsResponse<Echo> {
    return { event: 'echo', data: message };
  }

  @SubscribeMessage('join')
  join(@ConnectedSocket() client: WebSocket, @MessageBody() join: Join): WsResponse<Join> {
    const members = this.rooms.get(join.room) ?? new Set<WebSocket>();
    this.rooms.set(join.room, members.add(client));
    return { event: 'join', data: join };
  }

  @SubscribeMessage('pub')
  publish(@MessageBody() { room, text, n }: Say): void {
    const frame = JSON.stringify({ event: 'msg', data: { text, n } });
    for (const member of this.rooms.get(room) ?? []) member.send(frame);
  }
}

@Module({ providers: [BenchGateway] })
class BenchModule {}

const app = await NestFactory.create(BenchModule, { logger: ['error', 'warn'] });
app.useWebSocketAdapter(new WsAdapter(app));
await app.listen(Number(process.env.PORT), '127.0.0.1');
