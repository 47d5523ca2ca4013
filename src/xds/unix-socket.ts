/** The life of a Unix socket's file: nothing of a dead server in the way, and nobody else's access. */
import { chmod, lstat, unlink } from 'node:fs/promises';
import { connect } from 'node:net';
import { errorCode, errorMessage, TrysailError } from '../lib/errors.ts';

/** The longest path that the kernel takes (sun_path without its final zero). */
const MAX_PATH_BYTES = 107;

/** `unix:/run/x.sock` or `unix:///run/x.sock` → `/run/x.sock`; undefined for other addresses. */
export function unixPath(address: string): string | undefined {
  if (!address.startsWith('unix:')) return undefined;
  const path = address.slice('unix:'.length);
  return path.startsWith('//') ? path.slice(2) : path;
}

async function isAnswered(path: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    // The kernel answers for the server, at once.
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', (error) => {
      // A server that is too busy to accept is a server.
      if (errorCode(error) === 'EAGAIN') resolve(true);
      else if (errorCode(error) === 'ECONNREFUSED' || errorCode(error) === 'ENOENT') resolve(false);
      else reject(error);
    });
  });
}

/**
 * Makes the path free for a new socket: removes one that nobody answers on.
 * @throws TrysailError XDS_SOCKET_IN_USE, XDS_SOCKET_PATH
 */
export async function clearSocketPath(path: string): Promise<void> {
  if (Buffer.byteLength(path) > MAX_PATH_BYTES)
    throw new TrysailError('XDS_SOCKET_PATH', `${path}: a Unix socket's path may have ${MAX_PATH_BYTES} bytes`, {
      remedy: 'Use a shorter run directory.',
    });
  const found = await lstat(path).catch((error: unknown) => {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw new TrysailError('XDS_SOCKET_PATH', `${path}: ${errorMessage(error)}`, {
      remedy: 'Make the directory, readable and writable for this user only.',
      cause: error,
    });
  });
  if (found === undefined) return;
  if (!found.isSocket())
    throw new TrysailError('XDS_SOCKET_PATH', `${path} exists and is not a socket`, {
      remedy: 'Move the file away or choose another path.',
    });
  if (await isAnswered(path))
    throw new TrysailError('XDS_SOCKET_IN_USE', `${path}: another server answers on it`, {
      remedy: 'Stop the other server first.',
    });
  await unlink(path);
}

/** Leaves the socket to its owner, or to whom `mode` names beside it. */
export async function protectSocket(path: string, mode = 0o600): Promise<void> {
  await chmod(path, mode);
}
