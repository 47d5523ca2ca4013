/**
 * A stranger's server: answers any request as if it were the service, in plain text, and counts what reaches it.
 * `plain-server.ts HOST PORT`; its own `GET /counts` is not counted.
 */
import { createServer } from 'node:http';

const [host = '127.0.0.1', port = '0'] = process.argv.slice(2);
let requests = 0;
let connections = 0;

const server = createServer((incoming, response) => {
  response.setHeader('content-type', 'application/json');
  if (incoming.url === '/counts') {
    // The connection of this very question is no visitor's.
    response.end(JSON.stringify({ requests, connections: connections - 1 }));
    return;
  }
  requests += 1;
  response.end(JSON.stringify({ service: 'details', version: 'v1', instance: 'rogue' }));
});
server.on('connection', () => (connections += 1));
// A TLS handshake is no HTTP: it ends here.
server.on('clientError', (_error, socket) => socket.destroy());
server.listen(Number(port), host);
