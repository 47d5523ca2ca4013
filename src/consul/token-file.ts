/** Consul's ACL token, read from a file whenever the file has changed, so that a rotated token needs no restart. */
import { readFile, stat } from 'node:fs/promises';
import { errorMessage, TrysailError } from '../lib/errors.ts';

/** Longer files are not tokens (a token is a UUID, a JWT a few kilobytes). */
const MAX_BYTES = 16_384;

/**
 * A source of the token in `path`, for `createConsulClient`. An empty file means no token.
 * The returned function rejects with TrysailError `CONSUL_TOKEN_FILE` when the file cannot be read.
 */
export function tokenFromFile(path: string): () => Promise<string | undefined> {
  let seen = '';
  let token: string | undefined;
  return async () => {
    try {
      const { mtimeMs, ctimeMs, ino, size } = await stat(path);
      const version = `${ino}:${mtimeMs}:${ctimeMs}:${size}`;
      if (version !== seen) {
        if (size > MAX_BYTES) throw new Error(`${size} bytes are too long for a token`);
        const text = (await readFile(path, 'utf8')).trim();
        if (/[\s\p{Cc}]/u.test(text)) throw new Error('more than one word in it');
        token = text === '' ? undefined : text;
        seen = version;
      }
      return token;
    } catch (cause) {
      throw new TrysailError('CONSUL_TOKEN_FILE', `Consul token file ${path}: ${errorMessage(cause)}.`, {
        remedy: 'Write the token, alone, into the file and make it readable for the agent’s user only.',
        cause,
      });
    }
  };
}
