// A backend on Node.js' own HTTP/1.1 server: node http1_server.js ADDRESS PORT
'use strict';
const crypto = require('crypto');
const http = require('http');

let requests = 0;

const pages = {
  '/page': (request, response) => response.end('a page of node\n'),
  '/echo': (request, response) => {
    const hash = crypto.createHash('sha256');
    let length = 0;
    request.on('data', (data) => { hash.update(data); length += data.length; });
    request.on('end', () => response.end(JSON.stringify({length, sha256: hash.digest('hex')})));
  },
  '/events': (request, response) => {
    response.writeHead(200, {'content-type': 'text/event-stream'});
    let number = 0;
    const serial = ++requests;
    const timer = setInterval(() => {
      response.write(`data: stream ${serial} part ${number}\n\n`);
      if (++number === 20) {
        clearInterval(timer);
        response.addTrailers({'x-parts': '20'});
        response.end();
      }
    }, 50);
    response.on('close', () => clearInterval(timer));
  },
  '/early': (request, response) => {   // says no without reading
    response.writeHead(413, {connection: 'close'});
    response.end('too large\n');
  },
  '/hints': (request, response) => {
    response.writeEarlyHints({link: '</a.css>; rel=preload'});
    response.end('after a hint\n');
  },
  '/nothing': (request, response) => { response.writeHead(204); response.end(); },
  '/same': (request, response) => { response.writeHead(304, {etag: '"1"'}); response.end(); },
  '/streams': (request, response) => response.end(String(requests)),
};

const server = http.createServer((request, response) => {
  const path = request.url.split('?')[0].replace(/^\/(node|shared-node)/, '');
  (pages[path] || pages['/page'])(request, response);
});
server.listen(Number(process.argv[3]), process.argv[2], () => console.log('ready'));
