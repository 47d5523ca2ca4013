/**
 * Keeps a resource that Envoy refused from costing more than itself: it is replaced by its last accepted version until
 * translation makes a different one. Envoy itself holds its last good state only as long as it lives; this holds it for
 * the next one too. Without an accepted version the resource stays as it is, which the xDS server does not send again:
 * leaving it out would have Envoy remove what an agent of before gave it and what it still serves with.
 */
import type { Diagnostic } from '../model/diagnostic.ts';
import type { Resource, Resources, TypeUrl } from '../xds/resource.ts';

/** What a rejection said, as the xDS server reports it. */
export interface Rejection {
  readonly typeUrl: TypeUrl;
  /** The resources that are to blame; empty when Envoy's message names none. */
  readonly names: readonly string[];
  readonly message: string;
}

interface Refused {
  /** The version that was refused, by identity. */
  readonly resource: Resource;
  readonly message: string;
}

/** What Envoy says of a listener whose address somebody else has. */
const IN_USE = /cannot bind '([^']*):(\d+)': Address already in use/;
const REMEDY = 'Correct the resource that it was made from; its last accepted version is served until then.';

/** A port in use is not a faulty resource: often an application listens there at all addresses (0.0.0.0). */
function remedyOf(message: string): string {
  const [, address, port] = IN_USE.exec(message) ?? [];
  if (address === undefined) return REMEDY;
  return `Another program has port ${port} at ${address}, or at all addresses (ss -ltnp 'sport = :${port}'). Let it listen at one address, or, where calls are captured, call services by name at others: "dns.addresses: [240.240.0.0/16]".`;
}

const KIND = /\.([A-Za-z]+)$/;

/** `Cluster`, of `type.googleapis.com/envoy.config.cluster.v3.Cluster`. */
function kindOf(typeUrl: TypeUrl): string {
  return KIND.exec(typeUrl)?.[1] ?? typeUrl;
}

export class Quarantine {
  #served: Resources = new Map();
  readonly #accepted = new Map<TypeUrl, ReadonlyMap<string, Resource>>();
  readonly #refused = new Map<TypeUrl, Map<string, Refused>>();
  /** Rejections that name nobody, by type; cleared by the next acceptance. */
  readonly #unattributed = new Map<TypeUrl, string>();

  /** What is to be served instead of `resources`: the same object when nothing is in quarantine. */
  apply(resources: Resources): Resources {
    let result: Map<TypeUrl, ReadonlyMap<string, Resource>> | undefined;
    for (const [typeUrl, refused] of this.#refused) {
      const wanted = resources.get(typeUrl);
      const replaced = new Map(wanted);
      for (const [name, { resource }] of refused) {
        if (wanted?.get(name) !== resource) {
          refused.delete(name);
          continue;
        }
        const lastGood = this.#accepted.get(typeUrl)?.get(name);
        if (lastGood !== undefined) replaced.set(name, lastGood);
      }
      if (refused.size === 0) {
        this.#refused.delete(typeUrl);
      } else {
        result ??= new Map(resources);
        result.set(typeUrl, replaced);
      }
    }
    this.#served = result ?? resources;
    return this.#served;
  }

  /** Envoy has accepted all resources of a type as they are served now, but for those that it was said to refuse. */
  accept(typeUrl: TypeUrl): void {
    const served = this.#served.get(typeUrl);
    const refused = [...(this.#refused.get(typeUrl) ?? [])].filter(
      ([name, { resource }]) => served?.get(name) === resource,
    );
    if (served !== undefined && refused.length === 0) this.#accepted.set(typeUrl, served);
    else if (served !== undefined) {
      const accepted = new Map(served);
      for (const [name] of refused) accepted.delete(name);
      this.#accepted.set(typeUrl, accepted);
    }
    this.#unattributed.delete(typeUrl);
  }

  /** Envoy has refused. Returns whether something different is to be served now: `apply` again. */
  refuse(rejection: Rejection): boolean {
    const served = this.#served.get(rejection.typeUrl);
    let changed = false;
    for (const name of rejection.names) {
      const resource = served?.get(name);
      // The last good version refused as well (another Envoy version, say): nothing better is left to serve.
      if (resource === undefined || resource === this.#accepted.get(rejection.typeUrl)?.get(name)) continue;
      const ofType = this.#refused.get(rejection.typeUrl) ?? new Map<string, Refused>();
      ofType.set(name, { resource, message: rejection.message });
      this.#refused.set(rejection.typeUrl, ofType);
      changed = true;
    }
    if (!changed) this.#unattributed.set(rejection.typeUrl, rejection.message);
    return changed;
  }

  /** One for each resource in quarantine. */
  get diagnostics(): readonly Diagnostic[] {
    const named = [...this.#refused].flatMap(([typeUrl, refused]) =>
      [...refused].map(
        ([name, { message }]): Diagnostic => ({
          code: 'TRY0101',
          severity: 'error',
          object: `${kindOf(typeUrl)} ${name}`,
          message: `Envoy refused it: ${message}`,
          remedy: remedyOf(message),
        }),
      ),
    );
    const unnamed = [...this.#unattributed].map(
      ([typeUrl, message]): Diagnostic => ({
        code: 'TRY0101',
        severity: 'error',
        object: kindOf(typeUrl),
        message: `Envoy refused an update of this type: ${message}`,
        remedy: 'Correct what the message speaks of; what Envoy accepted before stays in force.',
      }),
    );
    return [...named, ...unnamed];
  }
}
