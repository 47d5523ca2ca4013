/** Our judgement of regular expressions against Envoy's own: what we let through it must take, what we refuse it must refuse. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { readRegex } from '../../src/sources/regex-syntax.ts';
import { tempDir } from '../support/temp-dir.ts';
import { envoyBinary } from '../support/tools.ts';

const run = promisify(execFile);

const PATTERNS = [
  `(${'ab'.repeat(20)}){1000}`,
  `(${'ab'.repeat(10)}){1000}`,
  '\\pL{1000}',
  '.*',
  '^/api/v[12]/.*$',
  '(?i)chrome.*',
  '(?P<id>\\d+)',
  '(?<id>\\d+)',
  '(?:a|b)+?',
  '(?i:a)b',
  '(?i-s:a)b',
  '(?-i)b',
  '[[:alpha:]_]+',
  '[]a]+',
  '[^]a]',
  '\\pL\\PN',
  '\\Qa.b\\E',
  'a{2,3}',
  'a{2}?',
  'a{,3}',
  'a{x}',
  '{2}',
  '\\.\\-\\/',
  '\\x41\\z',
  '\\bfoo\\B',
  'a|',
  '|a',
  '()',
  '^*',
  'a(?=b)',
  'a(?!b)',
  '(?<=a)b',
  '(?>a)',
  '(?#x)',
  '(a)\\1',
  '(?P<x>a)\\k<x>',
  'a\\Z',
  'a\\G',
  '[\\1]',
  '*a',
  '(+a)',
  'a|*',
  'a**',
  'a++',
  'a?*',
  'a+??',
  'a{1001}',
  'a{3,2}',
  '(a',
  'a)',
  '[a',
  '[z-a]',
  '[a-a]',
  '[a-]',
  '[-a]',
  '[a-z-9]',
  '[+--]',
  '[\\d-z]',
  '[a-\\d]',
  '[\\b]',
  '[\\x41-\\x5a]',
  '[[:foo:]]',
  '[[:^alpha:]]',
  '[[a]',
  '[]',
  '[^]',
  '\\p{Greek}\\p{Lu}\\p{^L}',
  '\\p{Nonsense}',
  '\\pX',
  '\\x4',
  '\\x{41}',
  '\\x{110000}',
  '\\Q(*\\E+',
  '\\Q(',
  '(a{100}){10}',
  '(a{100}){11}',
  '((a{20}){20}b){3}',
  '(a*){1000}',
  '(a{2,}){600}',
  '(?:)*',
  '(|a)*',
  '(?i)*',
  '$*',
  '\\b+',
  '\\00',
  '\\07',
  '\\-',
  '\\_',
  'ü{3}',
  '.{1000}',
  '(((((a)))))',
  'a\\',
  '\\y',
];

/** Envoy's RE2 takes these, the one that Istio checks with does not. */
const REFUSED_BY_ISTIO = ['(?P<a>x)(?P<a>y)', '\\C'];

/** A whole static configuration with a route a pattern. */
function bootstrap(patterns: readonly string[]): string {
  const routes = patterns.map((regex) => ({
    match: { safe_regex: { regex } },
    direct_response: { status: 200 },
  }));
  const manager = {
    '@type': 'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager',
    stat_prefix: 'x',
    http_filters: [
      {
        name: 'router',
        typed_config: { '@type': 'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router' },
      },
    ],
    route_config: { virtual_hosts: [{ name: 'x', domains: ['*'], routes }] },
  };
  const address = { socket_address: { address: '127.0.0.1', port_value: 0 } };
  const chain = { filters: [{ name: 'http', typed_config: manager }] };
  return JSON.stringify({
    // Envoy's own limit is 100, less than a common path takes; ours is in the bootstrap, as Istio's.
    layered_runtime: {
      layers: [{ name: 'static', static_layer: { 're2.max_program_size.error_level': 32_768 } }],
    },
    static_resources: { listeners: [{ name: 'x', address, filter_chains: [chain] }] },
  });
}

test('what Istio refuses is refused', () => {
  for (const pattern of REFUSED_BY_ISTIO) assert.ok('problem' in readRegex(pattern), pattern);
});

test('our judgement of regular expressions is that of Envoy', async (t) => {
  const dir = await tempDir(t);
  const envoyTakes = async (name: string, patterns: readonly string[]): Promise<boolean> => {
    const file = join(dir, `${name}.json`);
    await writeFile(file, bootstrap(patterns));
    try {
      await run(envoyBinary(), ['--mode', 'validate', '-c', file, '-l', 'critical'], { timeout: 60_000 });
      return true;
    } catch (error) {
      assert.ok(error instanceof Error && 'stderr' in error);
      // Only a refusal counts, not a failure to run.
      assert.match(String(error.stderr), /error initializing configuration|[Ii]nvalid|regex/);
      return false;
    }
  };
  const accepted = PATTERNS.filter((pattern) => !('problem' in readRegex(pattern)));
  // One run says that all of them are fine; only when it does not, each is asked for.
  if (!(await envoyTakes('accepted', accepted)))
    for (const [i, pattern] of accepted.entries())
      assert.ok(await envoyTakes(`accepted-${i}`, [pattern]), `Envoy refuses ${pattern}, which we accept`);
  for (const [i, pattern] of PATTERNS.entries())
    if (!accepted.includes(pattern))
      assert.equal(await envoyTakes(`refused-${i}`, [pattern]), false, `Envoy takes ${pattern}, which we refuse`);
});
