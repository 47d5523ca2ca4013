/**
 * The vocabulary of what Trysail writes into a Consul registration's Meta, shared by the room that writes it
 * (`register`) and the room that reads it (`sources`). Consul allows `[A-Za-z0-9_-]` in keys, 512 characters a value,
 * 64 pairs; Istio's label keys also hold `.` and `/`, so they are encoded.
 */

export const META = {
  /** Name of the host whose agent made the registration and may remove it. */
  host: 'trysail-host',
  /** `mtls` when the registered port takes mutual TLS. A claim, see `Service.tls`. */
  tls: 'trysail-tls',
  /** Istio protocol name of the port. */
  protocol: 'trysail-protocol',
  /** Port number by which clients know the service, where it differs from the instance's. */
  servicePort: 'service-port',
  /** Version label; also a plain key so that other tools can read it. */
  version: 'version',
  /** `region/zone/subzone`. */
  locality: 'trysail-locality',
  /** Prefix of label keys that are not plain. */
  labelPrefix: 'label_',
} as const;

/** Encodes a label key for Meta: `label_` and every character outside `[A-Za-z0-9-]` as its code point in hex between underscores. */
export function encodeLabelKey(key: string): string {
  const encoded = key.replaceAll(/[^A-Za-z0-9-]/g, (c) => `_${(c.codePointAt(0) ?? 0).toString(16).padStart(2, '0')}_`);
  return `${META.labelPrefix}${encoded}`;
}

/** The inverse of `encodeLabelKey`; undefined for a Meta key that is no label. */
export function decodeLabelKey(metaKey: string): string | undefined {
  if (!metaKey.startsWith(META.labelPrefix)) return undefined;
  const encoded = metaKey.slice(META.labelPrefix.length);
  return encoded.replaceAll(/_([0-9a-f]{2,6})_/g, (_, hex: string) => String.fromCodePoint(Number.parseInt(hex, 16)));
}
