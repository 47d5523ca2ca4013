/** Where the fleet's configuration lies in Consul's key-value store, and how large its parts may be. */

/** Everything of the fleet is below it. */
export const FLEET_PREFIX = 'trysail/v1/';
/** The root-signed list of publishers. Exists from `trysail fleet init` on. */
export const MESH_KEY = `${FLEET_PREFIX}mesh`;
/** Whether changes are frozen. Exists from `trysail fleet init` on, so that watching it costs nothing. */
export const FREEZE_KEY = `${FLEET_PREFIX}freeze`;
export const NAMESPACES_PREFIX = `${FLEET_PREFIX}ns/`;

/** The only key of a namespace that ever changes. */
export const headKey = (namespace: string): string => `${NAMESPACES_PREFIX}${namespace}/head`;
/** A part of the list of a namespace's resources. */
export const indexKey = (namespace: string, hash: string): string => `${NAMESPACES_PREFIX}${namespace}/index/${hash}`;
/** One resource as it was published. */
export const bodyKey = (namespace: string, hash: string): string => `${NAMESPACES_PREFIX}${namespace}/obj/${hash}`;
export const revisionsPrefix = (namespace: string): string => `${NAMESPACES_PREFIX}${namespace}/rev/`;
/** A copy of a head, of now or of before, by its number and the hash of its payload. */
export const revisionKey = (namespace: string, revision: number, hash: string): string =>
  `${revisionsPrefix(namespace)}${revision}-${hash}`;

/** What hosts say of themselves. */
export const STATUS_PREFIX = `${FLEET_PREFIX}status/`;
/** What one host says: the only key that a host writes. */
export const statusKey = (host: string): string => `${STATUS_PREFIX}${host}`;

/** The number in a key that `revisionKey` made; 0 for anything else. */
export function revisionOfKey(key: string): number {
  return Number(/\/rev\/(\d{1,15})-[A-Za-z0-9_-]{43}$/.exec(key)?.[1] ?? 0);
}

export const FLEET_LIMITS = {
  /** Revisions of a namespace that are kept for history and roll-back, the one in force included. */
  revisions: 32,
  /** Changes that a head carries, so that hosts need no index. */
  changes: 32,
  /** A head, in bytes, bodies included. */
  headBytes: 64 * 1024,
  /** All heads of one transaction, in bytes: Consul takes 512 KB, and base64 adds a third. */
  transactionBytes: 300 * 1024,
  /** The largest body that travels inside of a head, in bytes. */
  inlineBytes: 16 * 1024,
  /** One resource, in bytes. */
  bodyBytes: 256 * 1024,
  /** The text of all resources of a namespace, and of all namespaces that one host follows, in bytes: what an agent holds. */
  namespaceBytes: 8 * 1024 * 1024,
  hostBytes: 16 * 1024 * 1024,
  /** Resources in one part of an index, and parts of an index. */
  indexEntries: 1000,
  indexParts: 16,
  /** Namespaces that one transaction can change: 64 operations, of which two hold the list and the freeze. */
  namespaces: 62,
  publishers: 256,
} as const;
