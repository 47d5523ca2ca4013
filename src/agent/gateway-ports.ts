/**
 * Keeps the listeners of gateways off ports that somebody else has. Which ports those are, resources say: they are looked
 * up when Gateways change, and again until they are free.
 */
import { ListeningPorts } from '../envoy/port-owner.ts';
import type { Diagnostic } from '../model/diagnostic.ts';
import { formatListen, type GatewayRole, type Host, type SocketAddress } from '../model/host.ts';
import type { Mesh } from '../model/mesh.ts';
import { mergeServers } from '../translate/gateway/gateway-servers.ts';
import { occupied, uidOf } from './free-addresses.ts';

/** How often a port that was in use is looked at again. */
const RETRY_MS = 5000;

export interface GatewayPortsOptions {
  /** Pids of our Envoys, whose listeners are in nobody's way. */
  readonly envoyPids: () => readonly number[];
  /** A port that was in use is to be looked at again: ask `of`. */
  readonly onDue: () => void;
  readonly retryMs?: number;
}

function listens(mesh: Mesh, role: GatewayRole): readonly SocketAddress[] {
  return mergeServers(mesh.gateways, role).ports.map(({ listen }) => listen);
}

export class GatewayPorts {
  readonly #options: GatewayPortsOptions;
  #last: { readonly gateways: Mesh['gateways']; readonly host: Host; readonly usable: Host } | undefined;
  /** Ports that were free when they were first asked for are Envoy's from then on. */
  #ours: ReadonlySet<string> = new Set();
  #diagnostics: readonly Diagnostic[] = [];
  #retry: NodeJS.Timeout | undefined;

  constructor(options: GatewayPortsOptions) {
    this.#options = options;
  }

  /** Which listeners are left out, and who has their ports. */
  get diagnostics(): readonly Diagnostic[] {
    return this.#diagnostics;
  }

  /** `host` with what its gateways cannot listen at; the same object while nothing is another. */
  of(mesh: Mesh, host: Host): Host {
    const { gateways } = mesh;
    if (host.gateways === undefined || host.gateways.length === 0) return host;
    if (this.#last?.gateways !== gateways || this.#last.host !== host)
      this.#last = { gateways, host, usable: this.#look(mesh, host, host.gateways) };
    return this.#last.usable;
  }

  stop(): void {
    clearTimeout(this.#retry);
  }

  #look(mesh: Mesh, host: Host, roles: readonly GatewayRole[]): Host {
    clearTimeout(this.#retry);
    const diagnostics: Diagnostic[] = [];
    const envoyPids = this.#options.envoyPids();
    const wanted = roles.map((role) => ({ role, listens: listens(mesh, role) }));
    const all = wanted.flatMap((one) => one.listens.map(formatListen));
    const isKnown = all.every((listen) => this.#ours.has(listen));
    const ports = isKnown ? undefined : ListeningPorts.look(envoyPids);
    const envoyUid = uidOf(envoyPids[0]);
    const taken = new Set<string>();
    for (const { role, listens: own } of wanted)
      for (const listen of own) {
        const text = formatListen(listen);
        if (ports === undefined || this.#ours.has(text) || taken.has(text)) continue;
        const diagnostic = occupied(`gateway ${role.namespace}/${role.name}`, listen, ports, envoyUid);
        if (diagnostic === undefined) continue;
        taken.add(text);
        diagnostics.push({
          ...diagnostic,
          remedy: 'Free the port, or choose another in "gateways[].ports" of agent.yaml.',
        });
      }
    this.#ours = new Set(all.filter((listen) => !taken.has(listen)));
    this.#diagnostics = diagnostics;
    if (taken.size === 0) return host;
    this.#retry = setTimeout(() => {
      this.#last = undefined;
      this.#options.onDue();
    }, this.#options.retryMs ?? RETRY_MS).unref();
    return {
      ...host,
      gateways: wanted.map(({ role, listens: own }) => {
        const without = own.map(formatListen).filter((listen) => taken.has(listen));
        return without.length === 0 ? role : { ...role, taken: without };
      }),
    };
  }
}
