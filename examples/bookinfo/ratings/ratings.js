'use strict';
// How many stars each reviewer gave. A leaf: it calls nobody.
// Configured by PORT.

const http = require('node:http');

const port = Number(process.env.PORT ?? 9080);

const ratings = new Map([
  [0, { Reviewer1: 5, Reviewer2: 4 }],
  [1, { Reviewer1: 3, Reviewer2: 5 }],
]);

function answer(response, status, document) {
  const body = JSON.stringify(document);
  response.writeHead(status, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) });
  response.end(body);
}

function route(method, pathname) {
  if (method !== 'GET') return [405, { error: `${method} is not allowed` }];
  if (pathname === '/health') return [200, { status: 'ratings is healthy' }];

  const match = /^\/ratings\/(\d+)$/.exec(pathname);
  if (!match) return [400, { error: 'please give the number of a book' }];

  const id = Number(match[1]);
  const found = ratings.get(id);
  return found ? [200, { id, ratings: found }] : [404, { error: `no ratings of book ${id}` }];
}

const server = http.createServer((request, response) => {
  const { pathname } = new URL(request.url, 'http://ratings');
  answer(response, ...route(request.method, pathname));
});

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, () => {
    server.close();
    server.closeAllConnections();
  });
}

server.listen(port, '0.0.0.0', () => console.error(`ratings listens on ${port}`));
