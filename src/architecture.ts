/** The table of rooms (folders of src/) and what each may import. Imports go one way; `architecture.test.ts` holds it. */

interface Room {
  readonly mayImport: readonly string[];
  /** Rooms of which only types may be imported. */
  readonly typesOf?: readonly string[];
  /** Whether it may use Node's own modules. */
  readonly noNode?: boolean;
  readonly because: string;
}

/** What a room of composition may wire. */
const ALL_BELOW = [
  'lib',
  'gen',
  'model',
  'consul',
  'sources',
  'xds',
  'translate',
  'identity',
  'register',
  'envoy-api',
  'envoy',
  'platform',
  'telemetry',
  'fleet',
  'analysis',
  'api',
] as const;

export const ROOMS: Readonly<Record<string, Room>> = {
  lib: { mayImport: [], because: 'leaves know nothing of the project' },
  gen: { mayImport: [], because: 'generated from protos/' },
  model: { mayImport: ['lib'], because: 'the words of the mesh depend on nobody who uses them' },
  consul: { mayImport: ['lib'], because: 'a thin client, usable without a mesh' },
  sources: {
    mayImport: ['model', 'consul', 'gen', 'lib'],
    because: 'makes the Mesh; what becomes of it is not its business',
  },
  xds: { mayImport: ['gen', 'lib'], because: 'knows the discovery protocol and nothing of Istio or Consul' },
  'envoy-api': { mayImport: ['gen', 'lib'], because: "Envoy's messages as JSON, whoever makes or shows them" },
  translate: {
    mayImport: ['model', 'envoy-api', 'gen', 'lib'],
    typesOf: ['xds'],
    noNode: true,
    because: 'pure: (Mesh, Host) → Resources',
  },
  identity: { mayImport: ['consul', 'model', 'gen', 'lib'], because: 'certificates reach Envoy through the agent' },
  register: { mayImport: ['consul', 'model', 'lib'], because: 'writes what this host runs into Consul' },
  envoy: { mayImport: ['envoy-api', 'gen', 'lib'], because: 'the process, whatever it is configured to do' },
  platform: { mayImport: ['model', 'lib'], because: 'only what differs between kinds of hosts' },
  telemetry: { mayImport: ['envoy', 'model', 'lib'], because: 'reads what Envoy counts' },
  fleet: {
    mayImport: ['consul', 'sources', 'model', 'lib'],
    because: 'signed configuration in Consul: published and followed; what it means is decided elsewhere',
  },
  analysis: {
    mayImport: ['sources', 'translate', 'envoy-api', 'model', 'gen', 'lib'],
    typesOf: ['xds'],
    because: 'tells people what configuration means, without Consul and Envoy',
  },
  api: { mayImport: ['model', 'lib'], because: 'the local API is data, whoever serves it' },
  agent: {
    mayImport: ALL_BELOW,
    because: 'composition: the only room that wires them',
  },
  server: {
    mayImport: ALL_BELOW,
    because: 'composition of the second role',
  },
  cli: {
    mayImport: ['agent', 'server', 'api', 'analysis', 'fleet', 'sources', 'model', 'translate', 'lib'],
    because: 'commands ask, they do not implement',
  },
  ui: { mayImport: [], typesOf: ['api'], because: 'runs in a browser' },
};

const IMPORT =
  /^\s*(?:import|export)\b(?<clause>[^'"]*?)\bfrom\s*'(?<from>[^']+)'|^\s*import\s*'(?<bare>[^']+)'|\bimport\(\s*'(?<dynamic>[^']+)'/gm;

function roomOfImport(file: string, specifier: string): string {
  const segments = file.split('/').slice(0, -1);
  for (const step of specifier.split('/')) {
    if (step === '..') segments.pop();
    else if (step !== '.') segments.push(step);
  }
  return segments[0] ?? '';
}

/**
 * The imports of one file that the table forbids, each as a sentence.
 * @param file path below src/, such as `translate/clusters.ts`
 */
export function roomViolations(file: string, text: string): readonly string[] {
  const room = file.split('/')[0] ?? '';
  const rule = ROOMS[room];
  if (rule === undefined) return [];
  const isTest = file.endsWith('.test.ts');
  const violations: string[] = [];
  for (const { groups = {} } of text.matchAll(IMPORT)) {
    const specifier = groups['from'] ?? groups['bare'] ?? groups['dynamic'] ?? '';
    if (specifier.startsWith('node:')) {
      if (rule.noNode === true && !isTest)
        violations.push(`src/${file}: ${room} may not import ${specifier}: ${rule.because}`);
      continue;
    }
    if (!specifier.startsWith('.')) continue;
    const target = roomOfImport(file, specifier);
    if (target === room || rule.mayImport.includes(target)) continue;
    if (rule.typesOf?.includes(target) === true) {
      if (/^\s*type\b/.test(groups['clause'] ?? '') || isTest) continue;
      violations.push(`src/${file}: ${room} may import only types of ${target}: ${rule.because}`);
      continue;
    }
    violations.push(`src/${file}: ${room} may not import ${target} (${specifier}): ${rule.because}`);
  }
  return violations;
}
