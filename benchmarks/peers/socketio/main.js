// Node's Socket.IO: the same three handlers as servers/socketio_bench.py, with its defaults,
// WebSocket only. With REDIS_URL it is one of several nodes, by the adapter that ADAPTER names.
import { createServer } from 'node:http';

import { createAdapter, createShardedAdapter } from '@socket.io/redis-adapter';
import { createClient } from 'redis';
import { Server } from 'socket.io';

const http = createServer();
const io = new Server(http, { transports: ['websocket'] });

if (process.env.REDIS_URL) {
  const publisher = createClient({ url: process.env.REDIS_URL });
  const subscriber = publisher.duplicate();
  await Promise.all([publisher.connect(), subscriber.connect()]);
  const create = process.env.ADAPTER === 'sharded' ? createShardedAdapter : createAdapter;
  io.adapter(create(publisher, subscriber));
}

io.on('connection', (socket) => {
  socket.on('echo', (message, acknowledge) => acknowledge(message));

  socket.on('join', (join, acknowledge) => {
    socket.join(join.room);
    acknowledge();
  });

  socket.on('pub', ({ room, text, n }) => io.to(room).emit('msg', { text, n }));
});

http.listen(Number(process.env.PORT), '127.0.0.1');
