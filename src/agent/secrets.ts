/** The host's certificates as the resources that Envoy asks for by SDS. */
import type { IdentityMaterial } from '../identity/identity-keeper.ts';
import { certificateSecret, ROOT_SECRET, validationSecret } from '../translate/tls/secrets.ts';
import type { Resource } from '../xds/resource.ts';

/** Secrets by name: one a SPIFFE id, and the roots. A certificate that did not change keeps its object. */
export class Secrets {
  #material: IdentityMaterial = { certificates: [], rootsPem: '' };
  #resources: ReadonlyMap<string, Resource> = new Map();

  get resources(): ReadonlyMap<string, Resource> {
    return this.#resources;
  }

  replace(material: IdentityMaterial): void {
    const before = new Map(this.#material.certificates.map((certificate) => [certificate.spiffeId, certificate]));
    const next = new Map<string, Resource>();
    for (const certificate of material.certificates) {
      const known = this.#resources.get(certificate.spiffeId);
      const { spiffeId, certificateChainPem, privateKey } = certificate;
      next.set(
        spiffeId,
        known !== undefined && before.get(spiffeId) === certificate
          ? known
          : certificateSecret({ name: spiffeId, certificateChainPem, privateKeyPem: privateKey.reveal() }),
      );
    }
    if (material.rootsPem !== '') {
      const known = this.#resources.get(ROOT_SECRET);
      next.set(
        ROOT_SECRET,
        known !== undefined && this.#material.rootsPem === material.rootsPem
          ? known
          : validationSecret({ name: ROOT_SECRET, rootsPem: material.rootsPem }),
      );
    }
    this.#material = material;
    this.#resources = next;
  }
}
