/** What the agent answers on its local API. */
import type { ApiHandlers } from '../api/server.ts';
import { ListeningPorts } from '../envoy/port-owner.ts';
import { TrysailError } from '../lib/errors.ts';
import { compareDiagnostics } from '../model/diagnostic.ts';
import { bypassDiagnostics } from './bypass-report.ts';
import { bypassable } from './bypassable.ts';
import { isExternal } from './envoy-side.ts';
import { uidOf } from './free-addresses.ts';
import type { HostSide } from './host-side.ts';
import type { MeshSide } from './mesh-side.ts';
import type { Reloading } from './reloading.ts';
import { type AgentParts, reportStatus } from './status-report.ts';

function starting(): TrysailError {
  return new TrysailError('AGENT_STARTING', 'the agent is still starting', { remedy: 'Try again in a moment.' });
}

/** The mesh's side of the agent. @throws TrysailError `AGENT_STARTING` */
function started({ mesh }: AgentParts): MeshSide {
  if (mesh !== undefined) return mesh;
  throw starting();
}

/** The calls of `api/routes.ts`, each answered from the agent as it is then. */
export function apiHandlers(parts: AgentParts, host: HostSide, reloading: Reloading): ApiHandlers {
  return {
    status: async () => {
      const { pids } = parts.envoy;
      const ports = await ListeningPorts.lookAside(pids);
      const envoyUid = isExternal(parts.settings) ? uidOf(pids[0]) : undefined;
      const isKept = (port: number): boolean => host.isKept(port);
      const report = reportStatus(parts, bypassable(parts.settings, { ports, envoyUid, isKept }));
      const diagnostics = [...report.diagnostics, ...(await bypassDiagnostics(parts.settings.paths.run))];
      return { ...report, diagnostics: diagnostics.sort(compareDiagnostics) };
    },
    rotate: async (request) => ({ renewed: await started(parts).identity.rotateNow(request?.spiffeId) }),
    reload: async () => ({ diagnostics: await reloading.run(started(parts)) }),
    analyze: async () => {
      const { mesh } = started(parts).loop;
      if (mesh === undefined) throw starting();
      const { analyze } = await import('../analysis/analyze.ts');
      // It follows only those services of Consul that are called from here.
      return { diagnostics: analyze(mesh, { mayBeElsewhere: parts.settings.registry !== 'files' }) };
    },
    explain: async (request) => {
      const { mesh, host: own } = started(parts).loop;
      if (mesh === undefined) throw starting();
      // Seldom asked for, and large.
      const { explainOnHost } = await import('../analysis/explain-question.ts');
      return explainOnHost(mesh, own, request);
    },
    capture: async (request) => {
      started(parts);
      return host.call(request);
    },
  };
}
