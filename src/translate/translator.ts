/** The whole of translation: what is built for a host, and what of the last call still holds. */
import type { Diagnostic } from '../model/diagnostic.ts';
import type { Host } from '../model/host.ts';
import type { Mesh } from '../model/mesh.ts';
import type { Resources } from '../xds/resource.ts';
import { type HostCalling, hostCalling } from './calling.ts';
import { labelsDecide } from './client-labels.ts';
import { dnsListener, dnsListenerName } from './dns-listener.ts';
import { dnsTable } from './dns-names.ts';
import { InboundSide } from './inbound-side.ts';
import { listenerName } from './names.ts';
import { OutboundSide } from './outbound-side.ts';
import { PatchStage } from './patches/patch-stage.ts';
import { type Recomputed, ResourceUnits } from './resource-units.ts';

export type { Recomputed } from './resource-units.ts';

/** Makes the resources of one host's Envoy. Keeps those of the last call: what did not change is the same object. */
export class Translator {
  readonly #units = new ResourceUnits();
  readonly #inbound = new InboundSide();
  readonly #outbound = new OutboundSide();
  readonly #patches = new PatchStage();
  /** What the last translation was made from. */
  #basis: { readonly mesh: Mesh; readonly host: Host; readonly calling: HostCalling } | undefined;

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
    this.#basis = { mesh, host, calling };
    const all = { units, mesh, host, calling, byLabels: labelsDecide(mesh) };
    if (changed === undefined) {
      units.begin();
      const ownCalls = this.#inbound.translate(units, mesh, host);
      this.#outbound.translate({ ...all, ownCalls });
      this.#dns(mesh, host);
      units.sweep();
    } else {
      // The common change, at a cost that does not grow with what else there is.
      units.resume();
      this.#inbound.translateEndpoints(all, changed);
      this.#outbound.translateEndpoints(all, changed);
    }
    return this.#patches.apply(units.finish(), mesh, host, (type, name) => units.owner(type, name));
  }

  /** The names of services called by name. */
  #dns(mesh: Mesh, host: Host): void {
    const { dns } = host;
    if (dns === undefined) return;
    const table = dnsTable(mesh.services, mesh.config, host);
    const learner = dns.learner === undefined ? undefined : listenerName(dns.learner);
    const inputs = [listenerName(dns.listen), learner, JSON.stringify([...table])];
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
    if (!same || before.size !== mesh.endpoints.size) return undefined;
    return [...mesh.endpoints].flatMap(([service, endpoints]) => (before.get(service) === endpoints ? [] : [service]));
  }
}
