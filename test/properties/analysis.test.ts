/** Whatever the configuration: analysis, rendering and explanation answer, or say what of the question is wrong. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { analyze } from '../../src/analysis/analyze.ts';
import { configurationOf } from '../../src/analysis/configuration.ts';
import type { DescribedWorkload } from '../../src/analysis/described-workload.ts';
import { explainOffline, explainOnHost } from '../../src/analysis/explain-question.ts';
import { offlineHost } from '../../src/analysis/offline-host.ts';
import { render } from '../../src/analysis/render.ts';
import { resourcesJson } from '../../src/analysis/resources-json.ts';
import { summaryTables } from '../../src/analysis/summary.ts';
import { TrysailError } from '../../src/lib/errors.ts';
import { some } from '../traffic/odd-routes.ts';
import { drawn, tries } from './drawn.ts';
import { aHost, aNamespace, aPort, filesOf, someLabels } from './words.ts';

/** What a question may be refused with. */
const ANSWERS = new Set(['REQUEST_INVALID', 'WORKLOAD_UNKNOWN']);

const question = fc
  .tuple(
    fc.constantFrom('http', 'https', 'tls', 'tcp', 'grpc'),
    fc.oneof(aHost, fc.constantFrom('a', 'b.default.mesh', 'nobody.example', '240.240.1.1', '[fd00::1]')),
    aPort,
    fc.constantFrom('', '/', '/api?q=1', '/%2e%2e/'),
    some({
      from: fc.constantFrom('a', 'a.default', 'shop/b', 'nobody.nowhere'),
      method: fc.constantFrom('GET', 'POST'),
      headers: fc.constantFrom(['x-a: x'], [':authority: api', 'cookie: a=b']),
      sni: fc.constantFrom('www.example.com', 'other.example.com'),
    }),
  )
  .map(([scheme, host, port, path, rest]) => ({ to: `${scheme}://${host}:${port}${path}`, ...rest }));

const workload: fc.Arbitrary<DescribedWorkload> = fc.record({
  namespace: aNamespace,
  name: fc.constantFrom('a', 'b', undefined),
  labels: fc.oneof(someLabels, fc.constant({ istio: 'ingress' })),
  serviceAccount: fc.constantFrom('a', undefined),
  address: fc.constantFrom('10.0.0.1', '10.0.0.7', undefined),
  locality: fc.constant({ region: 'eu', zone: 'a', subzone: '1' }),
});

/** The answer, unless the question itself is refused. */
function answer<T>(ask: () => T): T | undefined {
  try {
    return ask();
  } catch (error) {
    if (error instanceof TrysailError && ANSWERS.has(error.code)) return undefined;
    throw error;
  }
}

test('render, explain and analyze answer of any configuration', () => {
  const mode = fc.constantFrom('loopback', 'capture', 'gateway');
  let explained = 0;
  let rendered = 0;
  fc.assert(
    fc.property(drawn, workload, mode, question, fc.boolean(), (one, described, how, asked, mayBeElsewhere) => {
      const configuration = configurationOf(filesOf(one.resources), one.config);
      const { mesh } = configuration;
      const { serviceEntries } = configuration.resources;
      for (const { code, message, remedy } of analyze(mesh, { mayBeElsewhere, serviceEntries }))
        assert.ok(message !== '' && remedy !== undefined, `${code} has no remedy: ${message}`);

      const host = answer(() => offlineHost(configuration, described, how));
      if (host !== undefined) {
        const { resources } = render(configuration, host);
        rendered += summaryTables(resourcesJson(resources)).length > 0 ? 1 : 0;
      }

      for (const ask of [
        () => explainOffline(configuration, asked, undefined),
        () => explainOffline(configuration, asked, described),
        () => explainOnHost(mesh, one.host, asked),
      ]) {
        const told = answer(ask);
        if (told !== undefined && told.destinations.length > 0) explained++;
      }
    }),
    tries(150),
  );
  assert.ok(rendered > 0 && explained > 0, `${rendered} rendered, ${explained} explained`);
});
