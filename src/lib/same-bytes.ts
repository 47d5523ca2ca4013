/** Whether two byte strings are equal, without Node: resources of a megabyte are compared when one rule of a thousand changes. */

const WORD = 4;

/** All whole words of `bytes`, or undefined where it does not begin at one. */
function words({ buffer, byteOffset, byteLength }: Uint8Array): Uint32Array | undefined {
  return byteOffset % WORD === 0 ? new Uint32Array(buffer, byteOffset, Math.floor(byteLength / WORD)) : undefined;
}

/** Compares word by word where both begin at one. Not for secrets: how long it takes tells how much is equal. */
export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  const left = words(a);
  const right = words(b);
  let from = 0;
  if (left !== undefined && right !== undefined) {
    for (let i = 0; i < left.length; i++) if (left[i] !== right[i]) return false;
    from = left.length * WORD;
  }
  for (let i = from; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
