/**
 * Puts responses together from framed resources. Streams that need the same response share its bytes, nonce included:
 * a nonce is unique within its stream, and no stream is given the same one twice.
 */
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';

export interface ResponseContent {
  readonly kind: 'sotw' | 'delta';
  readonly typeUrl: string;
  /** `version_info`, or `system_version_info` of a delta response. */
  readonly version: string;
  /** Field 2, each with tag and length. */
  readonly frames: readonly Uint8Array[];
  /** Delta only. */
  readonly removed: readonly string[];
}

export interface Response {
  readonly bytes: Buffer;
  readonly nonce: string;
  readonly serial: number;
}

const writer = new BinaryWriter();

function sameItems<T>(a: readonly T[], b: readonly T[]): boolean {
  if (a === b) return true;
  return a.length === b.length && a.every((item, index) => item === b[index]);
}

/** Encodes responses, and keeps the last one of each type and kind for as long as somebody else keeps its bytes. */
export class ResponseEncoder {
  readonly #last = new Map<string, { readonly content: ResponseContent; readonly response: WeakRef<Response> }>();
  #serial = 0;

  /** @param after the serial of the last response on the asking stream */
  encode(content: ResponseContent, after: number): Response {
    const key = `${content.kind} ${content.typeUrl}`;
    const last = this.#last.get(key);
    const shared = last?.response.deref();
    if (
      last !== undefined &&
      shared !== undefined &&
      shared.serial > after &&
      last.content.version === content.version &&
      sameItems(last.content.frames, content.frames) &&
      sameItems(last.content.removed, content.removed)
    ) {
      return shared;
    }
    this.#serial += 1;
    const nonce = this.#serial.toString(36);
    writer.tag(1, WireType.LengthDelimited).string(content.version);
    writer.tag(4, WireType.LengthDelimited).string(content.typeUrl);
    writer.tag(5, WireType.LengthDelimited).string(nonce);
    for (const name of content.removed) writer.tag(6, WireType.LengthDelimited).string(name);
    const response = { bytes: Buffer.concat([...content.frames, writer.finish()]), nonce, serial: this.#serial };
    this.#last.set(key, { content, response: new WeakRef(response) });
    return response;
  }
}
