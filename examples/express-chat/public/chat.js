// The room is the address's hash: /#harbour is the room "harbour".
'use strict';

const at = (id) => document.getElementById(id);
const roomName = () => decodeURIComponent(location.hash.slice(1)).trim() || 'lobby';
let socket;
let pause = 500;

at('from').value = localStorage.getItem('name') || '';

function show(line) {
  const item = document.createElement('li');
  const name = document.createElement('b');
  const time = document.createElement('time');
  name.textContent = line.from;
  time.textContent = new Date(line.at).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });
  item.append(name, ` ${line.text} `, time);
  item.classList.toggle('mine', line.from === at('from').value.trim());
  at('lines').append(item);
  item.scrollIntoView({ block: 'end' });
}

const kinds = {
  history: ({ lines }) => { at('lines').replaceChildren(); lines.forEach(show); },
  line: ({ line }) => show(line),
  members: ({ count }) => { at('state').textContent = count === 1 ? 'only you here' : `${count} people here`; },
};

function connect() {
  const name = roomName();
  at('room').textContent = `#${name}`;
  document.title = `#${name} · Chat`;
  const address = new URL('ws', location.href);
  address.protocol = location.protocol === 'https:' ? 'wss:' : 'ws:';
  address.search = `?room=${encodeURIComponent(name)}`;
  address.hash = '';
  const mine = socket = new WebSocket(address);
  mine.onopen = () => { pause = 500; };
  mine.onmessage = (event) => { const message = JSON.parse(event.data); kinds[message.kind]?.(message); };
  mine.onclose = () => {
    if (mine !== socket) return;
    at('state').textContent = 'connection lost, trying again …';
    setTimeout(connect, pause);
    pause = Math.min(pause * 2, 10000);
  };
}

at('form').onsubmit = (event) => {
  event.preventDefault();
  if (socket.readyState !== WebSocket.OPEN) return;
  localStorage.setItem('name', at('from').value.trim());
  socket.send(JSON.stringify({ from: at('from').value, text: at('text').value }));
  at('text').value = '';
};
addEventListener('hashchange', () => { const old = socket; connect(); old.close(); });
connect();
