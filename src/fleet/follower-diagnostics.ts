/** What is wrong with the following of the fleet's configuration, as diagnostics. */
import type { TrysailError } from '../lib/errors.ts';
import type { Diagnostic } from '../model/diagnostic.ts';
import { headKey, MESH_KEY } from './layout.ts';

const OBJECT = 'fleet configuration';

export function listRefused(why: string, isHeld: boolean): Diagnostic {
  return {
    code: 'TRY0701',
    severity: 'error',
    object: OBJECT,
    message: `the list of publishers in Consul (${MESH_KEY}) is not taken: ${why}; ${isHeld ? 'the last good one holds' : 'there is no fleet configuration'}`,
    remedy: 'Check mesh.fleet.trust, and find out who writes there.',
  };
}

/** @param revision that holds; undefined: none */
export function headRefused(
  code: 'TRY0702' | 'TRY0703' | 'TRY0714',
  namespace: string,
  revision: number | undefined,
  why: string,
  remedy: string,
): Diagnostic {
  const rest = revision === undefined ? 'nothing of it is in force' : `revision ${revision} holds`;
  return {
    code,
    severity: 'error',
    object: `namespace ${namespace}`,
    message: `its head in Consul (${headKey(namespace)}) is not taken: ${why}; ${rest}`,
    remedy,
  };
}

export function unreadable({ message, remedy }: TrysailError): Diagnostic {
  return {
    code: 'TRY0704',
    severity: 'warning',
    object: OBJECT,
    message: `it cannot be read; the last good one holds: ${message}`,
    ...(remedy === undefined ? {} : { remedy }),
  };
}

export function unsaved(why: string): Diagnostic {
  return {
    code: 'TRY0706',
    severity: 'warning',
    object: OBJECT,
    message: `it cannot be saved in the state folder: ${why}`,
    remedy: 'Free space there, or make it writable for the agent: it is needed after a restart.',
  };
}

export function tooManyNamespaces(needed: number, followed: number, left: readonly string[]): Diagnostic {
  return {
    code: 'TRY0709',
    severity: 'warning',
    object: OBJECT,
    message: `${needed} namespaces are needed and ${followed} followed; left out: ${left.join(', ')}`,
    remedy: 'Call services of fewer namespaces from this host.',
  };
}

export function halfInForce(namespace: string, revision: number, missing: readonly string[]): Diagnostic {
  return {
    code: 'TRY0710',
    severity: 'warning',
    object: `namespace ${namespace}`,
    message: `revision ${revision} is in force without the other half of its change, in ${missing.join(', ')}`,
    remedy: 'See what is wrong with those namespaces.',
  };
}
