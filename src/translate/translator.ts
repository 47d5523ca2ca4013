/** The whole of translation: what is built for a host, and what of the last call still holds. */
import { changedKeys } from '../lib/changed-keys.ts';
import type { Diagnostic } from '../model/diagnostic.ts';
import type { Host } from '../model/host.ts';
import type { Mesh } from '../model/mesh.ts';
import type { Resources } from '../xds/resource.ts';
import { dynamicDnsOf } from './clusters/dynamic-dns.ts';
import { dnsListener, dnsListenerName } from './dns/dns-listener.ts';
import { dnsTable } from './dns/dns-names.ts';
import { InboundSide } from './inbound/inbound-side.ts';
import { listenerName } from './names.ts';
import { OutboundSide } from './outbound/outbound-side.ts';
import { PatchStage } from './patches/patch-stage.ts';
import { gatewayCalls } from './rate-limit/gateway-rate-limits.ts';
import { type Recomputed, ResourceUnits } from './resource-units.ts';
import { type HostCalling, hostCalling } from './view/calling.ts';
import { labelsDecide } from './view/client-labels.ts';
import { type RuleChanges, ruleChanges } from './view/rule-changes.ts';

export type { Recomputed } from './resource-units.ts';

/** What all of one translation has in common. */
type Parts = Omit<Parameters<OutboundSide['translate']>[0], 'ownCalls'>;

/** What a translation was made from. */
interface Basis {
  readonly mesh: Mesh;
  readonly host: Host;
  readonly calling: HostCalling;
  readonly byLabels: boolean;
  readonly ownCalls: Parameters<OutboundSide['translate']>[0]['ownCalls'];
}

const MOST_PARTIAL = 200;

/** Makes the resources of one host's Envoy. Keeps those of the last call: what did not change is the same object. */
export class Translator {
  readonly #units = new ResourceUnits();
  readonly #inbound = new InboundSide();
  readonly #outbound = new OutboundSide();
  readonly #patches = new PatchStage();
  /** What the last translation was made from. */
  #basis: Basis | undefined;
  /** How many translations have looked at changed rules alone since one that looked at everything. */
  #partial = 0;

  get recomputed(): Recomputed {
    return this.#units.recomputed;
  }

  /** What the last translation could not encode, and therefore kept from the one before or left out. */
  get failures(): readonly Diagnostic[] {
    return [...this.#units.failures, ...this.#patches.diagnostics];
  }

  /** The clusters, load assignments, listeners and route configurations of `host`; secrets are not among them. */
  translate(mesh: Mesh, host: Host): Resources {
    const units = this.#units;
    const changed = this.#endpointsAlone(mesh, host);
    const calling = this.#basis?.host === host ? this.#basis.calling : hostCalling(host);
    const byLabels = changed === undefined ? labelsDecide(mesh) : (this.#basis?.byLabels ?? false);
    const all = { units, mesh, host, calling, byLabels };
    if (changed === undefined) {
      const ownCalls = this.#rulesAlone(all) ?? this.#everything(all);
      this.#basis = { mesh, host, calling, byLabels, ownCalls };
    } else {
      this.#basis = { ...(this.#basis ?? { ownCalls: [] }), mesh, host, calling, byLabels };
      // The common change, at a cost that does not grow with what else there is.
      units.resume();
      this.#inbound.translateEndpoints(all, changed);
      this.#outbound.translateEndpoints(all, changed);
    }
    return this.#patches.apply(units.finish(), mesh, host, (type, name) => units.owner(type, name));
  }

  #everything(all: Parts): Basis['ownCalls'] {
    const { units, mesh, host } = all;
    this.#partial = 0;
    units.begin();
    const ownCalls = [...this.#inbound.translate(units, mesh, host), ...gatewayCalls(mesh, host)];
    this.#outbound.translate({ ...all, ownCalls });
    this.#dns(mesh, host);
    units.sweep();
    return ownCalls;
  }

  /** What changed rules and services concern, of all that the last translation made; undefined when that is not enough. */
  #rulesAlone(all: Parts): Basis['ownCalls'] | undefined {
    const basis = this.#basis;
    const { units, mesh, host, byLabels } = all;
    // Memos of what is no more end with a translation of everything.
    const whole = this.#partial >= MOST_PARTIAL || units.failures.length > 0;
    if (whole || basis?.host !== host || basis.byLabels !== byLabels) return undefined;
    const changes = ruleChanges(basis.mesh, mesh);
    if (changes === undefined || dynamicDnsOf(basis.mesh) !== dynamicDnsOf(mesh)) return undefined;
    if (concernsMoreThanCalls(changes, mesh, host)) return undefined;
    units.resume();
    this.#outbound.translateRules({ ...all, ownCalls: basis.ownCalls }, changes.touched);
    this.#partial++;
    return basis.ownCalls;
  }

  /** The names of services called by name. */
  #dns(mesh: Mesh, host: Host): void {
    const { dns } = host;
    if (dns === undefined) return;
    const table = dnsTable(mesh.services, mesh.config, host);
    const learner = dns.learner === undefined ? undefined : listenerName(dns.learner);
    const inputs = [listenerName(dns.listen), learner, JSON.stringify([...table])];
    this.#units.own('listeners', dnsListenerName(dns.listen), 'nobody');
    this.#units.make('listeners', dnsListenerName(dns.listen), inputs, () => dnsListener(dns, table));
  }

  /** The services whose endpoints are others than last time, or undefined when anything else is another as well. */
  #endpointsAlone(mesh: Mesh, host: Host): readonly string[] | undefined {
    const basis = this.#basis;
    if (basis?.host !== host || this.#units.failures.length > 0) return undefined;
    const { endpoints: before, ...rest } = basis.mesh;
    const same = (Object.keys(rest) as (keyof typeof rest)[]).every(
      (part) => part === 'diagnostics' || rest[part] === mesh[part],
    );
    return same ? changedKeys(before, mesh.endpoints) : undefined;
  }
}

/**
 * Whether a change concerns what peers reach here, the calls that Envoy makes itself, or the names that DNS and the proxy
 * of the host know.
 */
function concernsMoreThanCalls({ touched, services }: RuleChanges, mesh: Mesh, host: Host): boolean {
  const isTouched = (serviceHost: string): boolean =>
    touched(mesh.services.get(serviceHost) ?? { host: serviceHost, aliases: [] });
  if (host.workloads.some(({ serviceHost }) => isTouched(serviceHost))) return true;
  if (services.size === 0) return false;
  if (mesh.rateLimits.some(({ server }) => server !== undefined && services.has(server.host))) return true;
  const knowsNames = host.dns !== undefined || host.proxy !== undefined;
  return knowsNames && (host.namedUpstreams ?? []).some(({ serviceHost }) => services.has(serviceHost));
}
