/** Consul as this host sees it: reachable, with a leader, new enough, of one time, with room for our connections. */

import { parseConsulAddress } from '../consul/address.ts';
import { fieldsOf, jsonOf, numberOf, textOf } from '../consul/answer.ts';
import { tokenFromFile } from '../consul/token-file.ts';
import { type ConsulReply, createTransport, type Transport } from '../consul/transport.ts';
import { TrysailError } from '../lib/errors.ts';
import type { Diagnostic } from '../model/diagnostic.ts';
import { type CheckOutcome, finding, type HostCheck } from '../platform/vm/checks/host-check.ts';
import { clockSkew } from './check-skew.ts';
import type { AgentSettings } from './settings.ts';

const TIMEOUT_MS = 4000;
/** Beside the watches: registration, checks, a `trysail` command or two. */
const OTHER_CONNECTIONS = 16;
/** The oldest that is tested; docs/consul.md. */
const OLDEST = [1, 8] as const;

/** A transport as the agent's, which ends with `work`. */
export async function withConsul<T>(
  { consul }: AgentSettings,
  work: (transport: Transport, address: string) => Promise<T>,
): Promise<T> {
  const { address, tokenFile, caFile, certFile, keyFile } = consul;
  const tls = {
    ...(caFile === undefined ? {} : { caFile }),
    ...(certFile === undefined ? {} : { certFile }),
    ...(keyFile === undefined ? {} : { keyFile }),
  };
  const parsed = parseConsulAddress(address);
  const token = tokenFile === undefined ? undefined : tokenFromFile(tokenFile);
  const transport = createTransport(parsed, { token, tls });
  try {
    return await work(transport, parsed.text);
  } finally {
    transport.close();
  }
}

/** The outcome of a check that Consul did not let come to its end. */
export function consulFailure(error: unknown): CheckOutcome {
  if (!(error instanceof TrysailError)) throw error;
  const remedy = error.remedy ?? 'Look into the log of the Consul agent.';
  return { facts: [], findings: [finding('TRY1140', 'error', 'consul.address', error.message, remedy)] };
}

function judgeSelf(
  reply: ConsulReply,
  settings: AgentSettings,
  address: string,
): { facts: string[]; findings: Diagnostic[] } {
  if (reply.status !== 200)
    return { facts: ['the token may not read the agent: its version and limits are not known'], findings: [] };
  const self = fieldsOf(jsonOf(reply, { address, what: 'GET /v1/agent/self' }));
  const config = fieldsOf(self['Config']);
  const version = textOf(config['Version'], 'of unknown version');
  const findings: Diagnostic[] = [];
  const [major = 0, minor = 0] = version.split('.').map(Number);
  if (major < OLDEST[0] || (major === OLDEST[0] && minor < OLDEST[1]))
    findings.push(
      finding(
        'TRY1140',
        'warning',
        'Consul',
        `${version} is older than any that Trysail is tested with`,
        'Use Consul 1.8.7 or later.',
      ),
    );
  const limit = numberOf(fieldsOf(self['DebugConfig'])['HTTPMaxConnsPerClient']);
  const wanted = settings.consul.maxWatches + OTHER_CONNECTIONS;
  if (limit > 0 && limit < wanted)
    findings.push(
      finding(
        'TRY1142',
        'warning',
        'Consul',
        `it allows ${limit} connections from one address, and this host may need ${wanted} (consul.maxWatches and some)`,
        `Set limits { http_max_conns_per_client = ${Math.max(200, wanted)} } in Consul's configuration, or lower consul.maxWatches.`,
      ),
    );
  return {
    facts: [
      `${version}, ${config['Server'] === true ? 'server' : 'client'} agent ${textOf(config['NodeName'])} in ${textOf(config['Datacenter'])}`,
      ...(limit > 0 ? [`${limit} connections allowed`] : []),
    ],
    findings,
  };
}

/** Reachability, leader, version, clock and limits. */
export function consulCheck(settings: AgentSettings): HostCheck {
  return {
    name: 'consul',
    needsConfiguration: true,
    timeoutMs: 9000,
    async run({ io, signal }) {
      if (settings.registry !== 'consul') return { facts: [], findings: [], skipped: 'not used (registry: files)' };
      try {
        return await withConsul(settings, async (transport, address) => {
          const get = async (path: string): Promise<ConsulReply> =>
            transport.send({ method: 'GET', path, timeoutMs: TIMEOUT_MS, signal, accept: [401, 403] });
          const askedMs = io.now();
          const leader = await get('/v1/status/leader');
          const skew = clockSkew(`Consul at ${address}`, leader.headers.date, { askedMs, answeredMs: io.now() });
          const findings = skew.finding === undefined ? [] : [skew.finding];
          if (leader.status === 200 && leader.body.toString().trim() === '""')
            findings.push(
              finding(
                'TRY1140',
                'error',
                'Consul',
                `the servers behind ${address} have no leader`,
                'Check consul operator raft list-peers, and the network between the servers.',
              ),
            );
          const self = judgeSelf(await get('/v1/agent/self'), settings, address);
          return {
            facts: [address, ...self.facts, ...(skew.fact === undefined ? [] : [skew.fact])],
            findings: [...findings, ...self.findings],
          };
        });
      } catch (error) {
        signal.throwIfAborted();
        return consulFailure(error);
      }
    },
  };
}
