/** What `explain` says, held against what Envoy does: route tables and requests at random, one Envoy, no control plane. */
import assert from 'node:assert/strict';
import { createServer, request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import { type TestContext, test } from 'node:test';
import * as fc from 'fast-check';
import { stringify } from 'yaml';
import { parseRequest } from '../../src/analysis/called-request.ts';
import { configurationOf } from '../../src/analysis/configuration.ts';
import { explain } from '../../src/analysis/explain.ts';
import type { Explanation } from '../../src/model/explanation.ts';
import { eventually } from '../support/eventually.ts';
import { freePorts } from '../support/ports.ts';
import { startEnvoy } from '../translate/envoy.ts';
import { host } from '../translate/mesh-literals.ts';
import { type RandomRequest, randomRequest, routeTable } from './random-routes.ts';

const SEED = 20_260_801;
const TABLES = 40;
const REQUESTS = 25;
const VERSIONS = ['v1', 'v2', 'v3'] as const;

interface Seen {
  readonly version: string;
  readonly path: string;
  readonly authority: string;
}

interface Outcome {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** Applications that answer with what they saw. */
async function startApplications(t: TestContext): Promise<readonly number[]> {
  const ports = await freePorts(VERSIONS.length);
  await Promise.all(
    ports.map(async (port, i) => {
      const server = createServer({ keepAliveTimeout: 0 }, (incoming, response) => {
        const seen: Seen = {
          version: VERSIONS[i] ?? '',
          path: incoming.url ?? '',
          authority: incoming.headers.host ?? '',
        };
        incoming.resume();
        response.setHeader('x-seen', JSON.stringify(seen));
        response.end();
      });
      await new Promise<void>((resolve) => {
        server.listen(port, '127.0.0.1', resolve);
      });
      t.after(() => {
        server.closeAllConnections();
        server.close();
      });
    }),
  );
  return ports;
}

function documents(tables: readonly unknown[], ports: readonly number[]): string {
  const resource = (kind: string, name: string, spec: unknown): string =>
    stringify({ apiVersion: 'networking.istio.io/v1', kind, metadata: { name }, spec });
  return (tables as (typeof routeTable extends fc.Arbitrary<infer T> ? T : never)[])
    .flatMap((table, i) => {
      const name = `shop-${i}`;
      const serviceHost = `${name}.default.mesh`;
      const http = table.map(({ match, action }, j) => ({
        name: `r${j}`,
        ...(match !== undefined && { match }),
        ...JSON.parse(JSON.stringify(action).replaceAll('"SERVICE"', JSON.stringify(serviceHost))),
        headers: { response: { set: { 'x-route': `r${j}` } } },
      }));
      return [
        resource('ServiceEntry', name, {
          hosts: [serviceHost],
          location: 'MESH_EXTERNAL',
          resolution: 'STATIC',
          ports: [{ number: 9080, name: 'http', protocol: 'HTTP' }],
          endpoints: ports.map((port, version) => ({
            address: '127.0.0.1',
            ports: { http: port },
            labels: { version: VERSIONS[version] },
          })),
        }),
        resource('DestinationRule', name, {
          host: serviceHost,
          subsets: VERSIONS.map((version) => ({ name: version, labels: { version } })),
        }),
        resource('VirtualService', name, { hosts: [serviceHost], http }),
      ];
    })
    .join('---\n');
}

function send(
  port: number,
  { path, method, authority, headers }: RandomRequest,
  ownAuthority: string,
): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const sent = httpRequest(
      { host: '127.0.0.1', port, path, method, headers: { ...headers, host: authority ?? ownAuthority }, agent: false },
      (response) => {
        let body = '';
        response.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
        response.once('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body }));
      },
    );
    sent.once('error', reject);
    sent.end();
  });
}

