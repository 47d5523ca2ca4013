/** Programs that run in a network namespace: an application over HTTP, callers as any user, connections that are kept. */
import type { Namespace } from '../capture/netns.ts';
import type { Child } from '../support/child.ts';
import { eventually } from '../support/eventually.ts';

const HTTP_SERVER = `
const { createServer } = require('node:http');
const addresses = process.argv.slice(1);
let left = addresses.length;
for (const each of addresses) {
  const [host, port] = each.split('|');
  createServer({ keepAliveTimeout: 0 }, (incoming, outgoing) => {
    const { remoteAddress, localAddress, localPort } = incoming.socket;
    const xfcc = incoming.headers['x-forwarded-client-cert'] ?? '';
    outgoing.end(JSON.stringify({ caller: xfcc.replace(/.*URI=/, ''), from: remoteAddress, at: localAddress + '|' + localPort }));
  }).listen({ host, port: Number(port) }, () => { if (--left === 0) console.log('listening'); });
}`;

const HTTP_CLIENT = `
const { get, Agent } = require('node:http');
const [host, port, uid, count] = process.argv.slice(1);
if (uid !== '') process.setuid(Number(uid));
const agent = new Agent({ keepAlive: true });
const once = () => new Promise((resolve) => {
  get({ host, port: Number(port), agent, timeout: 30_000 }, (incoming) => {
    let text = '';
    incoming.on('data', (chunk) => { text += chunk; });
    incoming.on('end', () => resolve(incoming.statusCode + ' ' + text));
  }).on('error', (error) => resolve(error.code)).on('timeout', function () { this.destroy(new Error('timeout')); });
});
(async () => { for (let i = 0; i < Number(count); i++) console.log(await once()); agent.destroy(); })();`;

/** Answers each chunk with it, after a greeting that nobody asked for. */
const ECHO_SERVER = `
const { createServer } = require('node:net');
const [name, ...addresses] = process.argv.slice(1);
let left = addresses.length;
for (const each of addresses) {
  const [host, port] = each.split('|');
  createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => undefined);
    socket.write('greeting of ' + name + '\\n');
    socket.on('data', (chunk) => socket.write(chunk));
    socket.on('end', () => socket.end('goodbye\\n'));
  }).listen({ host, port: Number(port) }, () => { if (--left === 0) console.log('listening'); });
}`;

/** Sends a number every 50 ms and says what comes back, until it is stopped. */
const KEPT = `
const { connect } = require('node:net');
const [host, port, uid] = process.argv.slice(1);
if (uid !== '') process.setuid(Number(uid));
const socket = connect({ host, port: Number(port) });
let i = 0;
setInterval(() => socket.write(String(i++) + '\\n'), 50);
socket.on('data', (chunk) => process.stdout.write(chunk));
socket.on('close', () => { console.log('closed'); process.exit(1); });
socket.on('error', (error) => console.log(error.code));`;

/** Sends a text, ends its side, and says what comes back until the other side ends. */
const WHOLE = `
const { connect } = require('node:net');
const [host, port, uid, text] = process.argv.slice(1);
if (uid !== '') process.setuid(Number(uid));
const socket = connect({ host, port: Number(port), timeout: 30_000, allowHalfOpen: true }, () => socket.end(text));
let all = '';
socket.on('data', (chunk) => { all += chunk; });
socket.on('timeout', () => { console.log('timeout'); process.exit(); });
socket.on('error', (error) => console.log(error.code));
socket.on('end', () => console.log(JSON.stringify(all)));`;

async function listening(child: Child): Promise<Child> {
  await eventually('the server listens', () => {
    if (child.process.exitCode !== null) throw new Error(child.output());
    return child.output().includes('listening');
  });
  return child;
}

/** An application on `host|port` each; answers with who called, as the server's Envoy says, from where, and where. */
export function httpServer(where: Namespace, ...addresses: readonly string[]): Promise<Child> {
  return listening(where.start(process.execPath, '-e', HTTP_SERVER, ...addresses));
}

/** A server on `host|port` each that speaks first. */
export function greeter(where: Namespace, name: string, ...addresses: readonly string[]): Promise<Child> {
  return listening(where.start(process.execPath, '-e', ECHO_SERVER, name, ...addresses));
}

/** Requests of a user, one after another on one connection: `200 {…}` each, or an error's code. */
export async function requests(
  where: Namespace,
  host: string,
  port: number,
  options: { readonly uid?: number; readonly count?: number } = {},
): Promise<readonly string[]> {
  const { uid, count = 1 } = options;
  const args = [host, String(port), uid === undefined ? '' : String(uid), String(count)];
  return (await where.run(process.execPath, '-e', HTTP_CLIENT, ...args)).trimEnd().split('\n');
}

/** What comes back for a text, to the end; or an error's code, or `timeout`. */
export async function whole(where: Namespace, host: string, port: number, text: string, uid?: number): Promise<string> {
  const args = [host, String(port), uid === undefined ? '' : String(uid), text];
  const said = (await where.run(process.execPath, '-e', WHOLE, ...args)).trimEnd();
  return said.startsWith('"') ? String(JSON.parse(said)) : said;
}

/** A connection that is in use until it is stopped; its output ends in `closed` when the other side ended it. */
export function keptConnection(where: Namespace, host: string, port: number, uid?: number): Child {
  return where.start(process.execPath, '-e', KEPT, host, String(port), uid === undefined ? '' : String(uid));
}
