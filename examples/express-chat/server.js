// A chat: everybody on the same room name reads the same lines. Lines live in memory only.
'use strict';

const http = require('node:http');
const path = require('node:path');
const express = require('express');
const { WebSocketServer, WebSocket } = require('ws');

const KEPT_LINES = 50; // what a newcomer sees of a room
const MOST_ROOMS = 200; // the oldest empty rooms go first
const LINE_BYTES = 4096;
const PING_EVERY = 25_000; // milliseconds; below the idle time-outs of most proxies

const rooms = new Map(); // name -> { lines: [], members: Set of sockets }

function room(name) {
  if (!rooms.has(name)) {
    for (const [old, { members }] of rooms) {
      if (rooms.size < MOST_ROOMS) break;
      if (members.size === 0) rooms.delete(old);
    }
    rooms.set(name, { lines: [], members: new Set() });
  }
  return rooms.get(name);
}

function tell(members, message) {
  const text = JSON.stringify(message);
  for (const socket of members) if (socket.readyState === WebSocket.OPEN) socket.send(text);
}

function cleaned(value, most) {
  return typeof value === 'string' ? value.trim().slice(0, most) : '';
}

const app = express();
app.disable('x-powered-by');
app.use(express.static(path.join(__dirname, 'public')));
app.get('/health', (_request, response) => response.json({ status: 'ok', rooms: rooms.size }));

const server = http.createServer(app);
const sockets = new WebSocketServer({ server, path: '/ws', maxPayload: LINE_BYTES });

sockets.on('connection', (socket, request) => {
  const wanted = new URL(request.url, 'http://localhost').searchParams.get('room');
  const here = room(cleaned(wanted, 40) || 'lobby');
  here.members.add(socket);
  socket.alive = true;
  socket.on('pong', () => { socket.alive = true; });
  socket.send(JSON.stringify({ kind: 'history', lines: here.lines }));
  tell(here.members, { kind: 'members', count: here.members.size });

  socket.on('message', (data) => {
    let message;
    try { message = JSON.parse(data); } catch { return; }
    const line = { from: cleaned(message?.from, 30) || 'somebody', text: cleaned(message?.text, 500), at: Date.now() };
    if (!line.text) return;
    here.lines.push(line);
    here.lines.splice(0, here.lines.length - KEPT_LINES);
    tell(here.members, { kind: 'line', line });
  });
  socket.on('error', () => socket.terminate());
  socket.on('close', () => {
    here.members.delete(socket);
    tell(here.members, { kind: 'members', count: here.members.size });
  });
});

const heartbeat = setInterval(() => {
  for (const socket of sockets.clients) {
    if (!socket.alive) { socket.terminate(); continue; }
    socket.alive = false;
    socket.ping();
  }
}, PING_EVERY);

// A new version takes over: browsers are told to come back, which they do by themselves.
function stop() {
  clearInterval(heartbeat);
  for (const socket of sockets.clients) socket.close(1012, 'restarting');
  server.close(() => process.exit(0));
  setTimeout(() => process.exit(0), 3000).unref();
}
process.on('SIGTERM', stop);
process.on('SIGINT', stop);

const port = Number(process.env.PORT || 3000);
server.listen(port, '0.0.0.0', () => console.log(`chat listens on port ${port}`));
