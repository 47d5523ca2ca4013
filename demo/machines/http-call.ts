/**
 * One HTTP request from a machine: `http-call.ts METHOD URL [HEADER:VALUE …]`, body on standard input, the body
 * of a 2xx answer on standard output. Ends with 0 for that, 22 for any other status, 7 when there was no answer.
 */
import { type IncomingMessage, request } from 'node:http';
import { text } from 'node:stream/consumers';

const [method = 'GET', url = '', ...headerArguments] = process.argv.slice(2);
const headers = Object.fromEntries(
  headerArguments.map((argument) => {
    const colon = argument.indexOf(':');
    return [argument.slice(0, colon), argument.slice(colon + 1).trim()];
  }),
);
const body = await text(process.stdin);

async function print(response: IncomingMessage): Promise<void> {
  const answer = await text(response);
  const status = response.statusCode ?? 0;
  if (status < 300) {
    process.stdout.write(answer);
  } else {
    process.stderr.write(`HTTP ${status}: ${answer}`);
    process.exitCode = 22;
  }
}

function fail(error: unknown): void {
  process.stderr.write(`${String(error)}\n`);
  process.exitCode = 7;
}

const call = request(url, { method, headers, timeout: 5000, agent: false }, (response) => {
  print(response).catch(fail);
});
call.on('timeout', () => call.destroy(new Error('no answer within 5 s')));
call.on('error', fail);
call.end(body);
