/** Several HTTP requests from a machine, one after the other: `http-statuses.ts COUNT URL [HEADER:VALUE …]`, a status a line. */
import { Agent, request } from 'node:http';

const [count = '1', url = '', ...headerArguments] = process.argv.slice(2);
const headers = Object.fromEntries(
  headerArguments.map((argument) => {
    const colon = argument.indexOf(':');
    return [argument.slice(0, colon), argument.slice(colon + 1).trim()];
  }),
);
const agent = new Agent({ keepAlive: true, maxSockets: 1 });

async function statusOf(): Promise<number> {
  return new Promise((resolve, reject) => {
    const call = request(url, { headers, agent, timeout: 5000 }, (response) => {
      response.resume();
      response.on('end', () => resolve(response.statusCode ?? 0));
    });
    call.on('timeout', () => call.destroy(new Error('no answer within 5 s')));
    call.on('error', reject);
    call.end();
  });
}

for (let sent = 0; sent < Number(count); sent += 1) process.stdout.write(`${await statusOf()}\n`);
agent.destroy();
