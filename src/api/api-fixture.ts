/** What tests of the local API start from: an agent of a host on which nothing runs yet. */
import { TrysailError } from '../lib/errors.ts';
import type { ApiHandlers } from './server.ts';
import type { Status } from './status.ts';
import { VERSION } from './version.ts';

export const IDLE: Status = {
  agent: { version: VERSION, pid: 1, since: '2026-01-01T00:00:00Z', state: 'running', lastGood: false },
  host: { name: 'vm-1', address: '10.0.0.5', trustDomain: 'cluster.local' },
  services: [],
  upstreams: [],
  envoy: { state: 'running', ready: true, restarts: 0 },
  xds: [],
  certificates: { provider: 'none', workloads: [], roots: [] },
  plainText: [],
  diagnostics: [],
};

/** Answers of that agent; to `explain` a refusal. */
export const IDLE_HANDLERS: ApiHandlers = {
  status: () => IDLE,
  rotate: ({ spiffeId = 'all' }) => ({ renewed: [{ spiffeId, serial: '01' }] }),
  reload: () => ({ diagnostics: [] }),
  capture: () => ({ state: 'unconfigured', waitingFor: [], unknownUsers: [] }),
  analyze: () => ({ diagnostics: [] }),
  explain: () => {
    throw new TrysailError('AGENT_STARTING', 'the agent is still starting');
  },
};