/** What the explanation says that Envoy does, as far as one request shows. */
function check(explanation: Explanation, outcome: Outcome, request: RandomRequest, ownAuthority: string): void {
  const { action } = explanation;
  if (explanation.outcome === 'not-found') {
    assert.deepEqual(
      [outcome.status, outcome.headers['x-route'], outcome.headers['x-seen']],
      [404, undefined, undefined],
    );
    return;
  }
  assert.equal(outcome.headers['x-route'], action?.responseHeaders?.set['x-route'], 'the route');
  assert.equal(explanation.considered.filter(({ result }) => result === 'taken').length, 1, 'one route is taken');
  const isDefault = explanation.virtualService === undefined;
  assert.equal(explanation.route, isDefault ? 'default' : outcome.headers['x-route'], 'its name');
  if (explanation.outcome === 'redirected') {
    assert.deepEqual([outcome.status, outcome.headers.location], [action?.redirect?.code, action?.redirect?.location]);
    return;
  }
  if (explanation.outcome === 'answered') {
    assert.deepEqual(
      [outcome.status, outcome.body],
      [action?.directResponse?.status, action?.directResponse?.body ?? ''],
    );
    return;
  }
  if (action?.fault?.abort !== undefined) {
    assert.deepEqual([String(outcome.status), outcome.headers['x-seen']], [action.fault.abort.status, undefined]);
    return;
  }
  const failing = explanation.destinations.filter(({ failure }) => failure !== undefined);
  if (outcome.headers['x-seen'] === undefined) {
    assert.equal(outcome.status, 503);
    assert.ok(failing.length > 0, `a failure that nobody foretold: ${outcome.body}`);
    return;
  }
  const seen = JSON.parse(String(outcome.headers['x-seen'])) as Seen;
  const served = explanation.destinations.filter(({ failure, weight }) => failure === undefined && weight > 0);
  assert.ok(
    served.some(({ subset }) => subset === undefined || subset === seen.version),
    `${seen.version} is not among ${served.map(({ subset }) => subset).join(', ')}`,
  );
  if (action?.rewrite?.path !== undefined) assert.equal(seen.path, action.rewrite.path, 'the path');
  assert.equal(seen.authority, action?.rewrite?.authority ?? request.authority ?? ownAuthority, 'the authority');
}

test(`explain and Envoy agree on ${TABLES * REQUESTS} requests at random`, async (t) => {
  const tables = fc.sample(routeTable, { numRuns: TABLES, seed: SEED });
  const requests = fc.sample(randomRequest, { numRuns: TABLES * REQUESTS, seed: SEED });
  const applications = await startApplications(t);
  const { mesh, diagnostics } = configurationOf([{ file: 'in.yaml', text: documents(tables, applications) }]);
  assert.deepEqual(
    diagnostics.filter(({ severity }) => severity === 'error'),
    [],
  );
  const ports = await freePorts(TABLES);
  const upstreams = ports.map((port, i) => ({
    serviceHost: `shop-${i}.default.mesh`,
    servicePort: 9080,
    listen: { address: '127.0.0.1', port },
  }));
  const envoy = await startEnvoy(t, mesh, host({ upstreams, callerIdentity: undefined }), []);
  await eventually('its listeners are open', async () => {
    assert.equal(await envoy.stat('listener_manager.workers_started'), 1);
  });
  const outcomes: Record<string, number> = {};
  for (const [i, one] of requests.entries()) {
    const table = i % TABLES;
    const ownAuthority = `shop-${table}.default.mesh:9080`;
    const written = {
      to: `http://${ownAuthority}${one.path}`,
      method: one.method,
      headers: [
        ...Object.entries(one.headers).map(([name, value]) => `${name}: ${value}`),
        ...(one.authority === undefined ? [] : [`host: ${one.authority}`]),
      ],
    };
    const explanation = explain(
      mesh,
      {
        namespace: 'default',
        name: 'caller',
        labels: {},
        identity: undefined,
        locality: { region: '', zone: '', subzone: '' },
      },
      parseRequest(written),
    );
    const outcome = await send(ports[table] ?? 0, one, ownAuthority);
    outcomes[explanation.outcome] = (outcomes[explanation.outcome] ?? 0) + 1;
    try {
      check(explanation, outcome, one, ownAuthority);
    } catch (error) {
      const told = JSON.stringify({ request: one, table: tables[table], explanation, outcome }, undefined, 1);
      throw new Error(`request ${i} of table ${table}: ${String(error)}\n${told}`, { cause: error });
    }
  }
  // Else the test would say nothing of them.
  for (const kind of ['forwarded', 'redirected', 'answered', 'not-found'])
    assert.ok((outcomes[kind] ?? 0) > 20, `${kind}: ${outcomes[kind] ?? 0}`);
});
