/** Calls from one service of the bookshop to another, through the machine's own proxy. */
import { Agent, type IncomingHttpHeaders, request } from 'node:http';
import { json, text } from 'node:stream/consumers';

/** Headers that belong to a request from the outside and travel with everything that it causes. */
const FORWARDED = [
  'end-user',
  'x-request-id',
  'traceparent',
  'tracestate',
  'baggage',
  'b3',
  'x-b3-traceid',
  'x-b3-spanid',
  'x-b3-parentspanid',
  'x-b3-sampled',
  'x-b3-flags',
] as const;

const connections = new Agent({ keepAlive: true, maxSockets: 64 });

/** GET `path` of a service, as part of the request that came with `headers`. Throws an Error unless it answers 200. */
export async function callService(
  name: string,
  base: URL | undefined,
  path: string,
  headers: IncomingHttpHeaders,
): Promise<unknown> {
  if (base === undefined) throw new Error(`no upstream given for ${name}`);
  const forwarded = Object.fromEntries(
    FORWARDED.flatMap((key) => (headers[key] === undefined ? [] : [[key, headers[key]]])),
  );
  return new Promise((resolve, reject) => {
    const fail = (why: string): void => reject(new Error(`${name}: ${why}`));
    const call = request(
      new URL(path, base),
      { agent: connections, headers: { ...forwarded, host: `${name}.default.mesh` }, timeout: 5000 },
      (response) => {
        if (response.statusCode === 200) {
          json(response).then(resolve, (error: unknown) => fail(String(error)));
          return;
        }
        text(response).then(
          (body) => fail(`answered ${response.statusCode}, ${body.slice(0, 200)}`),
          (error: unknown) => fail(String(error)),
        );
      },
    );
    call.on('timeout', () => call.destroy(new Error('no answer within 5 s')));
    call.on('error', (error) => fail(error.message));
    call.end();
  });
}
