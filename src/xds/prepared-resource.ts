/** A resource as it goes over the wire: its content version and its bytes framed once, shared by every stream. */
import { hash } from 'node:crypto';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { referencesOf } from './references.ts';
import { type Resource, TYPE_URL, type TypeUrl } from './resource.ts';

/** What a client holds under a name. */
export interface Held {
  readonly name: string;
  readonly version: string;
}

export interface PreparedResource extends Held {
  readonly typeUrl: TypeUrl;
  readonly resource: Resource;
  /** Two 32-bit words that stand for (name, version); their sum over a set, by exclusive or, is the set's version. */
  readonly mark: readonly [number, number];
  /** Names of the resources of the next stage that it refers to: see `referencesOf`. */
  references(): readonly string[];
  /** Field 2 of a `DiscoveryResponse`, with tag and length. `withTtl`: wrapped in a `Resource` that says when it expires. */
  sotwFrame(withTtl: boolean): Uint8Array;
  /** Field 2 of a `DeltaDiscoveryResponse`, with tag and length. */
  deltaFrame(withTtl: boolean): Uint8Array;
  /** The same without a body: renews the time to live and changes nothing. */
  heartbeatFrame(kind: 'sotw' | 'delta'): Uint8Array;
}

const RESOURCE_TYPE_URL = 'type.googleapis.com/envoy.service.discovery.v3.Resource';

/** 72 bits of the content's digest: equal over restarts and replicas, and short, since clients send all of them on reconnect. */
function contentVersion({ value, aliases, ttlMs }: Resource): string {
  const content =
    aliases === undefined && ttlMs === undefined
      ? value
      : Buffer.concat([value, Buffer.from(JSON.stringify([aliases, ttlMs]))]);
  return hash('sha256', content, 'base64url').slice(0, 12);
}

const writer = new BinaryWriter();

function writeAny(field: number, typeUrl: string, value: Uint8Array): void {
  writer.tag(field, WireType.LengthDelimited).fork();
  writer.tag(1, WireType.LengthDelimited).string(typeUrl);
  writer.tag(2, WireType.LengthDelimited).bytes(value);
  writer.join();
}

/** Fields of `envoy.service.discovery.v3.Resource`. */
function writeResource(
  held: Held,
  options: {
    readonly aliases?: readonly string[] | undefined;
    readonly ttlMs?: number | undefined;
    readonly body?: { readonly typeUrl: string; readonly value: Uint8Array };
  },
): void {
  if (held.version !== '') writer.tag(1, WireType.LengthDelimited).string(held.version);
  if (options.body !== undefined) writeAny(2, options.body.typeUrl, options.body.value);
  writer.tag(3, WireType.LengthDelimited).string(held.name);
  for (const alias of options.aliases ?? []) writer.tag(4, WireType.LengthDelimited).string(alias);
  if (options.ttlMs !== undefined) {
    writer.tag(6, WireType.LengthDelimited).fork();
    writer.tag(1, WireType.Varint).int64(Math.floor(options.ttlMs / 1000));
    writer.tag(2, WireType.Varint).int32((options.ttlMs % 1000) * 1_000_000);
    writer.join();
  }
}

function framedResource(held: Held, options: Parameters<typeof writeResource>[1]): Uint8Array {
  writer.tag(2, WireType.LengthDelimited).fork();
  writeResource(held, options);
  return writer.join().finish();
}

/** A `Resource` in an Any: how the state of the world carries a time to live. */
function wrappedResource(held: Held, options: Parameters<typeof writeResource>[1]): Uint8Array {
  writer.tag(2, WireType.LengthDelimited).fork();
  writer.tag(1, WireType.LengthDelimited).string(RESOURCE_TYPE_URL);
  writer.tag(2, WireType.LengthDelimited).fork();
  writeResource(held, options);
  return writer.join().join().finish();
}

/** An answer for a name of which there is nothing: a `Resource` with name and alias but no body (VHDS). */
export function absentFrame(name: string): Uint8Array {
  return framedResource({ name, version: '' }, { aliases: [name] });
}

/** Digests the resource now; serialises a form of it when that is first asked for, and keeps it. */
export function prepareResource(typeUrl: TypeUrl, resource: Resource): PreparedResource {
  const { name, value, aliases, ttlMs } = resource;
  const version = contentVersion(resource);
  const held = { name, version };
  const words = hash('sha256', `${name}\0${version}`, 'buffer');
  let sotw: Uint8Array | undefined;
  let delta: Uint8Array | undefined;
  let references: readonly string[] | undefined;
  return {
    name,
    version,
    typeUrl,
    resource,
    mark: [words.readInt32LE(0), words.readInt32LE(4)],
    references: () => (references ??= referencesOf(typeUrl, value)),
    sotwFrame: (withTtl) => {
      if (withTtl && ttlMs !== undefined) return wrappedResource(held, { aliases, ttlMs, body: { typeUrl, value } });
      if (sotw === undefined) {
        writeAny(2, typeUrl, value);
        sotw = writer.finish();
      }
      return sotw;
    },
    deltaFrame: (withTtl) =>
      withTtl && ttlMs !== undefined
        ? framedResource(held, { aliases, ttlMs, body: { typeUrl, value } })
        : (delta ??= framedResource(held, { aliases, body: { typeUrl, value } })),
    heartbeatFrame: (kind) => (kind === 'delta' ? framedResource : wrappedResource)(held, { ttlMs }),
  };
}

/** Whether two resources would look the same to every client, and are for the same clients. */
export function sameContent(a: Resource, b: Resource): boolean {
  return (
    a.ttlMs === b.ttlMs &&
    a.onDemand === b.onDemand &&
    Buffer.compare(a.value, b.value) === 0 &&
    (a.aliases === b.aliases || JSON.stringify(a.aliases ?? []) === JSON.stringify(b.aliases ?? []))
  );
}

/** Types of which a client may ask for all. Of the others, no names means none. */
export const COLLECTIVE_TYPES: ReadonlySet<string> = new Set([TYPE_URL.cluster, TYPE_URL.listener]);
