// Node's Socket.IO: the same three handlers as servers/socketio_bench.py, with its defaults,
// WebSocket only.
import { createServer } from 'node:http';

import { Server } from 'socket.io';

const http = createServer();
const io = new Server(http, { transports: ['websocket'] });

io.on('connection', (socket) => {
  socket.on('echo', (message, acknowledge) => acknowledge(message));

  socket.on('join', (join, acknowledge) => {
    socket.join(join.room);
    acknowledge();
  });

  socket.on('pub', (message) => io.to('r').emit('msg', message));
});

http.listen(Number(process.env.PORT), '127.0.0.1');
