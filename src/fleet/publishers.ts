/** Who may publish what: the root-signed list, as far as anybody asks it. */
import { type MeshDocument, type Publisher, readMeshDocument, TYPES } from './documents.ts';
import { isRefused, openDocument, type Refused } from './signed-document.ts';
import { publicKeyOf, type VerifyingKey } from './signing-key.ts';

/** The list of publishers of a fleet, verified. */
export interface Publishers {
  readonly document: MeshDocument;
  /** Of the document's payload. */
  readonly hash: string;
  /** By key id. */
  readonly byKey: ReadonlyMap<string, { readonly publisher: Publisher; readonly key: VerifyingKey }>;
}

const MAX_BYTES = 256 * 1024;

/** Opens the list as Consul or the disk has it. @param roots the keys that this host or publisher trusts */
export function openPublishers(bytes: Uint8Array | string, roots: readonly VerifyingKey[]): Publishers | Refused {
  const opened = openDocument(
    TYPES.mesh,
    bytes,
    (id) =>
      roots.find((root) => root.id === id) ?? { refused: `it is signed by ${id}, which is not the trusted root key` },
    MAX_BYTES,
  );
  if (isRefused(opened)) return opened;
  const document = readMeshDocument(opened.payload);
  if (isRefused(document)) return document;
  const byKey = new Map<string, { readonly publisher: Publisher; readonly key: VerifyingKey }>();
  for (const publisher of document.publishers) {
    const key = publicKeyOf(publisher.publicKey);
    if (key === undefined) return { refused: `the key of publisher ${publisher.name} is no Ed25519 key` };
    byKey.set(key.id, { publisher, key });
  }
  return { document, hash: opened.hash, byKey };
}

/** Whether a pattern of the list (`shop`, `team-*`, `*`) covers a namespace. */
function coversNamespace(pattern: string, namespace: string): boolean {
  return pattern.endsWith('*') ? namespace.startsWith(pattern.slice(0, -1)) : pattern === namespace;
}

export function mayPublish({ namespaces }: Publisher, namespace: string): boolean {
  return namespaces.some((pattern) => coversNamespace(pattern, namespace));
}

export function mayChange(publisher: Publisher, namespace: string, kind: string): boolean {
  return mayPublish(publisher, namespace) && publisher.kinds.some((one) => one === '*' || one === kind);
}
