/** Servers that say who called them, and calls as any user from any cgroup. */
import type { Child } from '../support/child.ts';
import { eventually } from '../support/eventually.ts';
import type { Namespace } from './netns.ts';

const SERVER = `
const { createServer } = require('node:net');
const [name, ...addresses] = process.argv.slice(1);
let left = addresses.length;
for (const each of addresses) {
  const [host, port] = each.split('|');
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.end(name + ' ' + socket.remoteAddress.replace('::ffff:', '') + ' -> ' + socket.localAddress.replace('::ffff:', '') + ':' + socket.localPort + '\\n');
  });
  server.listen({ host, port: Number(port) }, () => { if (--left === 0) console.log('listening'); });
}`;

const CLIENT = `
const { connect } = require('node:net');
const { writeFileSync } = require('node:fs');
const [host, port, uid, cgroup, count] = process.argv.slice(1);
if (cgroup !== '') writeFileSync(cgroup + '/cgroup.procs', String(process.pid));
if (uid !== '') process.setuid(Number(uid));
async function once() {
  return new Promise((resolve) => {
    let text = '';
    const socket = connect({ host, port: Number(port), timeout: 10_000 });
    socket.on('data', (chunk) => { text += chunk; });
    socket.on('timeout', () => { socket.destroy(); resolve('timeout'); });
    socket.on('error', (error) => resolve(error.code));
    socket.on('end', () => resolve(text.trim()));
  });
}
(async () => { for (let i = 0; i < Number(count); i++) console.log(await once()); })();`;

/** Starts a server on `host|port` each; it answers a connection with its name, the caller and its own address. */
export async function serve(where: Namespace, name: string, ...addresses: readonly string[]): Promise<Child> {
  const child = where.start(process.execPath, '-e', SERVER, name, ...addresses);
  await eventually(`${name} listens`, () => {
    if (child.process.exitCode !== null) throw new Error(child.output());
    return child.output().includes('listening');
  });
  return child;
}

export interface Caller {
  readonly uid?: number;
  /** Folder of the cgroup that it joins first. */
  readonly cgroup?: string;
}

/** Connects, and returns what the server said, or the error's code, or `timeout`. */
export async function call(where: Namespace, host: string, port: number, caller: Caller = {}): Promise<string> {
  const answers = await calls(where, host, port, 1, caller);
  return answers[0] ?? '';
}

/** As `call`, one connection after another from one process. */
export async function calls(
  where: Namespace,
  host: string,
  port: number,
  count: number,
  { uid, cgroup = '' }: Caller = {},
): Promise<readonly string[]> {
  const user = uid === undefined ? '' : String(uid);
  const out = await where.run(process.execPath, '-e', CLIENT, host, String(port), user, cgroup, String(count));
  return out.trimEnd().split('\n');
}
